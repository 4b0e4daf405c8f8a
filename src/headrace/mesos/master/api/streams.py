"""The open event streams, and the effects that are carried out on them.

Events are framed by RecordIO. What is sent to one stream within a turn of the loop goes out in
one write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import msgspec

from headrace.kernel import recordio
from headrace.kernel.core import Effect
from headrace.kernel.http.messages import EventStream
from headrace.mesos.master.core.effects import CloseAgent, CloseFramework, SendToAgent, SendToFramework, Warn

_encode = msgspec.json.Encoder().encode

log = logging.getLogger(__name__)


class Streams:
    """Streams by their id, which is their ``Mesos-Stream-Id``."""

    def __init__(self) -> None:
        self._streams: dict[str, EventStream] = {}
        self._waiting: dict[str, list[bytes]] = {}

    def __contains__(self, stream_id: str) -> bool:
        return stream_id in self._streams

    def open(self, stream_id: str, closed: Callable[[], None]) -> EventStream:
        """A new stream; ``closed`` is called once when it has ended."""
        stream = self._streams[stream_id] = EventStream()

        def forget() -> None:
            del self._streams[stream_id]
            self._waiting.pop(stream_id, None)
            closed()

        stream.on_close(forget)
        return stream

    def perform(self, effect: Effect) -> None:
        """Carry out an effect of the master's core."""
        match effect:
            case SendToFramework(stream_id, event):
                self._send(stream_id, _encode(event))
            case SendToAgent(stream_id, message):
                self._send(stream_id, _encode(message))
            case CloseFramework(stream_id) | CloseAgent(stream_id):
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

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for stream_id, records in waiting.items():
            self._write(stream_id, records)

    def _write(self, stream_id: str, records: list[bytes]) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.send_all(records)

    def _close(self, stream_id: str) -> None:
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._write(stream_id, self._waiting.pop(stream_id, []))
            stream.close()
