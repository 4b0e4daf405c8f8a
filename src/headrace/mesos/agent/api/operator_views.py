"""What the v1 operator API of an agent tells of it: GET_STATE and its parts, GET_CONTAINERS, GET_OPERATIONS.

Tasks and executors are told in their public form: nobody reads a secret here.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from headrace.mesos.agent.api.executor_views import command_executor_name
from headrace.mesos.agent.api.statistics import Measured, Shown, shown_containers
from headrace.mesos.agent.core.agent import AgentCore, Framework
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.core.nesting import id_of
from headrace.mesos.agent.core.records import COMMAND, CompletedTask, HistoryLine
from headrace.mesos.agent.core.reporting import ReportedTask
from headrace.mesos.messages import agent_operator as api
from headrace.mesos.messages.common import (
    AgentID,
    CommandInfo,
    ContainerID,
    ContainerStatus,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    TaskInfo,
    TaskStatus,
    TimeInfo,
)
from headrace.mesos.messages.operator_answers import DrainConfig
from headrace.mesos.messages.operator_common import Operation, Operations, Task
from headrace.mesos.public import public_form


def agent(core: AgentCore) -> api.OneAgent:
    """GET_AGENT."""
    info = msgspec.structs.replace(core.config.info, id=AgentID(core.agent_id) if core.agent_id else None)
    drain = core.drain
    if drain is None:
        return api.OneAgent(info)
    config = DrainConfig(drain.max_grace_period, drain.mark_gone or None)
    return api.OneAgent(info, config, TimeInfo(int(drain.started * 1e9)))


def state(core: AgentCore) -> api.State:
    """GET_STATE."""
    return api.State(tasks(core), executors(core), frameworks(core))


def frameworks(core: AgentCore) -> api.Frameworks:
    """GET_FRAMEWORKS."""
    live, past = _by_life(core)
    return api.Frameworks([api.Framework(f.info) for f in live], [api.Framework(f.info) for f in past])


def executors(core: AgentCore) -> api.Executors:
    """GET_EXECUTORS. A command task has one, as in Mesos, though nothing of that kind runs here."""
    live, past = [], []
    for framework_id, framework in core.frameworks.items():
        live += [_executor(executor.record.executor, framework_id) for executor in framework.executors.values()]
        live += [_of_command(t.info, framework_id) for t in framework.tasks.values() if t.record.sort == COMMAND]
        past += [_executor(ended.executor, framework_id) for ended in core.completed.executors_of(framework_id)]
        past += [_of_command(t.task, framework_id) for t in core.completed.of(framework_id) if t.sort == COMMAND]
    return api.Executors(live, past)


def tasks(core: AgentCore) -> api.Tasks:
    """GET_TASKS."""
    queued: list[Task] = []
    launched: list[Task] = []
    terminated: list[Task] = []
    completed: list[Task] = []
    for framework_id, framework in core.frameworks.items():
        for task in framework.tasks.values():
            kind = terminated if not task.live else launched if task.history else queued
            kind.append(_task(task))
        completed += map(_completed, core.completed.of(framework_id))
        for executor in core.completed.executors_of(framework_id):
            completed += map(_completed, executor.tasks)
    return api.Tasks([], queued, launched, terminated, completed)


def operations(core: AgentCore) -> Operations:
    """GET_OPERATIONS: those whose last status has not been acknowledged."""
    agent_id = AgentID(core.agent_id)
    found = [
        Operation(one.operation, one.status, one.status.uuid, one.framework_id, agent_id, [one.status])
        for one in core.operations
        if one.status.uuid is not None
    ]
    return Operations(found or None)


def containers(core: AgentCore, asked: api.GetContainers, measured: Measured) -> api.Containers:
    """GET_CONTAINERS."""
    shown = shown_containers(core, nested=bool(asked.show_nested), standalone=bool(asked.show_standalone))
    return api.Containers([container(one, measured) for one in shown] or None)


def container(one: Shown, measured: Measured) -> api.Container:
    """One container, and what it uses now."""
    container_id = id_of(one.path)
    status = ContainerStatus(container_id, executor_pid=one.pid or None)
    usage = measured.of(one)
    if one.name is None:
        return api.Container(container_id, container_status=status, resource_statistics=usage)
    return api.Container(
        container_id, FrameworkID(one.framework_id), ExecutorID(one.executor_id), one.name, status, usage
    )


def _by_life(core: AgentCore) -> tuple[list[Framework], list[Framework]]:
    live = [f for f in core.frameworks.values() if f.tasks or f.executors]
    return live, [f for f in core.frameworks.values() if not f.tasks and not f.executors]


def _executor(info: ExecutorInfo, framework_id: str) -> api.Executor:
    return api.Executor(msgspec.structs.replace(public_form(info), framework_id=FrameworkID(framework_id)))


def _of_command(info: TaskInfo, framework_id: str) -> api.Executor:
    task_id, shown = info.task_id, public_form(info)
    return api.Executor(
        ExecutorInfo(
            task_id,
            framework_id=FrameworkID(framework_id),
            command=shown.command if shown.command is not None else CommandInfo(),
            container=shown.container,
            resources=shown.resources,
            name=command_executor_name(info),
            source=task_id.value,
        )
    )


def _task(task: ReportedTask) -> Task:
    latest = task.updates.latest
    shown = _shown(task.info, task.record.place, latest.state, task.history, task.record.sort)
    if not shown.statuses:
        return shown
    container = latest.container_status or shown.statuses[-1].container_status
    statuses = [*shown.statuses[:-1], msgspec.structs.replace(latest, container_status=container)]
    return msgspec.structs.replace(
        shown, statuses=statuses, status_update_state=latest.state, status_update_uuid=latest.uuid
    )


def _completed(task: CompletedTask) -> Task:
    shown = _shown(task.task, task.place, task.state, task.history, task.sort)
    return msgspec.structs.replace(shown, status_update_state=task.state)


def _shown(info: TaskInfo, place: Place, state: str, history: Iterable[HistoryLine], sort: str) -> Task:
    container = ContainerStatus(
        ContainerID(place.container_id, ContainerID(place.parent_id) if place.parent_id else None)
    )
    agent_id = AgentID(place.agent_id)
    info = public_form(info)
    return Task(
        info.name,
        info.task_id,
        FrameworkID(place.framework_id),
        agent_id,
        state,
        executor_id=None if sort == COMMAND else ExecutorID(place.executor_id),
        resources=info.resources,
        statuses=[
            TaskStatus(
                info.task_id, line.state, agent_id=agent_id, timestamp=line.timestamp, container_status=container
            )
            for line in history
        ],
        labels=info.labels,
        discovery=info.discovery,
        container=info.container,
        health_check=info.health_check,
        kill_policy=info.kill_policy,
        max_completion_time=info.max_completion_time,
        limits=info.limits,
    )
