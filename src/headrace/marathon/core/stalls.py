"""Says when a deployment does not come on: an event with what it waits for, more rarely the longer nothing moves."""

from __future__ import annotations

import msgspec

from headrace.kernel.clock import iso8601
from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import FIRST_LOOK, STALLED, Deployment, Deployments, is_good
from headrace.marathon.core.why import Explainer

MAX_PAUSE = 3600.0
_SHOWN = 20


class _Mark(msgspec.Struct, frozen=True):
    """How far a deployment had come, and since when it was there."""

    at: int
    done: frozenset[str]
    good: int
    left: int
    since: float
    pause: float


class Stalls:
    """Looks at each deployment every so often (``Deployments`` sets the first timer)."""

    def __init__(self, books: Books, deployments: Deployments, explainer: Explainer) -> None:
        self._books = books
        self._deployments = deployments
        self._explainer = explainer
        self._marks: dict[str, _Mark] = {}

    def look(self, deployment_id: str, now: float) -> None:
        """The timer of a deployment."""
        deployment = self._deployments.running.get(deployment_id)
        self._marks = {one: mark for one, mark in self._marks.items() if one in self._deployments.running}
        if deployment is None:
            return
        before, mark = self._marks.get(deployment_id), self._mark(deployment, now)
        if before is not None and _place(before) == _place(mark):
            mark = msgspec.structs.replace(mark, since=before.since, pause=min(MAX_PAUSE, 2 * before.pause))
            self._publish(deployment, mark, now)
        self._marks[deployment_id] = mark
        self._books.wake(STALLED + deployment_id, now + mark.pause)

    def _mark(self, deployment: Deployment, now: float) -> _Mark:
        good = left = 0
        for action in deployment.actions():
            spec = self._books.specs.get(action.app)
            for one in self._books.of_app(action.app):
                fine = spec is not None and one.version == spec.version and is_good(spec, one)
                good, left = good + fine, left + (not fine)
        return _Mark(deployment.at, frozenset(deployment.done), good, left, now, FIRST_LOOK)

    def _publish(self, deployment: Deployment, mark: _Mark, now: float) -> None:
        """Explain the first actions that lack something, as many as are shown: there may be thousands."""
        why: list[dict[str, str]] = []
        for action in deployment.actions():
            found = self._explainer.deployment(deployment, action, now)
            if found:
                why += ({"action": action.action, "id": action.app, "text": one.text} for one in found)
                what = f"deployment {deployment.plan.id} does not come on"
                self._books.tell(action.app, now, what, found[0].text)
            if len(why) >= _SHOWN:
                break
        self._books.publish(
            "deployment_stalled_event",
            id=deployment.plan.id,
            version=deployment.plan.version,
            currentStep=deployment.at + 1,
            since=iso8601(mark.since),
            why=why[:_SHOWN],
        )


def _place(mark: _Mark) -> tuple[object, ...]:
    return mark.at, mark.done, mark.good, mark.left
