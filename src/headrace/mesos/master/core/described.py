"""What the books hold as messages of the operator API: agents, frameworks, tasks, executors, operations, all of it.

Only reads. What may be a secret is left out (``mesos.public``). Messages of resources, which many agents have in
common, are made once.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from headrace.mesos.master.core import encoding, model
from headrace.mesos.messages import operator_answers as answers
from headrace.mesos.messages import operator_common as common
from headrace.mesos.messages.common import (
    AgentCapability,
    AgentID,
    AllocationInfo,
    ExecutorID,
    FrameworkID,
    Identifier,
    InverseOffer,
    Offer,
    OperationUuid,
    Resource,
    TaskStatus,
    TimeInfo,
)
from headrace.mesos.messages.scheduler import Operation as OperationInfo
from headrace.mesos.public import public_form
from headrace.mesos.resources import EMPTY, Resources, old_form

if TYPE_CHECKING:
    from headrace.mesos.master.core.books import Books

AGENT_CAPABILITIES = (
    *("MULTI_ROLE", "HIERARCHICAL_ROLE", "RESERVATION_REFINEMENT", "RESIZE_VOLUME"),
    *("AGENT_OPERATION_FEEDBACK", "AGENT_DRAINING", "TASK_RESOURCE_LIMITS"),
)
"""What agents are capable of, in Mesos's words."""

_CAPABILITIES = [AgentCapability(name) for name in AGENT_CAPABILITIES]
_MAX_KEPT = 4096


class Described:
    """The books in the operator API's words. ``asked`` tells which inverse offers a framework has not answered."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self.asked: Callable[[model.Framework], list[InverseOffer]] = lambda _: []
        self._resources: dict[tuple[Resources, str | None, bool], list[Resource]] = {}

    # All of it

    def state(self) -> answers.State:
        """The answer to GET_STATE."""
        return answers.State(self.tasks(), self.executors(), self.frameworks(), self.agents())

    def tasks(self) -> answers.Tasks:
        """All tasks, but for completed ones that were forgotten."""
        books = self._books
        everyone = [*books.frameworks.values(), *books.completed]
        return answers.Tasks(
            [self.task(one) for framework in books.frameworks.values() for one in framework.tasks.values()],
            [self.task(one) for framework in books.frameworks.values() for one in framework.unreachable.values()],
            [self.task(one) for framework in everyone for one in framework.completed],
        )

    def executors(self) -> answers.Executors:
        """All executors that run."""
        frameworks = self._books.frameworks.values()
        return answers.Executors([self.executor(one) for each in frameworks for one in each.executors.values()])

    def frameworks(self) -> answers.Frameworks:
        """All frameworks, but for completed ones that were forgotten."""
        books = self._books
        return answers.Frameworks(
            [self.framework(one) for one in books.frameworks.values()],
            [self.framework(one) for one in books.completed],
        )

    def agents(self) -> answers.Agents:
        """All agents that are registered, and those that are waited for after a restart of the master."""
        books = self._books
        awaited = [
            msgspec.structs.replace(books.absent[agent_id].info, id=AgentID(agent_id), checkpoint=True)
            for agent_id in sorted(books.awaited)
        ]
        return answers.Agents([self.agent(one) for one in books.agents.values()], awaited)

    def operations(self) -> common.Operations:
        """All operations that are tracked."""
        frameworks = self._books.frameworks.values()
        return common.Operations([operation(one) for each in frameworks for one in each.operations.values()] or None)

    # One by one

    def agent(self, one: model.Agent, *, checkpoint: bool | None = True) -> answers.Agent:
        """An agent as it is now; when its draining began is told in whole seconds, as by Mesos."""
        drain = one.deactivation.drain if one.deactivation is not None else None
        return answers.Agent(
            msgspec.structs.replace(one.info, id=AgentID(one.id), checkpoint=checkpoint),
            one.active,
            one.version,
            deactivated=one.deactivation is not None,
            pid=f"slave(1)@{one.ip}:{one.info.port or 0}",
            registered_time=_time(one.registered),
            reregistered_time=_time(one.reregistered) if one.reregistered is not None else None,
            total_resources=self._old(one.total, None),
            allocated_resources=self._allocated(one.used()) if one.tasks or one.executors else None,
            offered_resources=self._offered(one.offers.values()) if one.offers else None,
            capabilities=_CAPABILITIES,
            drain_info=drain_info(drain) if drain is not None else None,
            estimated_drain_start_time=TimeInfo(int(drain.started) * 1_000_000_000) if drain is not None else None,
        )

    def framework(self, one: model.Framework) -> answers.Framework:
        """A framework with what it holds and is offered."""
        held: dict[str, list[Resources]] = {}
        for each in one.tasks.values():
            if each.holds:
                held.setdefault(each.role, []).append(each.resources)
        for executor in one.executors.values():
            held.setdefault(executor.role, []).append(executor.resources)
        offered: dict[str, list[Resources]] = {}
        for offer in one.offers.values():
            offered.setdefault(offer.role, []).append(offer.resources)
        return msgspec.structs.replace(
            self.framework_alone(one),
            unregistered_time=_time(one.unregistered) if one.unregistered else None,
            offers=[self._offer(offer) for offer in one.offers.values()] or None,
            inverse_offers=self.asked(one) or None,
            allocated_resources=self._scalars(held),
            offered_resources=self._scalars(offered),
            offer_constraints=one.constraints.given,
        )

    def framework_alone(self, one: model.Framework) -> answers.Framework:
        """A framework without what it holds, as events tell of it."""
        return answers.Framework(
            one.info,
            one.connected,
            one.connected,
            one.recovered,
            _time(one.registered),
            _time(one.reregistered if one.reregistered is not None else one.registered),
            _time(one.unregistered),
        )

    def task(self, one: model.Task) -> common.Task:
        """A task with its history."""
        info = public_form(one.info)
        told = next((status for status in reversed(one.statuses) if status.uuid is not None), None)
        return common.Task(
            info.name,
            info.task_id,
            FrameworkID(one.framework_id),
            AgentID(one.agent_id),
            one.state,
            executor_id=ExecutorID(one.executor_id) if one.executor_id else None,
            resources=self._messages(one.resources, one.role) or None,
            statuses=[public_status(status) for status in one.statuses] or None,
            status_update_state=told.state if told is not None else None,
            status_update_uuid=told.uuid if told is not None else None,
            labels=info.labels,
            discovery=info.discovery,
            container=info.container,
            user=info.command.user if info.command is not None else None,
            health_check=info.health_check,
            kill_policy=info.kill_policy,
            max_completion_time=info.max_completion_time,
            limits=info.limits,
        )

    def executor(self, one: model.Executor) -> answers.Executor:
        """An executor that runs."""
        info = msgspec.structs.replace(public_form(one.info), resources=self._messages(one.resources, one.role) or None)
        return answers.Executor(info, AgentID(one.agent_id))

    # Parts

    def _offer(self, offer: model.Offer) -> Offer:
        agent = self._books.agents[offer.agent_id]
        info = agent.info
        return Offer(
            Identifier(offer.id),
            FrameworkID(offer.framework_id),
            AgentID(agent.id),
            info.hostname,
            encoding.url(info, agent.ip),
            self._messages(offer.resources, offer.role),
            info.attributes,
            allocation_info=AllocationInfo(offer.role),
            domain=info.domain,
            unavailability=agent.unavailability,
        )

    def _allocated(self, used: dict[tuple[str, str], Resources]) -> list[Resource] | None:
        by_role: dict[str, Resources] = {}
        for (_, role), resources in used.items():
            by_role[role] = by_role[role] + resources if role in by_role else resources
        return [message for role, resources in by_role.items() for message in self._old(resources, role)] or None

    def _offered(self, offers: Iterable[model.Offer]) -> list[Resource]:
        return [message for offer in offers for message in self._old(offer.resources, offer.role)]

    def _scalars(self, by_role: dict[str, list[Resources]]) -> list[Resource] | None:
        return [message for role, each in by_role.items() for message in self._old(scalars_of(each), role)] or None

    def _old(self, resources: Resources, role: str | None) -> list[Resource]:
        """With ``role`` and ``reservation``, as before reservations could be refined, beside ``reservations``."""
        return self._kept(resources, role, both=True)

    def _messages(self, resources: Resources, role: str) -> list[Resource]:
        return self._kept(resources, role, both=False)

    def _kept(self, resources: Resources, role: str | None, *, both: bool) -> list[Resource]:
        key = (resources, role, both)
        found = self._resources.get(key)
        if found is None:
            if len(self._resources) >= _MAX_KEPT:
                self._resources.clear()
            found = resources.messages(role)
            if both:
                found = [both_forms(message) for message in found]
            self._resources[key] = found
        return found


def drain_info(drain: model.Drain) -> answers.DrainInfo:
    """How an agent is drained, and how far that is."""
    return answers.DrainInfo(drain.state, answers.DrainConfig(drain.max_grace_period, drain.mark_gone))


def scalars_of(many: Iterable[Resources]) -> Resources:
    """The sum without ranges and sets, which can't be added up over agents."""
    total: dict[str, int] = {}
    special = EMPTY
    for one in many:
        for name, amount in one.scalars.items():
            total[name] = total.get(name, 0) + amount
        if one.parts:
            special = special + Resources(parts=one.parts)
    return special + Resources(total)


