"""One session: what a command writes goes to all that are attached to it, what one of them sends is its input.

The connection that has launched the session sets the pace of the output; others that fall behind are cut off.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Protocol

from headrace.kernel.http import EventStream
from headrace.mesos.messages.agent_operator import Heartbeat, IOControl, IOData, ProcessIO
from headrace.mesos.messages.common import DurationInfo

HEARTBEAT = 30.0
"""Seconds between the heartbeats of an output."""
WATCHER_LIMIT = 4 * 1024 * 1024
"""Bytes that may wait for a connection that does not set the pace."""

STDOUT, STDERR = "STDOUT", "STDERR"
Encode = Callable[[ProcessIO], bytes]
"""A record as bytes, framed."""


class Channel(Protocol):
    """The command's side of a session."""

    async def write(self, data: bytes) -> None:
        """Give it input, at its pace; does nothing once it takes no more."""

    def close_input(self) -> None:
        """Its input is at its end."""

    def resize(self, rows: int, columns: int) -> None:
        """Its terminal has another size."""

    def flow(self, on: bool) -> None:
        """Take its output, or let it wait."""


class Session:
    """``terminal``: it has one. ``input_taken``: somebody is attached to its input.

    ``led``: the connection that it lives by is there; ``on_led`` is called when that comes.
    """

    def __init__(self, channel: Channel, terminal: bool) -> None:
        self.channel = channel
        self.terminal = terminal
        self.input_taken = False
        self.led = False
        self.on_led: Callable[[], None] = lambda: None
        self._outputs: dict[EventStream, Encode] = {}
        self._ended = asyncio.Event()

    def attach(self, stream: EventStream, encode: Encode, *, leads: bool = False) -> None:
        """Send what is written from now on; ``leads``: at this connection's pace, and not before it is there."""
        if self._ended.is_set():
            stream.close()
            return
        self._outputs[stream] = encode
        loop = asyncio.get_running_loop()
        heart = loop.create_task(self._beat(stream, encode))

        def gone() -> None:
            heart.cancel()
            self._outputs.pop(stream, None)

        stream.on_close(gone)
        if leads:
            stream.on_pace(self.channel.flow)
            self.channel.flow(True)
            self.led = True
            self.on_led()

    def wrote(self, kind: str, data: bytes) -> None:
        """The command has written something; ``kind``: STDOUT or STDERR."""
        said = ProcessIO("DATA", IOData(kind, base64.b64encode(data).decode()))
        for stream, encode in list(self._outputs.items()):
            stream.send(encode(said))

    def end(self) -> None:
        """The command has ended, and all that it wrote has been sent."""
        self._ended.set()
        for stream in list(self._outputs):
            stream.close()

    async def ended(self) -> None:
        """Wait for its end."""
        await self._ended.wait()

    async def _beat(self, stream: EventStream, encode: Encode) -> None:
        beat = IOControl("HEARTBEAT", heartbeat=Heartbeat(DurationInfo(int(HEARTBEAT * 1e9))))
        while True:
            await asyncio.sleep(HEARTBEAT)
            stream.send(encode(ProcessIO("CONTROL", control=beat)))


class Sessions:
    """All sessions that run, by the paths of their containers, whoever runs them."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def __setitem__(self, path: str, session: Session) -> None:
        self._sessions[path] = session

    def get(self, path: str) -> Session | None:
        """The session of a container, if it has one."""
        return self._sessions.get(path)

    def pop(self, path: str) -> Session | None:
        """Forget a session."""
        return self._sessions.pop(path, None)
