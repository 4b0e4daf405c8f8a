"""Why something waits, and what would be enough: for an app, an instance, a deployment. Changes nothing.

An obstacle says in one sentence what is missing. Those about offers come from the last offer of each agent: how many
agents lack what, and how much the best of them has.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from headrace.kernel.clock import iso8601
from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import Deployment, is_good
from headrace.marathon.core.health import Health, considered_healthy
from headrace.marathon.core.matcher import REASONS, Refusal
from headrace.marathon.core.queue import Attempt, LaunchQueue
from headrace.marathon.core.records import LOST, RESTART, START, STOP, Action, Condition, Goal, Instance
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.checks import HealthCheck
from headrace.marathon.definitions.run_spec import RunSpec

_UNITS = {"mem": "MiB of memory", "disk": "MiB of disk"}
MAX_INSTANCES = 20
"""Of so many instances of one app each is named."""


class Obstacle(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """One thing that is in the way. ``kind``: offers, delay, secrets, start, health, readiness, unreachable, end, step.

    About offers: ``reason`` as in the queue, ``agents`` that lack it, and for amounts what is ``needed`` on one agent,
    the ``largest`` that one of those has, and where.
    """

    kind: str
    text: str
    instance: str = ""
    reason: str = ""
    agents: int = 0
    resource: str = ""
    needed: float | None = None
    largest: float | None = None
    host: str = ""
    until: str = ""


class Explainer:
    """Looks at what there is."""

    def __init__(self, books: Books, queue: LaunchQueue, health: Health) -> None:
        self._books = books
        self._queue = queue
        self._health = health

    def app(self, spec: RunSpec, now: float) -> list[Obstacle]:
        """All that keeps instances of an app or a pod from being good, those that are leaving included."""
        out = self.waiting(spec, now)
        count = 0
        for instance in self._books.of_app(spec.id):
            found = self.instance(instance, now)
            count += bool(found)
            if count <= MAX_INSTANCES:
                out += found
        if count > MAX_INSTANCES:
            out.append(Obstacle("step", f"{count - MAX_INSTANCES} more instances are not good or not gone yet"))
        return out

    def waiting(self, spec: RunSpec, now: float) -> list[Obstacle]:
        """What the instances that are not launched wait for."""
        count = len(self._queue.waiting.get(spec.id, {}))
        if spec.per_agent and not self._books.size(spec.id):
            count = 1
        if not count or spec.id not in self._queue.attempts:
            return []
        until = self._queue.delayed_until(spec.id, now)
        if until is not None:
            failure = self._books.failures.get(spec.id)
            last = f"; the last one: {failure.state} {failure.message}".rstrip() if failure is not None else ""
            text = f"launches wait {until - now:.0f} s more, as tasks keep ending{last}"
            return [Obstacle("delay", text, until=iso8601(until))]
        patience = self._queue.without_secrets.get(spec.id, 0.0)
        if patience > now:
            return [Obstacle("secrets", self._queue.lacking_secrets[spec.id], until=iso8601(patience))]
        return lacking(self._queue.attempts[spec.id], count, now)

    def instance(self, instance: Instance, now: float) -> list[Obstacle]:
        """What a launched instance lacks; nothing if it is good."""
        spec = self._books.definition(instance)
        since = f"for {_seconds(now - instance.since)}"
        if instance.goal is not Goal.RUNNING and instance.has_task:
            if instance.condition in LOST:
                return []
            why = f" ({instance.cause_text})" if instance.cause_text else ""
            text = f"instance {instance.id} is being ended{why}, and has not ended yet"
            if instance.pre_stop_until is not None and instance.pre_stop_until > now:
                text += f"; its pre-stop call may take {_seconds(instance.pre_stop_until - now)} more"
            return [Obstacle("end", text, instance.id)]
        if instance.condition is Condition.SCHEDULED or spec is None:
            return []
        if instance.condition in LOST:
            return [Obstacle("unreachable", f"{instance.host} can't be reached {since}", instance.id)]
        if instance.condition is not Condition.RUNNING:
            text = f"instance {instance.id} is {instance.condition.value} on {instance.host} {since}"
            return [Obstacle("start", text, instance.id)]
        if considered_healthy(spec, instance):
            return [] if instance.ready else [self._readiness(spec, instance, now)]
        return self._unhealthy(spec, instance, now)

    def deployment(self, deployment: Deployment, action: Action, now: float) -> list[Obstacle]:
        """What an action of the present step still lacks; nothing if it is done."""
        if action.app in deployment.done or action.action == START:
            return []
        members = list(self._books.of_app(action.app))
        if action.action == STOP:
            head = f"{_instances(len(members))} not ended yet"
            return [Obstacle("step", head), *self._leaving(members, now)]
        spec = self._books.specs.get(action.app)
        if spec is None:
            return []
        return [Obstacle("step", _progress(spec, action, members)), *self.app(spec, now)]

    def _leaving(self, members: list[Instance], now: float) -> list[Obstacle]:
        return [obstacle for one in members[:MAX_INSTANCES] for obstacle in self.instance(one, now)]

    def _readiness(self, spec: RunSpec, instance: Instance, now: float) -> Obstacle:
        check = spec.readiness_checks[0] if isinstance(spec, App) and spec.readiness_checks else None
        asked = f"{check.protocol} {check.path}" if check is not None else "its check"
        last = self._health.readiness.get(instance.id)
        if last is None:
            return Obstacle("readiness", f"instance {instance.id}: readiness ({asked}) has no answer yet", instance.id)
        said = f"said {last.status}" if last.status else f"failed: {last.cause}"
        text = f"instance {instance.id}: readiness ({asked}) {said} {_seconds(now - last.at)} ago"
        return Obstacle("readiness", text, instance.id)

    def _unhealthy(self, spec: RunSpec, instance: Instance, now: float) -> list[Obstacle]:
        checks = spec.health_checks if isinstance(spec, App) else []
        early = self._health.unheeded.get(instance.id)
        out = []
        for index, result in enumerate(instance.health):
            if result.known and result.alive:
                continue
            name = _check(checks[index]) if index < len(checks) else f"number {index + 1}"
            if result.known:
                times = "once" if result.consecutive_failures == 1 else f"{result.consecutive_failures} times"
                ago = _seconds(now - (result.last_failure or now))
                said = f"failed {times}, last {ago} ago: {result.last_failure_cause or 'no reason given'}"
            elif early is not None:
                said = f"has not succeeded yet; {_seconds(now - early[0])} ago: {early[1]}"
            else:
                said = f"has no answer yet{_not_begun(spec, index, instance, now)}"
            out.append(Obstacle("health", f"instance {instance.id}: health check {name} {said}", instance.id))
        return out or [Obstacle("health", f"instance {instance.id}: no health check has answered yet", instance.id)]


def lacking(attempt: Attempt, count: int, now: float) -> list[Obstacle]:
    """What the last offers of all agents lacked for ``count`` instances, in the order in which it is looked at."""
    whom = "1 instance waits" if count == 1 else f"{count} instances wait"
    refusals: dict[str, list[tuple[str, Refusal]]] = {}
    for agent, one in attempt.by_agent.items():
        if one is not None:
            refusals.setdefault(one.reason, []).append((agent, one))
    if not refusals:
        since = _seconds(now - attempt.since)
        return [Obstacle("offers", f"{whom} for offers; none has come in {since} that was not used")]
    return [_lack(attempt, reason, refusals[reason]) for reason in REASONS if reason in refusals]


def _lack(attempt: Attempt, reason: str, those: list[tuple[str, Refusal]]) -> Obstacle:
    agents = "1 agent" if len(those) == 1 else f"{len(those)} agents"
    best_agent, best = max(those, key=lambda one: one[1].free if one[1].free is not None else -1.0)
    if best.free is None or best.needed is None:
        detail, _ = Counter(one.detail for _, one in those).most_common(1)[0]
        return Obstacle("offers", f"{agents}: {detail}", reason=reason, agents=len(those))
    offered = attempt.offers.get(best_agent)
    host = offered[0].hostname if offered is not None else best_agent
    lack = "1 agent lacks" if len(those) == 1 else f"{len(those)} agents lack"
    unit = _UNITS.get(best.resource, best.resource)
    text = f"needs {best.needed:g} {unit} on one agent; the largest free is {best.free:g} on {host} ({lack} that)"
    return Obstacle(
        "offers",
        text,
        reason=reason,
        agents=len(those),
        resource=best.resource,
        needed=best.needed,
        largest=best.free,
        host=host,
    )


def _progress(spec: RunSpec, action: Action, members: list[Instance]) -> str:
    new = [one for one in members if one.config_version == spec.config_version and one.wanted]
    good = sum(is_good(spec, one) for one in new)
    wanted = max(1, sum(one.wanted for one in members)) if spec.per_agent else spec.instances
    if action.action != RESTART:
        return f"{good} of {wanted} instances are good"
    old = sum(one.config_version != spec.config_version for one in members)
    return f"{good} of {wanted} new instances are good; {old} old ones are left"


def _instances(count: int) -> str:
    return "1 instance has" if count == 1 else f"{count} instances have"


def _not_begun(spec: RunSpec, index: int, instance: Instance, now: float) -> str:
    """When an agent begins to check, if that is to come. ``delaySeconds`` is for its checks alone."""
    if not isinstance(spec, App) or index not in spec.agent_checks or instance.started_at is None:
        return ""
    delay = min(spec.health_checks[one].delay_seconds for one in spec.agent_checks)
    left = instance.started_at + delay - now
    return f"; the first check is in {_seconds(left)}" if left > 0 else ""


def _check(check: HealthCheck) -> str:
    return " ".join(filter(None, (check.protocol, check.path or check.command)))


def _seconds(amount: float) -> str:
    return f"{max(0.0, amount):.0f} s"
