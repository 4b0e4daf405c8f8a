"""ACCEPT: what a framework does with offers of an agent, one operation after the other on what is left.

What is left in the end returns to the allocator: converted resources at once, the others with the framework's filter.
"""

from __future__ import annotations

from collections.abc import Sequence

from headrace.mesos import operations
from headrace.mesos.master.core import validation
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.launching import INVALID_GROUP, INVALID_TASK, Hand, Launcher
from headrace.mesos.master.core.model import Framework, Offer
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.master.core.operations import Operations
from headrace.mesos.master.core.validation import resources as resource_validation
from headrace.mesos.master.core.validation.operations import named
from headrace.mesos.messages.common import OfferID, Resource, TaskInfo
from headrace.mesos.messages.scheduler import Accept, Operation
from headrace.mesos.resources import Resources, describe

LAUNCHES = frozenset({"LAUNCH", "LAUNCH_GROUP"})
_RESIZES = frozenset({"GROW_VOLUME", "SHRINK_VOLUME"})


class Acceptance:
    """The rules of ACCEPT, over the books."""

    def __init__(self, books: Books, offers: Offers, launcher: Launcher, operations: Operations) -> None:
        self._books = books
        self._offers = offers
        self._launcher = launcher
        self._operations = operations

    def accept(self, framework: Framework, call: Accept, now: float) -> None:
        """Use offers of one agent for operations."""
        offers = [framework.offers.get(offer_id.value) for offer_id in call.offer_ids or ()]
        wrong = _invalid(call.offer_ids or (), offers)
        valid = {offer.id: offer for offer in offers if offer is not None}
        for offer in valid.values():
            framework.offer_counts["accepted"] += 1
            self._offers.take(offer)
        if wrong is not None:
            until = now + self._books.settings.allocation_interval
            for offer in valid.values():
                self._offers.give_back(offer, until)
            self._lose(framework, call.operations or (), wrong, now)
            return
        given = list(valid.values())
        offered = given[0].resources
        for offer in given[1:]:
            offered = offered + offer.resources
        hand = Hand(framework, self._books.agents[given[0].agent_id], given[0].role, offered)
        for operation in [one for one in call.operations or () if self._sound(framework, one, now)]:
            self._operate(hand, operation, now)
        self._launcher.flush(hand)
        self._settle(hand, call, now)

    def _lose(self, framework: Framework, given: Sequence[Operation], why: str, now: float) -> None:
        state = "TASK_DROPPED" if framework.partition_aware else "TASK_LOST"
        text = f"Task launched with invalid offers: {why}"
        for operation in given:
            if operation.type in LAUNCHES:
                self._launcher.refuse(framework, tasks_of(operation), state, "REASON_INVALID_OFFERS", text, now)
            else:
                self._operations.drop(framework, operation, f"Operation attempted with invalid offers: {why}", now)

    # Before anything is done

    def _sound(self, framework: Framework, operation: Operation, now: float) -> bool:
        """Whether all resources that are named make sense; if not, whoever it concerns is told."""
        launches = operation.type in LAUNCHES
        wrong = resource_validation.form(_resources_of(operation) if launches else named(operation))
        if wrong is None and operation.reserve is not None and operation.reserve.source:
            wrong = "Reservation updates are not yet implemented for the scheduler API."
        if launches and wrong is None and operation.id is not None:
            wrong = f"The `id` field cannot be set on {operation.type} operations"
        if wrong is None:
            return True
        if launches:
            reason = INVALID_TASK if operation.type == "LAUNCH" else INVALID_GROUP
            self._launcher.refuse(framework, tasks_of(operation), "TASK_ERROR", reason, wrong, now)
        else:
            self._operations.drop(framework, operation, f"Operation attempted with invalid resources: {wrong}", now)
        return False

    # One after the other

    def _operate(self, hand: Hand, operation: Operation, now: float) -> None:
        if operation.launch is not None and operation.type == "LAUNCH":
            self._launcher.launch(hand, operation.launch.task_infos or (), now)
        elif operation.launch_group is not None and operation.type == "LAUNCH_GROUP":
            self._launcher.launch_group(hand, operation.launch_group, now)
        elif wrong := self._convert(hand, operation, now):
            self._operations.drop(hand.framework, operation, wrong, now)

    def _convert(self, hand: Hand, operation: Operation, now: float) -> str | None:
        """Carry out an operation on resources, or say why not."""
        framework, agent = hand.framework, hand.agent
        where = f"; on agent {agent.id} at slave(1)@{agent.ip}:{agent.info.port or 0} ({agent.info.hostname})"
        if operation.type not in operations.CONVERSIONS:
            return "'source' is not managed by a resource provider" + where
        if operation.id is not None and operation.id.value in framework.operations:
            return f"Operation has duplicate ID: {operation.id.value}"
        principal = framework.info.principal
        wrong = validation.operation(operation, agent, owner=framework, role=hand.role, principal=principal)
        if wrong is not None:
            return wrong + where
        if operation.type == "DESTROY":
            self._rescind_volumes(operation, now, hand)
        try:
            left = self._left_after(hand, operation)
        except operations.OperationError as error:
            return str(error)
        self._launcher.flush(hand)
        self._operations.carry_out(framework, agent, hand.role, operation, now)
        hand.left = left
        hand.used = hand.converted = True
        if operation.type in ("CREATE", "DESTROY"):
            hand.look_for_shared()
        return None

    def _rescind_volumes(self, operation: Operation, now: float, hand: Hand) -> None:
        """Volumes that are to be destroyed may be offered to others too, if they are shared."""
        volumes = [Resources.parse([one]) for one in named(operation)]
        offers = [o for o in hand.agent.offers.values() if any(o.resources.contains(volume) for volume in volumes)]
        self._offers.rescind(offers, "a volume in it is destroyed", now)

    def _left_after(self, hand: Hand, operation: Operation) -> Resources:
        if operation.type not in _RESIZES:
            return operations.apply(operation, hand.left, hand.role)
        (step,) = operations.conversions(operation)
        if not hand.left.contains(step.consumed):
            have, need = describe(hand.left.messages(hand.role)), describe(step.consumed.messages(hand.role))
            raise operations.OperationError(f"Invalid {operation.type} operation: {have} does not contain {need}")
        hand.resized = hand.resized + step.converted
        return hand.left - step.consumed

    def _settle(self, hand: Hand, call: Accept, now: float) -> None:
        """What is left goes back. A framework that uses a part of an offer may have the rest at once."""
        until = self._offers.refuse_until(call.filters, now, used=hand.used)
        rest = hand.left
        if hand.converted:
            rest = rest + hand.resized
            fresh = _fresh(rest, hand.offered)
            rest = rest - fresh
            self._recover(hand, fresh, None)
        self._recover(hand, rest, until)

    def _recover(self, hand: Hand, resources: Resources, until: float | None) -> None:
        if resources:
            self._books.allocator.recover(hand.agent.id, hand.framework.id, hand.role, resources, refuse_until=until)


