"""Health and readiness checks: when to probe, what the outcome means, whom to kill.

Probes are effects; this decides. Before the first success, and within the grace period, probes
come quickly at first (0.1 s, a fifth longer each time, up to the interval), so that a deployment
need not wait a whole interval for a service that is up; failures don't count then. After that the interval rules.
A task is killed at failure number ``maxConsecutiveFailures`` + 1; 0 never kills. MESOS_HTTPS checks are
probed from here too, and kill at ``maxConsecutiveFailures``. ``delaySeconds`` is not needed here.

COMMAND, MESOS_HTTP and MESOS_TCP checks are the agent's (``App.agent_checks``): it has them with the
task (``tasks.task_info``), probes and kills by itself, and its verdicts arrive with the task's statuses.
"""

from __future__ import annotations

from headrace.marathon.core.books import Books
from headrace.marathon.core.events import Probe, Probed
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.records import Cause, Condition, HealthResult, Instance, ReadinessResult
from headrace.marathon.core.tasks import check_port, nth_port
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.checks import HealthCheck, ReadinessCheck
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.marathon.definitions.writing import health_check
from headrace.mesos.messages.common import TaskStatus

TIMER = "probe/"
_READY = "ready"
AGENTS_CHECK = "the agent's health check failed"
RECONCILED = "REASON_RECONCILIATION"
_FIRST_DELAY = 0.1
_GROWTH = 1.2


