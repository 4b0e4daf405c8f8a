"""The event stream: GET /v2/events as server-sent events, filtered by type if asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from headrace.kernel import sse
from headrace.kernel.clock import Clock, iso8601
from headrace.kernel.http import EventStream

_BACKLOG = 4 * 1024 * 1024
"""Bytes that a slow reader may be behind before it is cut off."""


class EventBus:
    """Hands each event to all readers; nobody waits for anybody."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._readers: dict[EventStream, frozenset[str]] = {}

    def attach(self, peer: str, kinds: frozenset[str]) -> EventStream:
        """A new reader; with ``kinds`` it gets only those."""
        stream = EventStream(_BACKLOG)
        self._readers[stream] = kinds
        stream.on_close(lambda: self._gone(stream, peer))
        self.publish("event_stream_attached", {"remoteAddress": peer})
        return stream

    def publish(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Tell every reader who wants this kind."""
        if not self._readers:
            return
        body = {"eventType": kind, "timestamp": iso8601(self._clock.now()), **fields}
        chunk = sse.encode(kind, msgspec.json.encode(body))
        for stream, kinds in list(self._readers.items()):
            if not kinds or kind in kinds:
                stream.send(chunk)

    def keep_alive(self) -> None:
        """Let idle connections see that the other side lives."""
        for stream in list(self._readers):
            stream.send(sse.COMMENT)

    def close(self) -> None:
        """End all streams."""
        for stream in list(self._readers):
            stream.close()

    def _gone(self, stream: EventStream, peer: str) -> None:
        self._readers.pop(stream, None)
        self.publish("event_stream_detached", {"remoteAddress": peer})
