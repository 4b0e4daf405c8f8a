"""Server-sent events, sans-IO: an encoder for servers and a decoder for clients.

Source: WHATWG HTML, "Server-sent events".
"""

from __future__ import annotations

import msgspec


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event: its type (``message`` if the sender named none), its data, its id."""

    event: str
    data: str
    id: str = ""


def encode(event: str, data: bytes) -> bytes:
    """One event with a type; ``data`` is one line of UTF-8, as compact JSON always is."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)


COMMENT = b":\n\n"
"""A line that clients ignore; keeps idle connections open."""


class Decoder:
    """Turns chunks, cut anywhere, into events."""

    def __init__(self) -> None:
        self._rest = b""
        self._event = ""
        self._id = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take a chunk; return the events that it completes."""
        events: list[ServerSentEvent] = []
        lines = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        self._rest = lines.pop()
        for raw in lines:
            line = raw.decode("utf-8", "replace")
            if not line:
                if self._data:
                    events.append(ServerSentEvent(self._event or "message", "\n".join(self._data), self._id))
                self._event, self._data = "", []
                continue
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                self._data.append(value)
            elif name == "event":
                self._event = value
            elif name == "id":
                self._id = value
        return events
