"""Reading the end of files from an agent: how much, and what becomes of trouble. No sockets."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from headrace.kernel.http import ClientResponse, HttpClientError
from headrace.marathon import last_lines
from headrace.marathon.core.events import LogsRead, ReadLogs

FILES = {"/s/stdout": "".join(f"line {n}\n" for n in range(10_000)), "/s/stderr": "oops"}


class Agent:
    """Answers as /files/read does."""

    def __init__(self, trouble: Exception | int | bytes | None = None) -> None:
        self.trouble = trouble

    async def request(self, method: str, url: str, **_: Any) -> ClientResponse:
        if isinstance(self.trouble, Exception):
            raise self.trouble
        if isinstance(self.trouble, int):
            return ClientResponse(self.trouble, {}, b"")
        if isinstance(self.trouble, bytes):
            return ClientResponse(200, {}, self.trouble)
        query = parse_qs(urlsplit(url).query)
        text, offset = FILES.get(query["path"][0]), int(query["offset"][0])
        if text is None:
            return ClientResponse(404, {}, b"")
        if offset < 0:
            return ClientResponse(200, {}, msgspec.json.encode({"data": "", "offset": len(text)}))
        data = text[offset : offset + int(query["length"][0])]
        return ClientResponse(200, {}, msgspec.json.encode({"data": data, "offset": offset}))


def read(monkeypatch: pytest.MonkeyPatch, agent: Agent) -> LogsRead:
    monkeypatch.setattr(last_lines, "_SETTLE", 0)
    outcomes: list[LogsRead] = []

    async def work() -> None:
        it = last_lines.LastLines(outcomes.append)
        monkeypatch.setattr(it, "_http", agent)
        it.read(ReadLogs("k", "http://a:5051", {"stdout": "/s/stdout", "stderr": "/s/stderr", "none": "/s/none"}))
        await it._works.ended()
        await it.stop()

    asyncio.run(work())
    (outcome,) = outcomes
    return outcome


def test_the_last_lines_of_each_file(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = read(monkeypatch, Agent())
    assert outcome.files["stdout"] == [f"line {n}" for n in range(9_980, 10_000)]
    assert outcome.files["stderr"] == ["oops"]
    assert "none" not in outcome.files
    assert outcome.note == ""


@pytest.mark.parametrize(
    ("trouble", "word"),
    [
        (HttpClientError("refused"), "refused"),
        (401, "401"),
        (b"<html>", "can't be read"),
        (b'{"offset": 5}', "can't be read"),
    ],
)
def test_trouble_is_noted(monkeypatch: pytest.MonkeyPatch, trouble: Any, word: str) -> None:
    outcome = read(monkeypatch, Agent(trouble))
    assert word in outcome.note
    assert outcome.files == {}