def operation(one: model.TrackedOperation) -> common.Operation:
    """An operation with what became of it. Its uuid is made of its ids: ours have none of their own."""
    named = _fnv_1a(f"{one.framework_id}/{one.id}".encode())
    return common.Operation(
        one.info if one.info is not None else OperationInfo(id=one.status.operation_id),
        one.status,
        OperationUuid(base64.b64encode(named).decode()),
        FrameworkID(one.framework_id) if one.framework_id else None,
        AgentID(one.agent_id),
        [one.status],
    )


def both_forms(message: Resource) -> Resource:
    """With ``role`` and ``reservation``, as before reservations could be refined, beside ``reservations``."""
    if len(message.reservations or ()) > 1:
        return message
    return msgspec.structs.replace(old_form(message), reservations=message.reservations)


def public_status(status: TaskStatus) -> TaskStatus:
    """A status without what a task says to its framework alone."""
    return msgspec.structs.replace(status, data=None) if status.data is not None else status


def _fnv_1a(data: bytes) -> bytes:
    """16 bytes made of any number of them; ``hashlib`` would cost each master 3 MB. Source: Fowler, Noll and Vo."""
    found = 0x6C62272E07BB014262B821756295C58D
    for byte in data:
        found = (found ^ byte) * 0x0000000001000000000000000000013B & (1 << 128) - 1
    return found.to_bytes(16, "big")


def _time(seconds: float) -> TimeInfo:
    return TimeInfo(round(seconds * 1e9))
