"""The open event streams, and the effects that are carried out on them.

Events are framed by RecordIO. What is sent to one stream within a turn of the loop goes out in
one write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from headrace.kernel import recordio
from headrace.kernel.core import Effect
from headrace.kernel.http.messages import EventStream
from headrace.mesos.content import JSON, Format
from headrace.mesos.master.core.effects import (
    CloseAgent,
    CloseFramework,
    CloseOperator,
    SendToAgent,
    SendToFramework,
    SendToOperators,
    Warn,
)
from headrace.mesos.master.core.offers_event import OffersEvent
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.operator_answers import Event

_encode = msgspec.json.Encoder().encode

BEHIND = 16 * 1024 * 1024
"""Bytes that an operator may leave unread beside the state that its stream began with."""

ALL_BEHIND = 128 * 1024 * 1024
"""Bytes that all operators together may leave unread, beside four times the largest state that one began with."""

log = logging.getLogger(__name__)


class Streams:
    """Streams by their id, which is their ``Mesos-Stream-Id``."""

    def __init__(self) -> None:
        self._streams: dict[str, EventStream] = {}
        self._waiting: dict[str, list[bytes]] = {}
        self._forms: dict[str, Format] = {}  # of those that are not in JSON
        self._watching: dict[str, int] = {}  # operators, the oldest first: bytes of the state they began with

    def __contains__(self, stream_id: str) -> bool:
        return stream_id in self._streams

    def open(self, stream_id: str, closed: Callable[[], None], form: Format = JSON) -> EventStream:
        """A new stream of events in a form; ``closed`` is called once when it has ended."""
        stream = self._streams[stream_id] = EventStream(head_waits=True)
        if form is not JSON:
            self._forms[stream_id] = form

        def forget() -> None:
            del self._streams[stream_id]
            self._waiting.pop(stream_id, None)
            self._forms.pop(stream_id, None)
            self._watching.pop(stream_id, None)
            closed()

        stream.on_close(forget)
        return stream

    def perform(self, effect: Effect) -> None:
        """Carry out an effect of the master's core."""
        match effect:
            case SendToFramework(stream_id, event):
                self._tell((stream_id,), event)
            case SendToAgent(stream_id, message):
                self._send(stream_id, _encode(message))
            case SendToOperators(stream_ids, news):
                self._tell(stream_ids, news)
            case CloseFramework(stream_id) | CloseAgent(stream_id) | CloseOperator(stream_id):
                self._close(stream_id)
            case Warn(text):
                log.warning("%s", text)
            case _:
                raise TypeError(f"the master has no way to carry out {effect!r}")

    def _send(self, stream_id: str, record: bytes) -> None:
        if stream_id not in self._streams:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.setdefault(stream_id, []).append(recordio.encode(record))

    def _tell(self, stream_ids: Sequence[str], event: scheduler.Event | OffersEvent | Event) -> None:
        """Send an event, which is written once for each form."""
        records: dict[Format, bytes] = {}
        for stream_id in stream_ids:
            stream = self._streams.get(stream_id)
            if stream is None:
                continue
            form = self._forms.get(stream_id, JSON)
            record = records.get(form)
            if record is None:
                try:
                    record = records[form] = form.write(event)
                except ValueError as error:
                    log.warning(
                        "stream %s was cut: %s can't be written as %s: %s",
                        *(stream_id, event.type),
                        *(form.content_type, error),
                    )
                    stream.cut()
                    continue
            if isinstance(event, Event) and event.subscribed is not None:
                stream.limit = BEHIND + len(record)  # what it has asked for is not held against it
                self._watching[stream_id] = len(record)
            self._send(stream_id, record)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for stream_id, records in waiting.items():
            self._write(stream_id, records)
        if not self._watching.keys().isdisjoint(waiting):
            self._bound()

    def _bound(self) -> None:
        """Cut operators who leave much unread, the oldest first, until all together hold no more than may be."""
        unread = {stream_id: self._streams[stream_id].unread for stream_id in self._watching}
        total, most = sum(unread.values()), ALL_BEHIND + 4 * max(self._watching.values(), default=0)
        share = total / len(unread) if unread else 0
        for stream_id, bytes_left in unread.items():
            if total <= most:
                return
            if bytes_left >= share:
                log.warning("stream %s was cut: operators left %d bytes unread together", stream_id, total)
                self._streams[stream_id].cut()
                total -= bytes_left

    def _write(self, stream_id: str, records: list[bytes]) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.send_all(records)
        if stream.closed:
            log.warning("stream %s was cut: its client left more than %d bytes unread", stream_id, stream.limit)

    def _close(self, stream_id: str) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._write(stream_id, self._waiting.pop(stream_id, []))
            stream.close()
