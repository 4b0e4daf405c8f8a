"""Follows tasks: what a status means for its instance, what is asked when contact was lost.

An ended task of an instance that shall run is followed by its next incarnation; one that shall go
is forgotten. Tasks of nobody are killed. Every status is acknowledged, after it is stored.
"""

from __future__ import annotations

from headrace.marathon.core import everywhere, pods
from headrace.marathon.core.books import Books
from headrace.marathon.core.health import AGENTS_CHECK, RECONCILED, Health, killed_message
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.queue import OVERDUE, LaunchQueue
from headrace.marathon.core.records import (
    LOST,
    TERMINAL,
    Cause,
    Condition,
    Goal,
    Instance,
    container_of_task,
    instance_of_task,
)
from headrace.marathon.core.residency import fits
from headrace.marathon.core.shapes import check_result, ip_addresses
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.pod import Pod
from headrace.mesos.messages.common import AgentID, TaskID, TaskStatus, is_terminal
from headrace.mesos.messages.scheduler import Acknowledge, Call, Reconcile, ReconcileTask

RECONCILE = "reconcile"
UNREACHABLE = "unreachable/"

_CONDITIONS = {
    "TASK_STAGING": Condition.STAGING,
    "TASK_STARTING": Condition.STARTING,
    "TASK_RUNNING": Condition.RUNNING,
    "TASK_KILLING": Condition.KILLING,
    "TASK_UNREACHABLE": Condition.UNREACHABLE,
    "TASK_FINISHED": Condition.FINISHED,
    "TASK_FAILED": Condition.FAILED,
    "TASK_KILLED": Condition.KILLED,
    "TASK_ERROR": Condition.ERROR,
    "TASK_DROPPED": Condition.DROPPED,
    "TASK_GONE": Condition.GONE,
    "TASK_GONE_BY_OPERATOR": Condition.GONE,
    "TASK_UNKNOWN": Condition.UNKNOWN,
}
_LOST_FOR_NOW = frozenset({"REASON_SLAVE_DISCONNECTED", "REASON_SLAVE_REMOVED"})
_COUNTS_AS_FAILURE = frozenset(
    {Condition.FINISHED, Condition.FAILED, Condition.ERROR, Condition.DROPPED, Condition.GONE}
)
_NEVER_WAS = frozenset({Condition.ERROR, Condition.DROPPED, Condition.GONE, Condition.UNKNOWN})
"""Ends of a first launch after which there may be neither reservation nor volumes."""
_NO_FAILURE = frozenset({"TASK_FINISHED", "TASK_KILLED"})
_UNHEARD_OF = frozenset({Condition.GONE, Condition.UNKNOWN})
"""What a master says, when it is asked, of a task that it was never told to launch."""


