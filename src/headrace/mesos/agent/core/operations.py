"""Operations on the agent's resources: carried out, stored, and told until the framework knows.

The new total is stored before anybody hears of it, so an operation is either done or has never been. Only one with
an id is told of; its status is sent again after 10 s, 20 s, … until it is acknowledged, and after each registration.
When one without an id fails, which the master has counted as done, the agent registers anew with its true total.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from headrace.kernel.core import CancelTimer, Delete, Effect, Put, SetTimer, Stories
from headrace.mesos.agent.core.events import KeepVolumes, MakeVolume, Reconnect, RemoveVolume, Send
from headrace.mesos.agent.core.records import TOTAL, operation_key, put
from headrace.mesos.agent.core.updates import RETRY_MAX, RETRY_MIN
from headrace.mesos.messages.agent_link import AcknowledgeOperation, ApplyOperation, KnownOperation, OperationUpdate
from headrace.mesos.messages.common import AgentID, OperationStatus, OperationUuid
from headrace.mesos.operations import OperationError, apply
from headrace.mesos.resources import Resources, Tag

_Key = tuple[str, str]


class OperationDesk:
    """``total``: all that the agent has, as reservations and volumes have left it."""

    def __init__(
        self,
        total: Resources,
        pending: Iterable[KnownOperation],
        *,
        new_uuid: Callable[[], str],
        stories: Stories,
    ) -> None:
        self.total = total
        self._new_uuid = new_uuid
        self._stories = stories
        self._pending: dict[_Key, KnownOperation] = {}
        self._waits: dict[_Key, float] = {}
        for one in pending:
            key = _key(one)
            if key is not None:
                self._pending[key] = one

    @property
    def known(self) -> list[KnownOperation]:
        """Those whose last status has not been acknowledged."""
        return list(self._pending.values())

    def begin(self) -> list[Effect]:
        """After a restart: what may have been left half done."""
        return [KeepVolumes([MakeVolume(*name) for name in _volumes(self.total)])]

    def apply(self, event: ApplyOperation, agent_id: str, connected: bool, now: float) -> list[Effect]:
        """Carry out an operation. One that is repeated is only told once more."""
        operation = event.operation
        framework_id = event.framework_id.value if event.framework_id else ""
        operation_id = operation.id.value if operation.id else ""
        if operation_id and (framework_id, operation_id) in self._pending:
            return self._send((framework_id, operation_id), now) if connected else []
        effects: list[Effect] = []
        state, message = "OPERATION_FINISHED", ""
        try:
            effects = self._change_to(apply(operation, self.total))
        except OperationError as error:
            state, message = "OPERATION_FAILED", str(error)
        self._stories.tell("agent", now, f"{operation.type}: {state}", message)
        if not operation_id:
            return [Reconnect()] if state == "OPERATION_FAILED" and connected else effects
        uuid = self._new_uuid()
        status = OperationStatus(
            state, operation.id, message or None, uuid=OperationUuid(uuid), agent_id=AgentID(agent_id)
        )
        known = KnownOperation(operation, status, event.framework_id)
        self._pending[framework_id, operation_id] = known
        told = self._send((framework_id, operation_id), now) if connected else []
        return [put(operation_key(uuid), known), *effects, *told]

    def acknowledge(self, event: AcknowledgeOperation) -> list[Effect]:
        """The framework has the status."""
        key = (event.framework_id.value if event.framework_id else "", event.operation_id.value)
        known = self._pending.get(key)
        if known is None or known.status.uuid is None or known.status.uuid.value != event.uuid:
            return []
        del self._pending[key]
        self._waits.pop(key, None)
        return [Delete(operation_key(event.uuid)), CancelTimer(_timer(key))]

    def resume(self, now: float) -> list[Effect]:
        """The master is there again; it has heard of all of them by the registration, frameworks have not."""
        self._waits.clear()
        return [effect for key in self._pending for effect in self._send(key, now)]

    def retry(self, name: str, connected: bool, now: float) -> list[Effect]:
        """An acknowledgement is overdue."""
        framework_id, _, operation_id = name.partition("/")
        key = (framework_id, operation_id)
        if not connected or key not in self._pending:
            return []
        self._waits[key] = min(self._waits.get(key, RETRY_MIN) * 2, RETRY_MAX)
        return self._send(key, now)

    def forget(self) -> list[Effect]:
        """The agent becomes another one to the master; what it has stays as it is."""
        uuids = [one.status.uuid.value for one in self._pending.values() if one.status.uuid]
        timers = [CancelTimer(_timer(key)) for key in self._pending]
        self._pending.clear()
        return [*timers, *(Delete(operation_key(uuid)) for uuid in uuids)]

    def _send(self, key: _Key, now: float) -> list[Effect]:
        known = self._pending[key]
        update = OperationUpdate(known.status, known.framework_id)
        return [Send(update), SetTimer(_timer(key), now + self._waits.get(key, RETRY_MIN))]

    def _change_to(self, total: Resources) -> list[Effect]:
        before, after = _volumes(self.total), _volumes(total)
        self.total = total
        gone: list[Effect] = [RemoveVolume(*name) for name in before if name not in after]
        made: list[Effect] = [MakeVolume(*name) for name in after if name not in before]
        return [Put(TOTAL, msgspec.json.encode(total.messages())), *gone, *made]


class DoesNotFitError(ValueError):
    """What the agent offers now is less than its reservations and volumes need; the message says what."""


def restored(offered: Resources, total: Resources) -> Resources:
    """``offered``, with the dynamic reservations and the volumes of ``total``. Raises DoesNotFitError."""
    for tag, part in total.parts.items():
        if not tag.dynamic and not tag.whole:
            continue
        amount = Resources({"disk": tag.shared_size}) if tag.shared else part
        source = amount.tagged(_as_offered(tag))
        if not offered.contains(source):
            raise DoesNotFitError(f"{Resources(parts={tag: part})} is in use, but there is no {source} to make it of")
        offered = offered - source + Resources(parts={tag: part})
    return offered


def _as_offered(tag: Tag) -> Tag:
    """What a resource was before any operation: static reservations and the disk's source stay."""
    static = tuple(one for one in tag.reservations if not one.dynamic)
    return msgspec.structs.replace(tag, reservations=static, volume=None, owner=None, mount=b"", shared_size=0)


def _volumes(resources: Resources) -> dict[tuple[str, str, bytes], None]:
    """Whose and which volumes there are, on which disks; in order."""
    return {(tag.role, tag.volume, tag.source): None for tag in resources.parts if tag.volume is not None}


def _key(one: KnownOperation) -> _Key | None:
    if one.operation.id is None:
        return None
    return (one.framework_id.value if one.framework_id else "", one.operation.id.value)


def _timer(key: _Key) -> str:
    return f"operation/{key[0]}/{key[1]}"
