"""Counts what is said to the master and heard from it."""

from __future__ import annotations

from collections import Counter

from headrace.mesos.client import ClientEvent, Received
from headrace.mesos.messages.scheduler import Call


def count_call(counters: Counter[str], call: Call) -> None:
    """Calls about offers; the others are nobody's business."""
    match call.type:
        case "REVIVE" | "SUPPRESS":
            counters[f"mesos.calls.{call.type.lower()}.counter"] += 1
        case "DECLINE" if call.decline is not None:
            counters["mesos.offers.declined.counter"] += len(call.decline.offer_ids or ())
        case "ACCEPT" if call.accept is not None:
            counters["mesos.offers.used.counter"] += len(call.accept.offer_ids or ())
            for operation in call.accept.operations or ():
                kind = (operation.type or "unknown").lower().replace("_", "-")
                counters[f"mesos.offer-operations.{kind}.counter"] += 1
                if operation.launch is not None:
                    counters["tasks.launched.counter"] += len(operation.launch.task_infos or ())
                elif operation.launch_group is not None:
                    counters["tasks.launched.counter"] += len(operation.launch_group.task_group.tasks or ())


def count_event(counters: Counter[str], event: ClientEvent) -> None:
    """Offers, and statuses by state."""
    if not isinstance(event, Received):
        return
    if event.event.offers is not None:
        counters["mesos.offers.incoming.counter"] += len(event.event.offers.offers)
    elif event.event.update is not None:
        state = event.event.update.status.state.lower().replace("_", "-")
        counters[f"mesos.task-updates.{state}.counter"] += 1
