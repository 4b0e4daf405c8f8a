"""What an agent says of itself and its tasks when it registers, checked at the door.

Pure. The books and the allocator take a report as it is, so one that contradicts itself must not reach
them. A report that is refused here ends nothing: the agent logs why and tries again. (``Refused`` is
for an agent that was removed; it ends its tasks.)
"""

from __future__ import annotations

from headrace.mesos.master import validation
from headrace.mesos.messages.agent_link import KnownTask, Register
from headrace.mesos.messages.common import is_terminal
from headrace.mesos.resources import EMPTY, InvalidResourceError, Resources


def problem_of(report: Register) -> str | None:
    """What is wrong with a registration; None if nothing is."""
    if report.agent_id is not None and (wrong := validation.identifier(report.agent_id.value)):
        return f"the agent id can't be used: {wrong}"
    for resource in report.agent_info.resources or ():
        if resource.role not in (None, "*") or resource.reservation or resource.reservations or resource.disk:
            return f"resource '{resource.name}': reservations and disks are not supported by this master"
    try:
        Resources.parse(report.agent_info.resources)
    except InvalidResourceError as error:
        return str(error)
    return _problem_of_tasks(report)


def _problem_of_tasks(report: Register) -> str | None:
    seen: set[tuple[str, str]] = set()
    taken = EMPTY
    for known in report.tasks:
        name = f"task {known.task.task_id.value} of framework {known.framework_id.value}"
        key = (known.framework_id.value, known.task.task_id.value)
        if report.agent_id is None or known.task.agent_id != report.agent_id:
            return f"{name} belongs to agent {known.task.agent_id.value}, which is not the one that reports it"
        if wrong := validation.identifier(known.task.task_id.value):
            return f"the id of {name} can't be used: {wrong}"
        if key in seen:
            return f"{name} is reported twice"
        seen.add(key)
        try:
            held = _held(known)
        except InvalidResourceError as error:
            return f"{name}: {error}"
        if _overlap(taken, held):
            return f"{name} holds ports or items that another of its tasks holds: {held}"
        taken = taken + held
    return None


def _held(known: KnownTask) -> Resources:
    """What the task takes of the agent. Raises InvalidResourceError."""
    resources = Resources.parse(known.task.resources)
    return EMPTY if is_terminal(known.status.state) else resources


def _overlap(one: Resources, other: Resources) -> bool:
    shared = Resources(ranges=one.ranges, sets=one.sets)
    return shared - other != shared
