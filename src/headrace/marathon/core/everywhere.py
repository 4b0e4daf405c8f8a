"""Apps with an instance on every agent (``instancesPer: agent``).

Offers make their instances (``offers.OfferDesk``): each agent whose offer suits gets one. An instance whose task has
ended waits for its own agent; if that has nothing for it in a while, it is forgotten, and the agent's next offer that
suits makes another. One whose agent is gone, or stays unreachable, is forgotten too.
"""

from __future__ import annotations

from headrace.marathon.core.books import Books
from headrace.marathon.core.health import considered_healthy
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.records import LOST, Cause, Condition, Goal, Instance
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.run_spec import RunSpec

TIMER = "own-agent/"
PATIENCE = 600.0
"""Seconds that an instance waits for its agent, longer than any launch delay by default."""


def waits(instance: Instance) -> bool:
    """Whether it is to be launched on its agent."""
    return instance.condition is Condition.SCHEDULED and instance.goal is Goal.RUNNING


def began_to_wait(books: Books, instance: Instance, now: float) -> None:
    """The instance's task has ended, and it waits for its agent; also after a start."""
    if waits(instance):
        books.wake(TIMER + instance.id, now + PATIENCE)


def waited(books: Books, instance_id: str, now: float) -> None:
    """The agent has had nothing for the instance for long."""
    instance = books.instances.get(instance_id)
    if instance is not None and waits(instance) and instance.app_id in books.per_agent:
        books.tell(instance.app_id, now, f"instance {instance.id} is given up", f"{instance.host} has no room for it")
        books.forget(instance)


def renew(books: Books, killer: Killer, app: RunSpec, now: float) -> bool:
    """Replace one old instance, unhealthy ones first, once all others are good. Returns whether none is left."""
    members = [one for one in books.of_app(app.id) if one.condition is not Condition.INACTIVE]
    old = [one for one in members if one.config_version != app.config_version and one.condition not in LOST]
    ended = [one for one in old if one.cause is not None]
    coming = [one for one in members if one.config_version == app.config_version and not _good(books, one)]
    if old and not ended and not coming:
        ended = sorted(old, key=lambda one: _good(books, one))[:1]
    for instance in ended:
        killer.kill(instance, now, "replaced by a newer version", Cause.UPGRADE)
    return not old and not coming


def _good(books: Books, instance: Instance) -> bool:
    spec = books.definition(instance)
    running = instance.condition is Condition.RUNNING and instance.ready
    return running and isinstance(spec, App) and considered_healthy(spec, instance)
