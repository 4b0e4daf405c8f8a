"""The event stream: GET /v2/events as server-sent events, filtered by type if asked."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

from headrace.kernel import sse
from headrace.kernel.clock import iso8601
from headrace.kernel.http import EventStream, HttpError, Request, Response, Router
from headrace.marathon.api.counts import Counts

KINDS = (
    "api_post_event",
    "pod_created_event",
    "pod_updated_event",
    "pod_deleted_event",
    "status_update_event",
    "instance_changed_event",
    "instance_health_changed_event",
    "unknown_instance_terminated_event",
    "app_terminated_event",
    "group_change_success",
    "group_change_failed",
    "deployment_info",
    "deployment_step_success",
    "deployment_success",
    "deployment_failed",
    "deployment_stalled_event",
    "instances_waiting_event",
    "add_health_check_event",
    "remove_health_check_event",
    "failed_health_check_event",
    "health_status_changed_event",
    "unhealthy_instance_kill_event",
    "event_stream_attached",
    "event_stream_detached",
    "scheduler_registered_event",
    "scheduler_reregistered_event",
    "scheduler_disconnected_event",
    "framework_message_event",
)
"""All types that are sent."""

_BACKLOG = 64 * 1024 * 1024
"""Bytes that a slow reader may be behind, however few messages they are."""


class EventBus:
    """Hands each event to all readers; nobody waits for anybody.

    A reader that is more than ``max_behind`` messages behind is cut off; what the sockets hold does not count.
    """

    def __init__(self, counts: Counts, max_behind: int = 1024) -> None:
        self._counts = counts
        self._max_behind = max_behind
        self._readers: dict[EventStream, _Reader] = {}

    def attach(self, peer: str, kinds: frozenset[str]) -> EventStream:
        """A new reader; with ``kinds`` it gets only those."""
        stream = EventStream(_BACKLOG)
        self._readers[stream] = _Reader(kinds)
        self._counts.event_streams = len(self._readers)
        stream.on_close(lambda: self._gone(stream, peer))
        self.publish("event_stream_attached", {"remoteAddress": peer})
        return stream

    def publish(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Tell every reader who wants this kind."""
        if not self._readers:
            return
        body = {"eventType": kind, "timestamp": iso8601(self._counts.now()), **fields}
        chunk = sse.encode(kind, msgspec.json.encode(body))
        for stream, reader in list(self._readers.items()):
            if not reader.kinds or kind in reader.kinds:
                self._send(stream, reader, chunk)

    def keep_alive(self) -> None:
        """Let idle connections see that the other side lives."""
        for stream in list(self._readers):
            stream.send(sse.COMMENT)

    def close(self) -> None:
        """End all streams."""
        for stream in list(self._readers):
            stream.close()

    def _send(self, stream: EventStream, reader: _Reader, chunk: bytes) -> None:
        stream.send(chunk)
        self._counts.counters["http.responses.event-stream.size.counter.bytes"] += len(chunk)
        if reader.behind(len(chunk), stream.unread) > self._max_behind:
            stream.cut()

    def _gone(self, stream: EventStream, peer: str) -> None:
        self._readers.pop(stream, None)
        self._counts.event_streams = len(self._readers)
        self.publish("event_stream_detached", {"remoteAddress": peer})


class _Reader:
    """What a reader wants, and the sizes of the messages that it may not have read."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds
        self._sizes: deque[int] = deque()
        self._total = 0

    def behind(self, size: int, unread: int) -> int:
        """A message of ``size`` was sent and ``unread`` bytes wait: so many messages are among them."""
        if not unread:
            self._sizes.clear()
            self._total = 0
            return 0
        self._sizes.append(size)
        self._total += size
        while self._total - self._sizes[0] >= unread:
            self._total -= self._sizes.popleft()
        return len(self._sizes)


class Events:
    """The route of the stream."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/v2/events", self._attach)
        router.add("HEAD", "/v2/events", lambda request: Response(200, content_type="text/event-stream"))

    def _attach(self, request: Request) -> Response:
        if "text/event-stream" not in request.headers.get("accept", ""):
            raise HttpError(405, "The event stream needs the header 'Accept: text/event-stream'")
        kinds = frozenset(request.query.get("event_type", []))
        return Response(200, self._bus.attach(request.peer, kinds), "text/event-stream")