class Tracker:
    """Turns statuses into conditions."""

    def __init__(self, books: Books, queue: LaunchQueue, health: Health, killer: Killer) -> None:
        self._books = books
        self._queue = queue
        self._health = health
        self._killer = killer
        self._expunge_from = 0.0

    def status(self, status: TaskStatus, now: float) -> None:
        """One status update, or an answer to a reconciliation."""
        task_id = status.task_id.value
        instance = self._books.instances.get(instance_of_task(task_id))
        known = instance is not None and task_id in instance.task_ids
        if instance is not None and known and instance.condition is not Condition.SCHEDULED:
            if instance.containers:
                self._container(instance, container_of_task(task_id), status, now)
            else:
                self._known(instance, status, now)
        else:
            self._unknown(status, now)
        if status.uuid and status.agent_id is not None:
            call = Acknowledge(status.agent_id, status.task_id, status.uuid)
            self._books.call(Call("ACKNOWLEDGE", acknowledge=call))

    def reconcile(self, now: float, *, first: bool = False) -> None:
        """Ask for the state of all known tasks, and for tasks that are not known here; ``first``: in a subscription."""
        known = [
            ReconcileTask(TaskID(task_id), AgentID(one.agent_id))
            for one in self._books.instances.values()
            for task_id in one.live_task_ids
        ]
        if known:
            self._books.call(Call("RECONCILE", reconcile=Reconcile(known)))
        self._books.call(Call("RECONCILE", reconcile=Reconcile([])))
        settings = self._books.settings
        pause = settings.reconciliation_initial_delay if first else settings.reconciliation_interval
        self._books.wake(RECONCILE, now + pause)

    def resume(self, now: float) -> None:
        """After a start: go on watching what runs."""
        self._expunge_from = now + self._books.settings.task_lost_expunge_initial_delay
        for instance in list(self._books.instances.values()):
            app = self._books.definition(instance)
            if instance.condition is Condition.RUNNING and app is not None:
                self._health.started(instance, app, now)
            elif app is not None and app.per_agent and everywhere.waits(instance):
                everywhere.began_to_wait(self._books, instance, now)
            elif instance.condition in LOST:
                self._unreachable(instance, now)
            elif instance.has_task and instance.goal is Goal.RUNNING:
                self._books.wake(OVERDUE + instance.id, now + self._books.settings.task_launch_timeout)

    def abandon(self, now: float, why: str) -> None:
        """The master has ended all tasks of this framework."""
        for instance in list(self._books.instances.values()):
            if instance.has_task:
                self._ended(instance, Condition.GONE, "TASK_GONE", why, now, count=False)

    def overdue(self, instance_id: str, now: float) -> None:
        """The instance took too long to run."""
        instance = self._books.instances.get(instance_id)
        if instance is None or instance.condition not in (
            Condition.PROVISIONED,
            Condition.STAGING,
            Condition.STARTING,
        ):
            return
        why = f"still {instance.condition.value} after the launch timeout"
        self._killer.kill(instance, now, why, Cause.LAUNCH)

    def unreachable_timer(self, instance_id: str, now: float) -> None:
        instance = self._books.instances.get(instance_id)
        if instance is not None and instance.condition in LOST:
            self._unreachable(instance, now)

    def _container(self, instance: Instance, name: str, status: TaskStatus, now: float) -> None:
        """A status of one container of a pod; what it means for the instance follows from all of them."""
        condition = _condition(status)
        task = instance.containers[name]
        if condition is None or task.condition in TERMINAL:
            return
        if task.condition is not condition:
            task.since = now
        changed = task.state != status.state
        task.condition, task.state, task.message = condition, status.state, status.message or task.message
        self._note(instance, status)
        if status.container_status is not None and status.container_status.container_id is not None:
            task.container_id = status.container_status.container_id.value
        if changed:
            self._publish(instance, status)
        if condition in TERMINAL:
            self._killer.ended(status.task_id.value)
        self._whole(instance, status, now)

    def _whole(self, instance: Instance, status: TaskStatus, now: float) -> None:
        whole = pods.condition(instance.containers.values())
        if whole in TERMINAL:
            worst = next(one for one in instance.containers.values() if one.condition is whole)
            self._ended(instance, whole, worst.state, worst.message, now, reason=status.reason or "")
        elif whole is Condition.UNREACHABLE:
            self._went_missing(instance, now)
        else:
            self._alive(instance, whole, status, now)
            self._books.save(instance)

    def _known(self, instance: Instance, status: TaskStatus, now: float) -> None:
        condition = _condition(status)
        if condition is None:
            return
        before = instance.state
        instance.state = status.state
        self._note(instance, status)
        if before != status.state or condition is not instance.condition:
            self._publish(instance, status)
        if condition is Condition.UNREACHABLE:
            self._went_missing(instance, now)
        elif is_terminal(status.state) or condition is Condition.UNKNOWN:
            message = status.message or status.reason or ""
            if status.state == "TASK_KILLED" and status.healthy is False:
                cause = f"{AGENTS_CHECK} ({message})" if message else AGENTS_CHECK
                self._books.record_failure(instance, status.state, killed_message(cause), now)
                if instance.cause is None:
                    instance.cause, instance.cause_text = Cause.HEALTH, cause
            self._ended(instance, condition, status.state, message, now, reason=status.reason or "")
        else:
            self._alive(instance, condition, status, now)

    def _note(self, instance: Instance, status: TaskStatus) -> None:
        infos = status.container_status.network_infos if status.container_status is not None else None
        addresses = [ip.ip_address for info in infos or () for ip in info.ip_addresses or () if ip.ip_address]
        if addresses:
            instance.ip_addresses = addresses
        if status.agent_id is not None and not instance.agent_id:
            instance.agent_id = status.agent_id.value

    def _alive(self, instance: Instance, condition: Condition, status: TaskStatus, now: float) -> None:
        app = self._books.definition(instance)
        came_back = instance.condition in LOST
        instance.settled = bool(instance.home)
        if instance.condition is not condition:
            first_run = condition is Condition.RUNNING and instance.started_at is None
            if first_run:
                instance.started_at = now
            self._books.condition(instance, condition, now)
            if app is not None and condition is not Condition.KILLING:
                self._queue.progressed(app, now)
            if condition is Condition.RUNNING:
                self._books.no_wake(OVERDUE + instance.id)
                if app is not None:
                    self._health.started(instance, app, now)
            elif condition in (Condition.STAGING, Condition.STARTING):
                self._books.wake(OVERDUE + instance.id, now + self._books.settings.task_launch_timeout)
        if came_back:
            self._books.no_wake(UNREACHABLE + instance.id)
            self._books.tell(instance.app_id, now, f"instance {instance.id} is back", "its agent is reachable again")
            if instance.goal is not Goal.RUNNING:
                self._killer.kill(instance, now, "was to end while it was unreachable")
        checked = check_result(status)
        if isinstance(app, App) and checked and checked != instance.check:
            instance.check = checked
            self._books.save(instance)
        if isinstance(app, App) and status.healthy is not None:
            self._health.reported(instance, app, status, now)
        elif isinstance(app, Pod) and status.healthy is not None:
            self._health.container_reported(instance, app, container_of_task(status.task_id.value), status, now)

    def _ended(
        self,
        instance: Instance,
        condition: Condition,
        state: str,
        message: str,
        now: float,
        *,
        reason: str = "",
        count: bool = True,
    ) -> None:
        self._health.stopped(instance)
        self._no_kills(instance)
        self._books.no_wake(OVERDUE + instance.id)
        self._books.no_wake(UNREACHABLE + instance.id)
        was_inactive = instance.condition is Condition.INACTIVE
        # Marathon was killed before it could tell the master of the launch: nothing has run, so nothing has failed
        untold = instance.condition is Condition.PROVISIONED and condition in _UNHEARD_OF and reason == RECONCILED
        self._books.condition(instance, condition, now)
        if state not in _NO_FAILURE and not untold:
            self._books.record_failure(instance, state, message, now)
        self._books.tell(instance.app_id, now, f"{instance.id} ended: {state}", message)
        self._books.over(instance, now, state, condition, reason, message)
        app = self._books.next_definition(instance)
        self._volumes_after(instance, condition, state, now)
        stays = app is not None and (fits(app, instance) if instance.home else instance.goal is Goal.RUNNING)
        if app is not None and app.per_agent and condition is Condition.GONE:
            stays = False
        if app is None or not stays or instance.goal is Goal.DECOMMISSIONED or was_inactive:
            self._books.forget(instance)
            return
        if count and not untold and condition in _COUNTS_AS_FAILURE and instance.config_version == app.config_version:
            self._queue.failed(app, now)
        self._books.again(instance, app, now)
        if app.per_agent:
            everywhere.began_to_wait(self._books, instance, now)

    def _volumes_after(self, instance: Instance, condition: Condition, state: str, now: float) -> None:
        """Volumes that were never made, or are gone with their agent, are made anew somewhere."""
        gone = state == "TASK_GONE_BY_OPERATOR"
        if not gone and condition not in _NEVER_WAS:
            instance.settled = bool(instance.home)
        if not instance.home or not (gone or not instance.settled):
            return
        why = "its agent is gone for good" if gone else "they were never made"
        self._books.tell(instance.app_id, now, f"instance {instance.id} gets new volumes", why)
        self._books.unsettle(instance, gone=gone)

    def _went_missing(self, instance: Instance, now: float) -> None:
        if instance.condition in LOST:
            return
        self._health.stopped(instance)
        self._books.condition(instance, Condition.UNREACHABLE, now)
        self._books.tell(
            instance.app_id, now, f"instance {instance.id} is unreachable", f"no word from {instance.host}"
        )
        if instance.goal is Goal.DECOMMISSIONED:
            self._no_kills(instance)
            self._books.over(instance, now, "TASK_UNREACHABLE", Condition.UNREACHABLE)
            self._books.forget(instance)
            return
        self._unreachable(instance, now)

    def _unreachable(self, instance: Instance, now: float) -> None:
        """Replace after a while, forget after a longer while; ``since`` is when it went missing."""
        app = self._books.definition(instance)
        strategy = app.unreachable_strategy if app is not None else None
        if strategy is None:
            return
        inactive_at = instance.since + strategy.inactive_after_seconds
        if instance.condition is Condition.UNREACHABLE and now < inactive_at:
            self._books.wake(UNREACHABLE + instance.id, inactive_at)
            return
        if instance.condition is Condition.UNREACHABLE:
            self._books.condition(instance, Condition.INACTIVE, now)
            self._books.tell(instance.app_id, now, f"instance {instance.id} is replaced", "it stays unreachable")
        longer = strategy.expunge_after_seconds - strategy.inactive_after_seconds
        expunge_at = instance.since + max(longer, self._books.settings.task_lost_expunge_interval)
        expunge_at = max(expunge_at, self._expunge_from)
        if now < expunge_at:
            self._books.wake(UNREACHABLE + instance.id, expunge_at)
            return
        self._no_kills(instance)
        self._books.over(instance, now, "TASK_UNREACHABLE", Condition.INACTIVE)
        self._books.forget(instance)

    def _no_kills(self, instance: Instance) -> None:
        for task_id in instance.task_ids:
            self._killer.ended(task_id)

    def _unknown(self, status: TaskStatus, now: float) -> None:
        task_id = status.task_id.value
        if is_terminal(status.state) or status.state == "TASK_UNKNOWN":
            self._killer.ended(task_id)
            self._books.publish(
                "unknown_instance_terminated_event",
                instanceId=instance_of_task(task_id),
                runSpecId="/" + instance_of_task(task_id).rsplit(".instance-", 1)[0].replace("_", "/"),
                condition=(_condition(status) or Condition.UNKNOWN).value,
            )
        elif status.state != "TASK_UNREACHABLE":
            self._killer.unknown(task_id, status.agent_id.value if status.agent_id is not None else "", now)

    def _publish(self, instance: Instance, status: TaskStatus) -> None:
        self._books.publish(
            "status_update_event",
            slaveId=instance.agent_id,
            taskId=status.task_id.value,
            taskStatus=status.state,
            message=status.message or "",
            appId=instance.app_id,
            host=instance.host,
            ipAddresses=ip_addresses(instance),
            ports=instance.ports,
            version=instance.version,
        )


def _condition(status: TaskStatus) -> Condition | None:
    if status.state == "TASK_LOST":
        return Condition.UNREACHABLE if status.reason in _LOST_FOR_NOW else Condition.DROPPED
    return _CONDITIONS.get(status.state)
