"""Following a file in a sandbox: byte for byte, through output that is no text and through rotations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.cli import logs
from headrace.cli.api import Server
from headrace.cli.logs import Reader, read_end
from headrace.kernel.http import ClientResponse, HttpClient

PATH = "/s/stdout"


class Agent(Server):
    """A file, what was rotated out of it, and an agent that answers for both."""

    def __init__(self, ranges: bool = True) -> None:
        super().__init__("The agent", "http://h:1", HttpClient())
        self.live = b""
        self.rotated: list[bytes] = []
        self.cut = 0
        self.before_answer: Callable[[int], None] = lambda _: None
        self._ranges = ranges
        self._answers = 0

    def rotate(self, size: int, files: int = 3) -> None:
        self.rotated = [self.live[:size], *self.rotated][:files]
        self.live = self.live[size:]
        self.cut += size

    async def call(self, method: str, path: str, *_: object, **more: object) -> ClientResponse:
        self._answers += 1
        self.before_answer(self._answers)
        name = unquote(path.partition("path=")[2])
        number = int(name.removeprefix(PATH).lstrip(".") or 0)
        if number > len(self.rotated):
            return ClientResponse(404, {}, b"")
        data = self.rotated[number - 1] if number else self.live
        headers = {"headrace-rotated": str(self.cut)} if self._ranges and not number else {}
        if not self._ranges:
            return ClientResponse(200, headers, data)
        wanted = more["headers"]
        assert isinstance(wanted, dict)
        first, last = map(int, wanted["Range"].removeprefix("bytes=").split("-"))
        part = data[first : last + 1]
        if not part:
            return ClientResponse(416, headers | {"content-range": f"bytes */{len(data)}"}, b"")
        span = f"bytes {first}-{first + len(part) - 1}/{len(data)}"
        return ClientResponse(206, headers | {"content-range": span}, part)


async def read(agent: Agent, last: int | None = None) -> tuple[bytes, list[str]]:
    out, told = list[bytes](), list[str]()
    await Reader(agent, PATH, out.append, told.append).run(last, follow=False)
    return b"".join(out), told


async def test_bytes_that_are_no_text_come_once_and_as_they_are() -> None:
    agent = Agent()
    agent.live = bytes(range(256)) * 5000 + "grü\U0001f600".encode()[:-1]
    assert await read(agent) == (agent.live, [])
    assert await read(agent, 7) == (agent.live[-7:], [])
    agent.live = b""
    assert await read(agent) == (b"", [])


async def test_an_agent_without_ranges_can_be_read() -> None:
    agent = Agent(ranges=False)
    agent.live = b"\xff" * (logs.PIECE + 10)
    assert await read(agent) == (agent.live, [])
    assert await read(agent, 4) == (b"\xff" * 4, [])
    assert await read_end(agent, PATH, 2) == "\ufffd\ufffd"


async def test_what_is_rotated_while_it_is_followed_comes_in_order() -> None:
    agent = Agent()
    agent.live = b"a" * 100 + b"b" * 100 + b"c" * 100

    def rotates(answer: int) -> None:
        if answer == 2:  # the first piece is about to be read
            agent.rotate(100)
            agent.rotate(100)

    agent.before_answer = rotates
    assert await read(agent) == (b"a" * 100 + b"b" * 100 + b"c" * 100, [])


async def test_what_is_gone_for_good_is_told() -> None:
    agent = Agent()
    agent.live = b"a" * 100 + b"b" * 100 + b"c" * 50

    def rotates(answer: int) -> None:
        if answer == 2:
            agent.rotate(100, files=1)
            agent.rotate(100, files=1)

    agent.before_answer = rotates
    assert await read(agent) == (b"b" * 100 + b"c" * 50, ["100 bytes were rotated away before they were read"])


async def test_a_truncated_file_is_told() -> None:
    agent = Agent()
    agent.live = b"a" * 100
    out, told = list[bytes](), list[str]()
    following = asyncio.create_task(Reader(agent, PATH, out.append, told.append).run(None, follow=True))
    async with asyncio.timeout(60):
        while not out:
            await asyncio.sleep(0)
        agent.live = b"new"
        while len(out) < 2:
            await asyncio.sleep(0.01)
    following.cancel()
    assert (out, told) == ([b"a" * 100, b"new"], ["the file has been truncated"])


@given(
    steps=st.lists(st.one_of(st.just(-1), st.integers(0, 30)), max_size=40),
    piece=st.integers(1, 50),
)
@settings(max_examples=60, deadline=None)
def test_nothing_twice_and_nothing_left_out(steps: list[int], piece: int) -> None:
    agent = Agent()
    written = bytearray()
    todo = list(steps)

    def happens(_: int) -> None:
        if not todo:
            return
        step = todo.pop(0)
        if step < 0:
            if len(agent.live) > 1:
                agent.rotate(len(agent.live) // 2, files=99)
            return
        new = bytes((len(written) + i) % 251 for i in range(step))
        written.extend(new)
        agent.live += new

    agent.before_answer = happens
    out, told = list[bytes](), list[str]()

    async def follow() -> None:
        reader = Reader(agent, PATH, out.append, told.append, piece)
        await reader.run(None, follow=False)
        while await reader._step() or todo:
            pass

    asyncio.run(follow())
    assert told == []
    assert b"".join(out) == bytes(written)
