"""What Mesos checks of executors and task groups, in its words."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.mesos.master.core.model import Agent, Framework
from headrace.mesos.master.core.validation import commands, resources
from headrace.mesos.master.core.validation.names import identifier, size
from headrace.mesos.messages.common import ContainerInfo, ExecutorInfo, Resource, TaskInfo
from headrace.mesos.resources import MILLI, Resources, describe, thousandths

MIN_CPUS = 0.01
MIN_MEM = 32
_RULE = "-" * 60 + "\n"


def executor(info: ExecutorInfo, owner: Framework, agent: Agent, role: str) -> str | None:
    """Whether a framework may use this executor on this agent, be it new or running."""
    return (
        _kind(info)
        or identifier(info.executor_id.value)
        or _grace(info)
        or _command(info)
        or _container(info)
        or _owner(info, owner)
        or resources.use("Executor", "executor", info.resources or [])
        or size("Executor", info)
        or _compatible(info, owner, agent, role)
    )


def _kind(info: ExecutorInfo) -> str | None:
    if info.type == "DEFAULT":
        if info.command is not None:
            return "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"
        if info.container is not None:
            if info.container.type != "MESOS":
                return "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor"
            if info.container.mesos is not None and info.container.mesos.image is not None:
                return "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor"
    elif info.type == "CUSTOM" and info.command is None:
        return "'ExecutorInfo.command' must be set for 'CUSTOM' executor"
    return None


def _grace(info: ExecutorInfo) -> str | None:
    if info.shutdown_grace_period is not None and info.shutdown_grace_period.nanoseconds < 0:
        return "ExecutorInfo's 'shutdown_grace_period' must be non-negative"
    return None


def _command(info: ExecutorInfo) -> str | None:
    wrong = commands.command(info.command)
    return f"Executor's `CommandInfo` is invalid: {wrong}" if wrong else None


def _container(info: ExecutorInfo) -> str | None:
    wrong = commands.container(info.container)
    return f"Executor's `ContainerInfo` is invalid: {wrong}" if wrong else None


def _owner(info: ExecutorInfo, owner: Framework) -> str | None:
    if info.framework_id is None:
        return "'ExecutorInfo.framework_id' must be set"
    if info.framework_id.value != owner.id:
        return f"ExecutorInfo has an invalid FrameworkID (Actual: {info.framework_id.value} vs Expected: {owner.id})"
    return None


def _compatible(info: ExecutorInfo, owner: Framework, agent: Agent, role: str) -> str | None:
    running = agent.executors.get((owner.id, info.executor_id.value))
    if running is None or same(running.info, info):
        return None
    from headrace.mesos.master.core.prototext import executor_text

    return (
        f"ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.\n{_RULE}"
        f"Existing ExecutorInfo:\n{executor_text(running.info, role)}\n{_RULE}"
        f"ExecutorInfo:\n{executor_text(info, role)}\n{_RULE}"
    )


def same(one: ExecutorInfo, other: ExecutorInfo) -> bool:
    """Whether two descriptions are of the same executor; their resources may be written differently."""
    if one == other:
        return True
    alike = all(getattr(one, field) == getattr(other, field) for field in one.__struct_fields__ if field != "resources")
    return alike and Resources.parse(one.resources) == Resources.parse(other.resources)


def share_cgroups(container: ContainerInfo | None) -> bool | None:
    """The field ``share_cgroups`` of a container; None if it is not set."""
    return container.linux_info.share_cgroups if container is not None and container.linux_info is not None else None


# Groups


def group(
    info: ExecutorInfo, tasks: Sequence[TaskInfo], owner: Framework, agent: Agent, role: str, offered: Resources
) -> str | None:
    """Whether tasks, each sound by itself, may be launched together in this executor."""
    return (
        executor(info, owner, agent, role)
        or _group_kind(info)
        or _same_executor(info, tasks)
        or _minimum(info)
        or _together(info, tasks, role)
        or _fits(info, tasks, owner, agent, role, offered)
        or _cgroups(info, tasks, owner, agent)
    )


def member(info: TaskInfo) -> str | None:
    """What holds for a task only if it is one of a group."""
    container = info.container
    if container is not None:
        probed = info.health_check is not None and commands.kind_of_health_check(info.health_check) in ("HTTP", "TCP")
        if container.network_infos and probed:
            return "HTTP and TCP health checks are not supported for nested containers not joining parent's network"
        if container.type == "DOCKER":
            return "Docker ContainerInfo is not supported on the task"
    if info.limits and share_cgroups(container) is not False:
        return (
            "Resource limits may only be set for tasks within a task group when "
            "the 'share_cgroups' field is set to 'false'."
        )
    return None


def _group_kind(info: ExecutorInfo) -> str | None:
    if info.type == "UNKNOWN":
        return "Unknown executor type"
    if info.type not in ("DEFAULT", "CUSTOM"):
        return "'ExecutorInfo.type' must be set"
    if info.container is not None and info.container.type == "DOCKER":
        return "Docker ContainerInfo is not supported on the executor"
    return None


def _same_executor(info: ExecutorInfo, tasks: Sequence[TaskInfo]) -> str | None:
    for task in tasks:
        if task.executor is not None and not same(task.executor, info):
            return (
                f"The `ExecutorInfo` of task '{task.task_id.value}' is different from "
                f"executor '{info.executor_id.value}'"
            )
    return None


def _minimum(info: ExecutorInfo) -> str | None:
    given = {r.name: r.scalar.value for r in info.resources or () if r.scalar is not None}
    who = f"Executor '{info.executor_id.value}'"
    cpus, mem = given.get("cpus"), given.get("mem")
    if cpus is None or cpus < MIN_CPUS:
        return f"{who} uses less CPUs ({_number(cpus)}) than the minimum required ({MIN_CPUS})"
    if mem is None or mem < MIN_MEM:
        size = f"{_number(mem)}MB" if mem is not None else "None"
        return f"{who} uses less memory ({size}) than the minimum required ({MIN_MEM}MB)"
    if not given.get("disk"):
        return f"{who} uses no disk"
    return None


def _number(value: float | None) -> str:
    return "None" if value is None else f"{thousandths(value) / MILLI:.15g}"


def _together(info: ExecutorInfo, tasks: Sequence[TaskInfo], role: str) -> str | None:
    own = info.resources or []
    everything = [*own, *(resource for task in tasks for resource in task.resources or ())]
    if wrong := resources.unique_volumes(everything):
        return f"Task group and executor use duplicate persistence ID: {wrong}"
    if wrong := resources.unmixed(everything):
        return f"Task group and executor mix revocable and non-revocable resources: {wrong}"
    if resources.overlap([*(Resources.parse(task.resources) for task in tasks), Resources.parse(own)]):
        listed = ", ".join(describe(task.resources or (), role) for task in tasks)
        return (
            f"There are overlapping resources in the task group's task resources {{ {listed} }} "
            f"and/or executor resources {describe(own, role)}"
        )
    return None


def _fits(
    info: ExecutorInfo, tasks: Sequence[TaskInfo], owner: Framework, agent: Agent, role: str, offered: Resources
) -> str | None:
    total = Resources()
    for task in tasks:
        total = total + Resources.parse(task.resources)
    if (owner.id, info.executor_id.value) not in agent.executors:
        total = total + Resources.parse(info.resources)
    named = [*(info.resources or ()), *(r for task in tasks for r in task.resources or ())]
    if elsewhere(named, role) or not offered.contains(total):
        return (
            f"Total resources {describe(total.messages(role))} required by task group and its executor "
            f"are more than available {describe(offered.messages(role))}"
        )
    return None


def elsewhere(named: Sequence[Resource], role: str) -> bool:
    """Whether any of these is said to be allocated to another role than the offer's."""
    return any(r.allocation_info is not None and r.allocation_info.role not in (None, role) for r in named)


def _cgroups(info: ExecutorInfo, tasks: Sequence[TaskInfo], owner: Framework, agent: Agent) -> str | None:
    if share_cgroups(info.container):
        return "The 'share_cgroups' field cannot be set to 'true' on executor containers"
    sharing = {share_cgroups(task.container) is not False for task in tasks}
    if (owner.id, info.executor_id.value) in agent.executors:
        key = info.executor_id.value
        sharing |= {
            share_cgroups(task.info.container) is not False
            for task in agent.tasks.values()
            if task.framework_id == owner.id and task.executor_id == key
        }
    if len(sharing) > 1:
        return (
            "If set, the value of 'share_cgroups' must be the same for all "
            "tasks in each task group and under a single executor"
        )
    return None
