"""Calls of operators within a transcript: what they do to frameworks has to happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.conformance.differences import Difference

if TYPE_CHECKING:
    from tests.conformance.replay.recording import Entry
    from tests.conformance.replay.replay import Replay


def is_operators(request: dict[str, Any]) -> bool:
    """Whether a request is a call of the v1 operator API, as it should be."""
    body = request.get("body")
    return request.get("path") == "/api/v1" and isinstance(body, dict) and body.get("type") is not None


async def replay(replay: Replay, entry: Entry, what: str, meant: Difference) -> None:
    """Send the call, and compare the answer."""
    if entry["kind"] == "http-stream-open":
        await replay.open(entry, what, meant)
        return
    await replay.bind_framework(entry["request"]["body"].get("teardown"), what)
    answer = await replay.ask(entry)
    replay.check(entry, answer, what, meant)
    replay.same_answer(entry, answer, what, meant)
    if answer.status // 100 == 2 and entry["request"]["body"]["type"] == "TEARDOWN":
        await replay.torn_down(entry["request"]["body"], what)
