"""Offers: made from what the allocator grants, then accepted, declined or rescinded.

An accepted offer's resources go to tasks; what is left, and everything declined, returns to the
allocator with the framework's filter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headrace.kernel.core import CancelTimer, SetTimer
from headrace.mesos.master import validation
from headrace.mesos.master.allocator import Allocation
from headrace.mesos.master.books import Books
from headrace.mesos.master.effects import OfferList, OffersEvent
from headrace.mesos.master.encoding import OfferEncoder
from headrace.mesos.master.model import Agent, Framework, Offer, Task
from headrace.mesos.master.tasks import Tasks
from headrace.mesos.messages.agent_link import RunTasks
from headrace.mesos.messages.common import Filters, Identifier, OfferID, TaskInfo, TaskStatus
from headrace.mesos.messages.scheduler import Accept, Decline, Event, Operation, Rescind, Update
from headrace.mesos.resources import Resources

DEFAULT_REFUSE_SECONDS = 5.0
MAX_REFUSE_SECONDS = 365 * 86400.0
OFFER_TIMER = "offer/"

_NO_FILTERS = Filters()


class Offers:
    """The rules of offers, over the books."""

    def __init__(self, books: Books, tasks: Tasks) -> None:
        self._books = books
        self._tasks = tasks
        self._encoder = OfferEncoder()

    # Making and taking back

    def allocate(self, now: float) -> None:
        """Offer what the allocator grants: one OFFERS event for each framework."""
        by_framework: dict[str, list[Allocation]] = {}
        for allocation in self._books.allocator.allocate(now):
            by_framework.setdefault(allocation.framework_id, []).append(allocation)
        for framework_id, allocations in by_framework.items():
            framework = self._books.frameworks[framework_id]
            encoded = [self._offer(framework, allocation, now) for allocation in allocations]
            framework.offer_counts["sent"] += len(encoded)
            self._books.send(framework, OffersEvent(offers=OfferList(encoded)))

    def _offer(self, framework: Framework, allocation: Allocation, now: float) -> msgspec.Raw:
        books = self._books
        agent = books.agents[allocation.agent_id]
        offer_id = f"{books.master.id}-O{books.next_offer}"
        books.next_offer += 1
        offer = Offer(offer_id, framework.id, allocation.role, agent.id, allocation.resources)
        books.offers[offer_id] = framework.offers[offer_id] = agent.offers[offer_id] = offer
        if books.settings.offer_timeout is not None:
            books.emit(SetTimer(OFFER_TIMER + offer_id, now + books.settings.offer_timeout))
        return self._encoder.encode(offer, framework, agent)

    def withdraw(self, offers: Iterable[Offer]) -> None:
        """Take offers back from a framework that is gone; nobody is told."""
        for offer in list(offers):
            self._remove(offer)
            self._recover(offer, None)

    def rescind(self, offers: Iterable[Offer], why: str, now: float) -> None:
        """Take offers back and tell their frameworks."""
        for offer in list(offers):
            framework = self._books.frameworks[offer.framework_id]
            self._books.story(f"framework/{framework.id}", now, f"offer of agent {offer.agent_id} rescinded", why)
            self._remove(offer)
            self._recover(offer, None)
            framework.offer_counts["rescinded"] += 1
            self._books.send(framework, Event("RESCIND", rescind=Rescind(OfferID(offer.id))))

    def expire(self, offer_id: str, now: float) -> None:
        """The offer was held for longer than offers may be."""
        offer = self._books.offers.get(offer_id)
        if offer is not None:
            self.rescind([offer], "held for longer than --offer_timeout", now)

    def _remove(self, offer: Offer) -> None:
        books = self._books
        del books.offers[offer.id]
        del books.frameworks[offer.framework_id].offers[offer.id]
        del books.agents[offer.agent_id].offers[offer.id]
        if books.settings.offer_timeout is not None:
            books.emit(CancelTimer(OFFER_TIMER + offer.id))

    def _recover(self, offer: Offer, refuse_until: float | None) -> None:
        if offer.resources:
            self._books.allocator.recover(
                offer.agent_id, offer.framework_id, offer.role, offer.resources, refuse_until=refuse_until
            )

    # Decline

    def decline(self, framework: Framework, call: Decline, now: float) -> None:
        """The framework doesn't want these offers; unknown ones are no error."""
        until = self._refuse_until(call.filters, now, launched=False)
        for offer_id in call.offer_ids or ():
            offer = framework.offers.get(offer_id.value)
            if offer is not None:
                framework.offer_counts["declined"] += 1
                self._remove(offer)
                self._recover(offer, until)

    def _refuse_until(self, filters: Filters | None, now: float, *, launched: bool) -> float | None:
        """When what is given back may be offered to the same framework again.

        A framework that uses a part of an offer may have the rest at once; one that uses nothing of it
        waits for a moment even if it asks for none.
        """
        seconds = (filters or _NO_FILTERS).refuse_seconds
        if seconds is None or seconds < 0:
            seconds = DEFAULT_REFUSE_SECONDS
        if not launched:
            seconds = max(seconds, self._books.settings.allocation_interval)
        return now + min(seconds, MAX_REFUSE_SECONDS) if seconds > 0 else None

    # Accept

    def accept(self, framework: Framework, call: Accept, now: float) -> None:
        """Use offers of one agent for operations, one after the other."""
        offers = [framework.offers.get(offer_id.value) for offer_id in call.offer_ids or ()]
        wrong = self._invalid(call.offer_ids or (), offers)
        valid = {offer.id: offer for offer in offers if offer is not None}
        for offer in valid.values():
            framework.offer_counts["accepted"] += 1
            self._remove(offer)
        if wrong is not None:
            until = self._refuse_until(call.filters, now, launched=False)
            for offer in valid.values():
                self._recover(offer, until)
            self._lose(framework, call.operations or (), wrong, now)
            return
        self._operate(framework, list(valid.values()), call, now)

    def _invalid(self, ids: Sequence[OfferID], offers: Sequence[Offer | None]) -> str | None:
        if not offers:
            return "No offers specified"
        seen: set[str] = set()
        first: Offer | None = None
        for offer_id, offer in zip(ids, offers, strict=True):
            if offer is None:
                return f"Offer {offer_id.value} is no longer valid"
            if offer.id in seen:
                return f"Duplicate offer {offer.id} in offer list"
            seen.add(offer.id)
            first = first or offer
            if offer.agent_id != first.agent_id:
                return (
                    "Aggregated offers must belong to one single agent. "
                    f"Offer {offer.id} uses agent {offer.agent_id} and agent {first.agent_id}"
                )
            if offer.role != first.role:
                return (
                    "Aggregated offers must be allocated to the same role. "
                    f"Offer {offer.id} uses role {offer.role} and role {first.role}"
                )
        return None

    def _lose(self, framework: Framework, operations: Sequence[Operation], why: str, now: float) -> None:
        state = "TASK_DROPPED" if framework.partition_aware else "TASK_LOST"
        for task in _all_tasks(operations):
            self._refuse(
                framework, task, state, "REASON_INVALID_OFFERS", f"Task launched with invalid offers: {why}", now
            )

    def _operate(self, framework: Framework, offers: Sequence[Offer], call: Accept, now: float) -> None:
        first = offers[0]
        agent = self._books.agents[first.agent_id]
        left = first.resources
        for offer in offers[1:]:
            left = left + offer.resources
        started: list[TaskInfo] = []
        for operation in call.operations or ():
            if operation.launch is not None:
                for info in operation.launch.task_infos or ():
                    task = self._launch(framework, agent, first.role, info, left, now)
                    if task is not None:
                        left = left - task.resources
                        started.append(task.info)
            else:
                self._refuse_group(framework, operation, now)
        if started:
            self._books.tell(agent, RunTasks(framework.info, started))
        if left:
            until = self._refuse_until(call.filters, now, launched=bool(started))
            self._books.allocator.recover(agent.id, framework.id, first.role, left, refuse_until=until)

    def _launch(
        self, framework: Framework, agent: Agent, role: str, info: TaskInfo, left: Resources, now: float
    ) -> Task | None:
        wrong = validation.task(info, framework, agent.id, role, left)
        if wrong is not None:
            self._refuse(framework, info, "TASK_ERROR", "REASON_TASK_INVALID", wrong, now)
            return None
        resources = Resources.parse(info.resources)
        # with its role in it, the agent's report is enough for a master without memory
        info = msgspec.structs.replace(info, resources=resources.messages(role))
        task = Task(framework.id, role, info, resources)
        framework.unreachable.pop(task.id, None)
        self._tasks.add(framework, agent, task)
        self._books.counters["tasks_launched"] += 1
        self._books.story(f"task/{framework.id}/{task.id}", now, "launched", f"on agent {agent.id}")
        return task

    def _refuse_group(self, framework: Framework, operation: Operation, now: float) -> None:
        for info in _tasks_of_group(operation):
            why = "LAUNCH_GROUP is not supported by this master; use LAUNCH"
            self._refuse(framework, info, "TASK_ERROR", "REASON_TASK_GROUP_INVALID", why, now)

    def _refuse(self, framework: Framework, info: TaskInfo, state: str, reason: str, message: str, now: float) -> None:
        self._books.story(f"task/{framework.id}/{info.task_id.value}", now, state, message)
        self._books.counters["tasks_error" if state == "TASK_ERROR" else "tasks_lost"] += 1
        status = TaskStatus(
            Identifier(info.task_id.value),
            state,
            message,
            "SOURCE_MASTER",
            reason,
            agent_id=info.agent_id,
            timestamp=now,
        )
        self._books.send(framework, Event("UPDATE", update=Update(status)))


def _all_tasks(operations: Sequence[Operation]) -> list[TaskInfo]:
    out: list[TaskInfo] = []
    for operation in operations:
        out += (operation.launch.task_infos or ()) if operation.launch is not None else _tasks_of_group(operation)
    return out


def _tasks_of_group(operation: Operation) -> list[TaskInfo]:
    return list(operation.launch_group.task_group.tasks or ()) if operation.launch_group is not None else []