class Health:
    """Checks of running instances. ``readiness`` has the last answer of those that are not ready yet."""

    def __init__(self, books: Books, killer: Killer) -> None:
        self._books = books
        self._killer = killer
        self._early: dict[str, float] = {}
        self.readiness: dict[str, ReadinessResult] = {}
        self.unheeded: dict[str, tuple[float, str]] = {}
        """By instance when and how a check failed that does not count yet."""

    def started(self, instance: Instance, run_spec: RunSpec, now: float) -> None:
        """The instance runs (or is found running after a restart): begin to check it."""
        if isinstance(run_spec, App):
            self._app_started(instance, run_spec, now)
            return
        checked = sum(one.health_check is not None for one in run_spec.containers)
        if len(instance.health) != checked:
            instance.health = [HealthResult() for _ in range(checked)]
        if not instance.ready:
            instance.ready = True
            self._books.save(instance)

    def _app_started(self, instance: Instance, app: App, now: float) -> None:
        if len(instance.health) != len(app.health_checks):
            instance.health = [HealthResult() for _ in app.health_checks]
        handed_over = app.agent_checks
        for index in range(len(app.health_checks)):
            if index not in handed_over:
                self._wake(instance, str(index), now + _FIRST_DELAY)
        if not instance.ready:
            if app.readiness_checks:
                self._wake(instance, _READY, now)
            else:
                instance.ready = True
                self._books.save(instance)

    def stopped(self, instance: Instance) -> None:
        """The instance's task is no more."""
        for name in [*map(str, range(len(instance.health))), _READY]:
            self._books.no_wake(f"{TIMER}{instance.id}/{name}")
            self._early.pop(f"{instance.id}/{name}", None)
        self.readiness.pop(instance.id, None)
        self.unheeded.pop(instance.id, None)

    def timer(self, key: str) -> None:
        """Time for a probe."""
        instance_id, _, name = key.removeprefix(TIMER).rpartition("/")
        instance = self._books.instances.get(instance_id)
        if instance is None or instance.condition is not Condition.RUNNING:
            return
        app = self._books.definition(instance)
        if not isinstance(app, App):
            return
        probe = self._readiness_probe(app, instance, key) if name == _READY else self._probe(app, instance, key)
        if probe is not None:
            self._books.effects.append(probe)

    def probed(self, outcome: Probed, now: float) -> None:
        """A probe has come back; those of tasks that are no more say nothing."""
        instance_id, _, name = outcome.key.removeprefix(TIMER).rpartition("/")
        instance = self._books.instances.get(instance_id)
        if instance is None or instance.task_id != outcome.task_id or instance.condition is not Condition.RUNNING:
            return
        app = self._books.definition(instance)
        if not isinstance(app, App):
            return
        if name == _READY:
            self._readiness(instance, app.readiness_checks[0], outcome, now)
            return
        index = int(name)
        check = app.health_checks[index]
        self._wake(instance, name, now + self._pause(instance, check, name, outcome.passed, now))
        self._judge(instance, app, index, outcome.passed, outcome.cause, now)

    def reported(self, instance: Instance, app: App, status: TaskStatus, now: float) -> None:
        """The agent's verdict on the check that was handed to it. The agent kills by itself."""
        passed = status.healthy is True
        before = instance.healthy
        for index in app.agent_checks:
            if index >= len(instance.health):
                continue
            result = instance.health[index]
            if status.reason == RECONCILED and result.known and result.alive is passed:
                continue  # an answer about what is known
            _count(result, passed, status.message or AGENTS_CHECK, now)
            if not passed:
                self._publish_failure(instance, app.health_checks[index])
        self._flip(instance, before)

    def container_reported(self, instance: Instance, pod: Pod, name: str, status: TaskStatus, now: float) -> None:
        """An agent's verdict on one container of a pod."""
        checked = [one.name for one in pod.containers if one.health_check is not None]
        if name not in checked:
            return
        before, index = instance.healthy, checked.index(name)
        while len(instance.health) < len(checked):
            instance.health.append(HealthResult())
        result, passed = instance.health[index], status.healthy is True
        if status.reason == RECONCILED and result.known and result.alive is passed:
            return
        _count(result, passed, status.message or AGENTS_CHECK, now)
        self._flip(instance, before)

    def _judge(self, instance: Instance, app: App, index: int, passed: bool, cause: str, now: float) -> None:
        check, result = app.health_checks[index], instance.health[index]
        in_grace = now - (instance.started_at or now) < check.grace_period_seconds
        if not passed and result.first_success is None and in_grace:
            self._books.tell(instance.id, now, "not healthy yet", cause)
            self.unheeded[instance.id] = now, cause
            return
        before, failures = instance.healthy, result.consecutive_failures
        self.unheeded.pop(instance.id, None)
        _count(result, passed, cause, now)
        if not passed or failures:
            self._books.save(instance)  # a restart goes on counting where this has come to
        if not passed:
            self._publish_failure(instance, check)
        self._flip(instance, before)
        if not passed and _fatal(check, failures):
            self._kill(instance, cause, now)

    def _publish_failure(self, instance: Instance, check: HealthCheck) -> None:
        self._books.publish(
            "failed_health_check_event",
            appId=instance.app_id,
            taskId=instance.task_id,
            instanceId=instance.id,
            healthCheck=health_check(check),
        )

    def _kill(self, instance: Instance, cause: str, now: float) -> None:
        self._books.record_failure(
            instance,
            "TASK_KILLED",
            killed_message(cause),
            now,
        )
        self._books.publish(
            "unhealthy_instance_kill_event",
            appId=instance.app_id,
            taskId=instance.task_id,
            instanceId=instance.id,
            version=instance.version,
            reason=cause,
            host=instance.host,
            slaveId=instance.agent_id,
        )
        self._books.tell(instance.app_id, now, f"instance {instance.id} is killed", f"health check failed: {cause}")
        self._killer.kill(instance, now, f"health check failed: {cause}", Cause.HEALTH)

    def _flip(self, instance: Instance, before: bool | None) -> None:
        after = instance.healthy
        if after is before:
            return
        self._books.save(instance)
        self._books.publish(
            "health_status_changed_event",
            appId=instance.app_id,
            instanceId=instance.id,
            version=instance.version,
            alive=bool(after),
        )
        self._books.publish(
            "instance_health_changed_event",
            instanceId=instance.id,
            runSpecId=instance.app_id,
            healthy=after,
            runSpecVersion=instance.version,
        )

    def _readiness(self, instance: Instance, check: ReadinessCheck, outcome: Probed, now: float) -> None:
        self.readiness[instance.id] = ReadinessResult(
            outcome.passed, outcome.status, outcome.content_type, outcome.body[:10_000], now, outcome.cause
        )
        if outcome.passed:
            instance.ready = True
            self._books.save(instance)
            self._books.tell(instance.id, now, "ready")
            return
        self._books.tell(instance.id, now, "not ready yet", outcome.cause)
        self._wake(instance, _READY, now + self._early_pause(f"{instance.id}/{_READY}", check.interval_seconds))

    def _pause(self, instance: Instance, check: HealthCheck, name: str, passed: bool, now: float) -> float:
        result = instance.health[int(name)]
        in_grace = now - (instance.started_at or now) < check.grace_period_seconds
        if passed or result.first_success is not None or not in_grace:
            self._early.pop(f"{instance.id}/{name}", None)
            return float(check.interval_seconds)
        return self._early_pause(f"{instance.id}/{name}", check.interval_seconds)

    def _early_pause(self, key: str, interval: int) -> float:
        pause = min(self._early.get(key, _FIRST_DELAY), float(interval))
        self._early[key] = pause * _GROWTH
        return pause

    def _wake(self, instance: Instance, name: str, at: float) -> None:
        self._books.wake(f"{TIMER}{instance.id}/{name}", at)

    def _probe(self, app: App, instance: Instance, key: str) -> Probe | None:
        check = app.health_checks[int(key.rpartition("/")[2])]
        port = check_port(check, app, instance)
        if port is None:
            return None
        return Probe(
            key,
            instance.task_id,
            check.protocol.removeprefix("MESOS_"),
            instance.host,
            port,
            check.path or "/",
            float(check.timeout_seconds),
        )

    def _readiness_probe(self, app: App, instance: Instance, key: str) -> Probe | None:
        check = app.readiness_checks[0]
        names = [one.name for one in app.ports]
        port = nth_port(app, instance, names.index(check.port_name))
        if port is None:
            return None
        return Probe(
            key,
            instance.task_id,
            check.protocol,
            instance.host,
            port,
            check.path,
            float(check.timeout_seconds),
            ready_statuses=check.http_status_codes_for_ready,
        )


def killed_message(cause: str) -> str:
    """What an app's last failure says of a task that was ended for its health."""
    return f"Task was killed since health check failed. Reason: {cause}"


def considered_healthy(run_spec: RunSpec, instance: Instance) -> bool:
    """No checks, or the last word of all of them was good."""
    return not run_spec.checked or instance.healthy is True


def _count(result: HealthResult, passed: bool, cause: str, now: float) -> None:
    if passed:
        result.consecutive_failures = 0
        result.first_success = result.first_success if result.first_success is not None else now
        result.last_success = now
    else:
        result.consecutive_failures += 1
        result.last_failure, result.last_failure_cause = now, cause


def _fatal(check: HealthCheck, failures_before: int) -> bool:
    limit = check.max_consecutive_failures
    if check.protocol.startswith("MESOS_"):
        return failures_before + 1 >= limit
    return 0 < limit <= failures_before
