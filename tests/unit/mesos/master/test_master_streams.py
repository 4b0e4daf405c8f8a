"""Streams of operators: one that is not read is cut, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from headrace.kernel import recordio
from headrace.mesos.master.api import streams
from headrace.mesos.master.api.streams import Streams
from headrace.mesos.master.core.effects import CloseOperator, SendToOperators
from headrace.mesos.messages.common import AgentID
from headrace.mesos.messages.operator_answers import AgentRemoved, Event, Subscribed
from tests.unit.mesos.master.master_world import World


class Client(asyncio.WriteTransport):
    """A connection that is read, or not."""

    def __init__(self, *, reads: bool) -> None:
        super().__init__()
        self.reads = reads
        self.unread = 0
        self.heard = b""
        self.aborted = self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.heard += bytes(data)
        if not self.reads:
            self.unread += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unread

    def abort(self) -> None:
        self.aborted = True

    def close(self) -> None:
        self.ended = True

    @property
    def events(self) -> list[str]:
        """Types of the events, which came in chunks of HTTP."""
        rest, body = self.heard, b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            body += rest[: int(size, 16)]
            rest = rest[int(size, 16) + 2 :]
        return [json.loads(record)["type"] for record in recordio.Decoder().feed(body)]


def removed(name: str) -> Event:
    return Event("AGENT_REMOVED", agent_removed=AgentRemoved(AgentID(name)))


async def test_a_client_that_does_not_read_delays_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(streams, "BEHIND", 1000)
    all_streams, gone = Streams(), list[str]()
    clients = {"quick": Client(reads=True), "stalled": Client(reads=False)}
    subscribed = Event("SUBSCRIBED", subscribed=Subscribed(World().books.described.state(), 15.0))
    for name, client in clients.items():
        all_streams.open(name, lambda name=name: gone.append(name)).attach(client)  # type: ignore[misc]
        all_streams.perform(SendToOperators((name,), subscribed))
    for number in range(100):
        all_streams.perform(SendToOperators(("quick", "stalled", "unknown"), removed(f"agent-{number}")))
        await asyncio.sleep(0)
    assert clients["quick"].events == ["SUBSCRIBED", *["AGENT_REMOVED"] * 100]
    assert (clients["stalled"].aborted, gone) == (True, ["stalled"])
    assert len(clients["stalled"].events) < 30
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.message.startswith("stream stalled was cut: its client left more than")


async def test_the_state_that_a_stream_begins_with_is_not_held_against_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEHIND", 100)
    all_streams, client = Streams(), Client(reads=False)
    all_streams.open("slow", lambda: None).attach(client)
    world = World()
    for number in range(100):
        world.agent(f"h{number}", 5051 + number)
    state = world.books.described.state()
    all_streams.perform(SendToOperators(("slow",), Event("SUBSCRIBED", subscribed=Subscribed(state, 15.0))))
    await asyncio.sleep(0)
    assert client.unread > 10_000
    assert not client.aborted


async def test_many_who_do_not_read_are_cut_but_for_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "ALL_BEHIND", 0)  # four states, and not a byte more
    all_streams, gone = Streams(), list[str]()
    clients = {str(number): Client(reads=number == 1) for number in range(12)}
    subscribed = Event("SUBSCRIBED", subscribed=Subscribed(World().books.described.state(), 15.0))
    for name, client in clients.items():
        all_streams.open(name, lambda name=name: gone.append(name)).attach(client)  # type: ignore[misc]
        all_streams.perform(SendToOperators((name,), subscribed))
        await asyncio.sleep(0)
    assert gone == [name for name in map(str, range(9)) if name != "1"]  # the oldest, and nobody who reads
    assert [name for name, client in clients.items() if client.aborted] == gone
    all_streams.perform(SendToOperators(tuple(clients), removed("a")))
    await asyncio.sleep(0)
    assert clients["1"].events == ["SUBSCRIBED", "AGENT_REMOVED"]


async def test_the_end_of_a_stream() -> None:
    all_streams, client = Streams(), Client(reads=True)
    all_streams.open("one", lambda: None).attach(client)
    all_streams.perform(SendToOperators(("one",), removed("a")))
    all_streams.perform(CloseOperator("one"))
    assert client.events[:1] == ["AGENT_REMOVED"]
    assert client.ended
    assert "one" not in all_streams
