"""What may differ between two starts of an agent on the same data: resources and attributes, and how far."""

from __future__ import annotations

import logging

from headrace.kernel.daemon import UserError
from headrace.mesos.agent.core.operations import DoesNotFitError, restored
from headrace.mesos.agent.core.records import ENDED, AgentRecord, Saved
from headrace.mesos.agent.offered import as_text
from headrace.mesos.messages.common import AgentInfo
from headrace.mesos.resources import EMPTY, Resources

log = logging.getLogger(__name__)


def compare(saved: Saved, info: AgentInfo, resources: Resources) -> None:
    """Say what has changed since the last start; refuse less than there is in use. Raises UserError.

    ``saved.total`` is put right: ``resources``, with the reservations and volumes that have been made of them.
    """
    before = saved.agent
    if before is not None:
        if Resources.parse(before.resources) != resources:
            log.warning("resources were %s before this start", Resources.parse(before.resources))
        if before.attributes != (info.attributes or []):
            log.warning("attributes were %s before this start", as_text(before.attributes) or "none")
    total, held = _total(saved, before, resources), _held(saved)
    if not total.contains(held):
        raise UserError(
            f"--resources: the tasks that run on this agent hold {held}, which is more than {total}; "
            "give at least that, or end the tasks first"
        )


def _total(saved: Saved, before: AgentRecord | None, resources: Resources) -> Resources:
    if saved.total is None:
        return resources
    total = Resources.parse(saved.total)
    if before is None or Resources.parse(before.resources) != resources:
        try:
            total = restored(resources, total)
        except DoesNotFitError as error:
            raise UserError(f"--resources: {error}; give at least that, or give back what was made of it") from None
        saved.total = total.messages()
    return total


def _held(saved: Saved) -> Resources:
    """What the tasks and executors that have not ended hold; without shared volumes, of which any number may."""
    held = EMPTY
    for record, state in saved.tasks:
        if state.phase != ENDED:
            held = held + Resources.parse(record.task.resources)
    for executor, _ in saved.executors:
        held = held + Resources.parse(executor.executor.resources)
    return held.where(lambda tag: not tag.shared)
