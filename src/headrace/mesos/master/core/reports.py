"""What an agent says of itself and of what it runs when it registers, checked at the door.

Pure. The books and the allocator take a report as it is, so one that contradicts itself must not reach
them. A report that is refused here ends nothing: the agent logs why and tries again. (``Refused`` is
for an agent that was removed; it ends its tasks.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import msgspec

from headrace.mesos.master.core import validation
from headrace.mesos.messages.agent_link import Register
from headrace.mesos.messages.common import Resource, is_terminal
from headrace.mesos.resources import EMPTY, PLAIN, InvalidResourceError, Resources, Tag

_SIZES = 256
"""Many agents have the same resources, and a cluster starts all at once: so many verdicts are kept."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Resource]).decode


def problem_of(report: Register, *, domain_required: bool = False) -> str | None:
    """What is wrong with a registration; None if nothing is."""
    if report.agent_id is not None and (wrong := validation.identifier(report.agent_id.value)):
        return f"the agent id can't be used: {wrong}"
    if domain_required and report.agent_info.domain is None:
        return "the master was started with --require_agent_domain, and this agent names none; give it --domain"
    return (
        _problem_of_total("agent_info.resources", report.agent_info.resources or [], dynamic=False)
        or _problem_of_total("total", report.total or [], dynamic=True)
        or _problem_of_frameworks(report)
        or _problem_of_owners(report)
        or _problem_of_names(report)
        or _problem_of_holders(report)
    )


def _problem_of_total(where: str, given: Sequence[Resource], *, dynamic: bool) -> str | None:
    """Whether an agent can have these resources; ``dynamic``: with what operations have made of them."""
    return _problem_of_size(where, _encode(given), dynamic)


@lru_cache(maxsize=_SIZES)
def _problem_of_size(where: str, encoded: bytes, dynamic: bool) -> str | None:
    given = _decode(encoded)
    volumes: set[tuple[str, str]] = set()
    for resource in given:
        if resource.allocation_info is not None:
            return f"{where}: resource '{resource.name}' says whom it is allocated to, but it is the agent's own"
        try:
            one = Resources.parse([resource])
        except InvalidResourceError as error:
            return f"{where}: {error}"
        for tag in one.parts:
            if wrong := _problem_of_tag(tag, volumes, dynamic=dynamic):
                return f"{where}: resource '{resource.name}' {wrong}"
    return None


def _problem_of_tag(tag: Tag, volumes: set[tuple[str, str]], *, dynamic: bool) -> str | None:
    for reservation in tag.reservations:
        if wrong := validation.role(reservation.role):
            return f"is reserved for a role that can't be: {wrong}"
    if not dynamic and (tag.volume is not None or any(one.dynamic for one in tag.reservations)):
        return "is a volume or dynamically reserved; only 'total' can have that"
    if tag.volume is not None:
        if (tag.role, tag.volume) in volumes:
            return f"is the volume {tag.volume} of role {tag.role}, which is named twice"
        volumes.add((tag.role, tag.volume))
    return None


def _problem_of_frameworks(report: Register) -> str | None:
    for info in report.frameworks:
        if info.id is not None and (wrong := validation.identifier(info.id.value)):
            return f"the id of framework {info.id.value} can't be used: {wrong}"
        if wrong := validation.framework(info, ()):
            return f"framework {info.id.value if info.id is not None else info.name}: {wrong}"
    return None


def _problem_of_owners(report: Register) -> str | None:
    owners = [known.framework_id for known in report.tasks]
    owners += [one.framework_id for one in report.executors]
    owners += [one.framework_id for one in report.operations if one.framework_id is not None]
    for value in dict.fromkeys(owner.value for owner in owners):
        if wrong := validation.identifier(value):
            return f"the id of framework {value} can't be used: {wrong}"
    return None


def _problem_of_names(report: Register) -> str | None:
    tasks: set[tuple[str, str]] = set()
    for known in report.tasks:
        key = (known.framework_id.value, known.task.task_id.value)
        name = f"task {key[1]} of framework {key[0]}"
        if report.agent_id is None or known.task.agent_id != report.agent_id:
            return f"{name} belongs to agent {known.task.agent_id.value}, which is not the one that reports it"
        executor_id = known.executor_id.value if known.executor_id is not None else ""
        if wrong := validation.identifier(key[1]) or (validation.identifier(executor_id) if executor_id else None):
            return f"the id of {name} can't be used: {wrong}"
        if key in tasks:
            return f"{name} is reported twice"
        tasks.add(key)
    executors: set[tuple[str, str]] = set()
    for one in report.executors:
        key = (one.framework_id.value, one.executor.executor_id.value)
        name = f"executor {key[1]} of framework {key[0]}"
        if wrong := validation.identifier(key[1]):
            return f"the id of {name} can't be used: {wrong}"
        if key in executors:
            return f"{name} is reported twice"
        executors.add(key)
    return None


def _problem_of_holders(report: Register) -> str | None:
    """Amounts may be more than the agent has by now, but nothing that is one can be held by two."""
    taken = EMPTY
    for name, given, lives in _holders(report):
        try:
            held = Resources.parse(given)
        except InvalidResourceError as error:
            return f"{name}: {error}"
        if lives and _overlap(taken, held):
            return f"{name} holds ports, items or volumes that another one on its agent holds: {held}"
        taken = taken + held if lives else taken
    return None


def _holders(report: Register) -> Iterator[tuple[str, Sequence[Resource] | None, bool]]:
    for known in report.tasks:
        name = f"task {known.task.task_id.value} of framework {known.framework_id.value}"
        yield name, known.task.resources, not is_terminal(known.status.state)
    for one in report.executors:
        name = f"executor {one.executor.executor_id.value} of framework {one.framework_id.value}"
        yield name, one.executor.resources, True


def _overlap(one: Resources, other: Resources) -> bool:
    """Whether two hold the same port or item, or the same volume that is not shared."""
    for tag, part in ((PLAIN, other.plain), *other.parts.items()):
        mine = one.parts.get(tag, EMPTY) if tag != PLAIN else one.plain
        if tag.whole and not tag.shared and mine:
            return True
        single = Resources(ranges=part.ranges, sets=part.sets)
        if single and single - Resources(ranges=mine.ranges, sets=mine.sets) != single:
            return True
    return False