def _fresh(rest: Resources, offered: Resources) -> Resources:
    """What of ``rest`` was not offered; a volume of another size is another volume."""
    changed = {tag for tag, part in rest.parts.items() if tag.whole and part != offered.parts.get(tag)}
    return rest - offered.where(lambda tag: tag not in changed)


def _invalid(ids: Sequence[OfferID], offers: Sequence[Offer | None]) -> str | None:
    if not offers:
        return "No offers specified"
    seen: set[str] = set()
    for offer_id in ids:
        if offer_id.value in seen:
            return f"Duplicate offer {offer_id.value} in offer list"
        seen.add(offer_id.value)
    for offer_id, offer in zip(ids, offers, strict=True):
        if offer is None:
            return f"Offer {offer_id.value} is no longer valid"
    return _differing([offer for offer in offers if offer is not None])


def _differing(offers: Sequence[Offer]) -> str | None:
    first = offers[0]
    for offer in offers:
        if offer.role != first.role:
            # the missing quotation marks are Mesos's
            return (
                "Aggregated offers must be allocated to the same role. "
                f"Offer {offer.id} uses role '{offer.role} but another is using role '{first.role}"
            )
    for offer in offers:
        if offer.agent_id != first.agent_id:
            return (
                "Aggregated offers must belong to one single agent. "
                f"Offer {offer.id} uses agent {offer.agent_id} and agent {first.agent_id}"
            )
    return None


def tasks_of(operation: Operation) -> list[TaskInfo]:
    """The tasks that an operation is to launch."""
    if operation.launch is not None and operation.type == "LAUNCH":
        return operation.launch.task_infos or []
    if operation.launch_group is not None and operation.type == "LAUNCH_GROUP":
        return operation.launch_group.task_group.tasks or []
    return []


def _resources_of(operation: Operation) -> list[Resource]:
    """All resources that tasks and their executors name."""
    out: list[Resource] = []
    for info in tasks_of(operation):
        out += info.resources or ()
        if info.executor is not None:
            out += info.executor.resources or ()
    if operation.launch_group is not None:
        out += operation.launch_group.executor.resources or ()
    return out
