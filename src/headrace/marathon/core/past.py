"""What has been: deployments that are over and instances that have ended, so that people can still ask about them.

Bounded: so many deployments, so many instances of an app and in all; each is one row of the store (``past/…``) that is
written once, and once more when the last lines of its output have been read. An instance is recorded once for each of
its incarnations; one that was never launched is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import msgspec

from headrace.kernel.core import Delete, Effect, Put
from headrace.marathon.core.events import LogsRead, ReadLogs
from headrace.marathon.core.records import Cause, Condition, EndedContainer, EndedDeployment, EndedInstance, Instance

MAX_DEPLOYMENTS = 100
MAX_OF_APP = 20
MAX_INSTANCES = 1000
MAX_READING = 32
"""Sandboxes that are read at a time; when more end at once, the lines of the others are left where they are."""
MAX_FILES = 8
"""Of one instance."""
_MESSAGE = 2000
_STATUS = re.compile(r"exited with status (\d{1,3})\b")
_SIGNAL = re.compile(r"terminated with signal ([A-Za-z0-9 ]{1,40})")
_NEVER_RAN = frozenset({Condition.ERROR, Condition.DROPPED, Condition.UNKNOWN})
_KEY_OF_DEPLOYMENT, _KEY_OF_INSTANCE = "past/deployment/", "past/instance/"


class Past:
    """The records, oldest first. ``emit`` takes what is to be stored and done."""

    def __init__(
        self,
        deployments: Iterable[EndedDeployment],
        instances: Iterable[EndedInstance],
        emit: Callable[[Effect], None],
    ) -> None:
        self._emit = emit
        self.deployments = {one.id: one for one in sorted(deployments, key=lambda one: one.ended)}
        self.instances: dict[str, EndedInstance] = {}
        self._of_app: dict[str, dict[str, EndedInstance]] = {}
        self._reading: set[str] = set()
        for one in sorted(instances, key=lambda one: one.ended):
            self._enter(one)

    def of_app(self, app_id: str) -> list[EndedInstance]:
        """The ended instances of an app or a pod, oldest first."""
        return list(self._of_app.get(app_id, {}).values())

    def deployments_of(self, app_id: str) -> list[EndedDeployment]:
        """The deployments that are over and had to do with an app or a pod, oldest first."""
        return [one for one in self.deployments.values() if app_id in one.apps or app_id in one.pods]

    def deployment_over(self, record: EndedDeployment) -> None:
        """Keep it, and let the oldest go."""
        self.deployments[record.id] = record
        self._emit(Put(_KEY_OF_DEPLOYMENT + record.id, msgspec.json.encode(record)))
        while len(self.deployments) > MAX_DEPLOYMENTS:
            oldest = next(iter(self.deployments))
            del self.deployments[oldest]
            self._emit(Delete(_KEY_OF_DEPLOYMENT + oldest))

    def instance_over(
        self,
        instance: Instance,
        framework_id: str,
        now: float,
        *,
        state: str,
        condition: Condition,
        reason: str = "",
        message: str = "",
    ) -> None:
        """Keep how this incarnation has ended, and have its last lines read."""
        record = _ended(instance, framework_id, now, state, condition, reason, message)
        key = record.key
        if key in self.instances:
            return
        paths = _paths(record)
        readable = record.agent_url and paths and record.started_at is not None and condition not in _NEVER_RAN
        if readable and condition not in (Condition.UNREACHABLE, Condition.INACTIVE, Condition.GONE):
            if len(self._reading) < MAX_READING:
                self._reading.add(key)
                self._emit(ReadLogs(key, record.agent_url, paths))
            else:
                record.logs_note = "not read: many instances ended at once"
        self._enter(record)
        self._store(record)

    def logs_read(self, outcome: LogsRead) -> None:
        """The last lines have come, or can't be had."""
        self._reading.discard(outcome.key)
        record = self.instances.get(outcome.key)
        if record is not None:
            record.logs, record.logs_note = dict(outcome.files), outcome.note
            self._store(record)

    def _enter(self, record: EndedInstance) -> None:
        self.instances[record.key] = record
        siblings = self._of_app.setdefault(record.app_id, {})
        siblings[record.key] = record
        if len(siblings) > MAX_OF_APP:
            self._drop(next(iter(siblings)))
        if len(self.instances) > MAX_INSTANCES:
            self._drop(next(iter(self.instances)))

    def _store(self, record: EndedInstance) -> None:
        if record.key in self.instances:
            self._emit(Put(_KEY_OF_INSTANCE + record.key, msgspec.json.encode(record)))

    def _drop(self, key: str) -> None:
        record = self.instances.pop(key)
        siblings = self._of_app[record.app_id]
        del siblings[key]
        if not siblings:
            del self._of_app[record.app_id]
        self._emit(Delete(_KEY_OF_INSTANCE + key))


def _ended(
    instance: Instance,
    framework_id: str,
    now: float,
    state: str,
    condition: Condition,
    reason: str,
    message: str,
) -> EndedInstance:
    status, signal = exit_status(message), _SIGNAL.search(message)
    finished = condition is Condition.FINISHED and instance.cause is None
    sandbox = ""
    if framework_id and instance.agent_id:
        executor = instance.executor_id if instance.containers else instance.task_id
        sandbox = f"/frameworks/{framework_id}/executors/{executor}"
    return EndedInstance(
        id=instance.id,
        app_id=instance.app_id,
        version=instance.version,
        incarnation=instance.incarnation,
        task_ids=instance.task_ids,
        agent_id=instance.agent_id,
        host=instance.host,
        role=instance.role,
        state=state,
        condition=condition,
        reason=reason,
        message=message[:_MESSAGE],
        exit_status=0 if status is None and finished else status,
        signal=signal[1] if signal else "",
        cause=instance.cause or _by_itself(condition),
        why=instance.cause_text,
        staged_at=instance.staged_at,
        started_at=instance.started_at,
        ended=now,
        healthy=instance.healthy,
        agent_url=instance.agent_url,
        sandbox=sandbox,
        containers=[
            EndedContainer(
                name,
                instance.container_task_id(name),
                one.state,
                one.message[:_MESSAGE],
                exit_status(one.message),
            )
            for name, one in instance.containers.items()
        ],
    )


def exit_status(message: str) -> int | None:
    """What a task's last message says of it; Mesos has no field for it."""
    found = _STATUS.search(message)
    return int(found[1]) if found else None


def _by_itself(condition: Condition) -> Cause:
    lost = (Condition.UNREACHABLE, Condition.INACTIVE, Condition.GONE, Condition.DROPPED, Condition.UNKNOWN)
    return Cause.LOST if condition in lost else Cause.ENDED


def _paths(record: EndedInstance) -> dict[str, str]:
    """The files with its output, as agents call them; of a pod those of containers that failed come first."""
    if not record.sandbox:
        return {}
    if not record.containers:
        return {name: f"{record.sandbox}/runs/latest/{name}" for name in ("stdout", "stderr")}
    bad = sorted(record.containers, key=lambda one: one.state != "TASK_FAILED")
    files = [
        (f"{one.name}/{name}", f"{record.sandbox}/tasks/{one.task_id}/{name}")
        for one in bad
        for name in ("stdout", "stderr")
    ]
    return dict(files[:MAX_FILES])
