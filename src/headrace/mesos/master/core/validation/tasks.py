"""What Mesos checks of tasks, in its words and in its order."""

from __future__ import annotations

from math import inf, isnan

from headrace.mesos.master.core.model import Agent, Framework
from headrace.mesos.master.core.validation import commands, executors, resources
from headrace.mesos.master.core.validation.names import identifier, size
from headrace.mesos.messages.common import Limit, TaskInfo
from headrace.mesos.resources import Resources, describe

MAX_LIMIT = 1e15


def task(info: TaskInfo, owner: Framework, agent: Agent, role: str, offered: Resources) -> str | None:
    """Whether a task may be launched on ``agent`` with what is left of its offers.

    The form of its resources has been checked; ``executor.framework_id`` is filled in.
    """
    return by_itself(info, owner, agent) or _executor(info, owner, agent, role, offered) or _cgroups(info)


def by_itself(info: TaskInfo, owner: Framework, agent: Agent) -> str | None:
    """Whether a task is sound, leaving aside its executor and what is offered."""
    return (
        identifier(info.task_id.value)
        or _unique(info, owner)
        or _agent(info, agent)
        or _durations(info)
        or _checks(info)
        or ("Task uses no resources" if not info.resources else None)
        or resources.use("Task", "task", info.resources or [])
        or _command(info)
        or (_limits(info) if info.limits else None)
        or size("Task", info)
    )


def _unique(info: TaskInfo, owner: Framework) -> str | None:
    if info.task_id.value in owner.tasks:
        return f"Task has duplicate ID: {info.task_id.value}"
    if info.task_id.value in owner.unreachable:
        return f"Task reuses the ID of an unreachable task: {info.task_id.value}"
    return None


def _agent(info: TaskInfo, agent: Agent) -> str | None:
    if info.agent_id.value != agent.id:
        return f"Task uses invalid agent {info.agent_id.value} while agent {agent.id} is expected"
    return None


def _durations(info: TaskInfo) -> str | None:
    grace = info.kill_policy.grace_period if info.kill_policy is not None else None
    if grace is not None and grace.nanoseconds < 0:
        return "Task's 'kill_policy.grace_period' must be non-negative"
    if info.max_completion_time is not None and info.max_completion_time.nanoseconds < 0:
        return "Task's `max_completion_time` must be non-negative"
    return None


def _checks(info: TaskInfo) -> str | None:
    if wrong := commands.general_check(info.check):
        return f"Task uses invalid check: {wrong}"
    if wrong := commands.health_check(info.health_check):
        return f"Task uses invalid health check: {wrong}"
    return None


def _command(info: TaskInfo) -> str | None:
    if wrong := commands.command(info.command):
        return f"Task's `CommandInfo` is invalid: {wrong}"
    if wrong := commands.container(info.container):
        return f"Task's `ContainerInfo` is invalid: {wrong}"
    return None


def _limits(info: TaskInfo) -> str | None:
    limits = info.limits or {}
    if not limits.keys() <= {"cpus", "mem"}:
        return "Only cpus and mem may be included in a task's resource limits"
    given: dict[str, float] = {}
    for one in info.resources or ():
        if one.scalar is not None:
            given[one.name] = given.get(one.name, 0.0) + one.scalar.value
    for name, what, short in (("cpus", "CPU", "cpu"), ("mem", "memory", "memory")):
        if name not in limits:
            continue
        limit = bound(limits[name])
        if limit is None:
            return f"The {short} limit '{limits[name].value}' is not a number"
        if MAX_LIMIT < limit < inf:
            return (
                f"The {short} limit '{limits[name].value}' is not valid: it must be at most {MAX_LIMIT:g}, or Infinity"
            )
        if not given.get(name):
            return f"When a {what} limit is specified, a {what} request must also be specified"
        if limit < given[name]:
            return f"The {short} limit must be greater than or equal to the {short} request"
    return None


def bound(limit: Limit) -> float | None:
    """A limit as a number, infinite if there is none; None if it is not one."""
    try:
        value = float(limit.value)
    except ValueError:
        return None
    return None if isnan(value) else value


def _executor(info: TaskInfo, owner: Framework, agent: Agent, role: str, offered: Resources) -> str | None:
    if (info.command is None) == (info.executor is None):
        return "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"
    if info.executor is not None and (wrong := _custom(info, owner, agent, role)):
        return wrong
    return _fits(info, owner, agent, role, offered)


def _custom(info: TaskInfo, owner: Framework, agent: Agent, role: str) -> str | None:
    executor = info.executor
    if executor is None:
        return None
    if wrong := executors.executor(executor, owner, agent, role):
        return wrong
    if executor.type in ("DEFAULT", "UNKNOWN"):
        return "'ExecutorInfo.type' must be 'CUSTOM'"
    if executor.command is None:
        return "'ExecutorInfo.command' must be set"
    own = executor.resources or []
    if any(one.shared is not None for one in own):
        return f"Executor resources {describe(own, role)} should not contain any shared resources"
    if executors.share_cgroups(executor.container):
        return "The 'share_cgroups' field cannot be set to 'true' on executor containers"
    both = [*(info.resources or ()), *own]
    if resources.overlap([Resources.parse(info.resources), Resources.parse(own)]):
        return (
            f"There are overlapping resources in the task resources {describe(info.resources or (), role)} "
            f"and executor resources {describe(own, role)}"
        )
    if wrong := resources.unique_volumes(both):
        return f"Task and its executor use duplicate persistence ID: {wrong}"
    if wrong := resources.unmixed(both):
        return f"Task and its executor mix revocable and non-revocable resources: {wrong}"
    return None


def _fits(info: TaskInfo, owner: Framework, agent: Agent, role: str, offered: Resources) -> str | None:
    wanted = list(info.resources or ())
    executor = info.executor
    if executor is not None and (owner.id, executor.executor_id.value) not in agent.executors:
        wanted += executor.resources or ()
    if executors.elsewhere(wanted, role) or not offered.contains(Resources.parse(wanted)):
        asked = describe(wanted if executor is None else Resources.parse(wanted).messages(role), role)
        return (
            f"Total resources {asked} required by task and its executor "
            f"is more than available {describe(offered.messages(role))}"
        )
    return None


def _cgroups(info: TaskInfo) -> str | None:
    if executors.share_cgroups(info.container) is False:
        return "Only tasks in a task group may have 'share_cgroups' set to 'false'"
    return None
