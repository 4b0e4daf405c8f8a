"""Calls of operators within a transcript: what they do to frameworks has to happen.

Where the master has no v1 operator API, its v0 endpoints do what the call asks for, and what can't be done
there is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from tests.conformance.differences import Difference

if TYPE_CHECKING:
    from tests.conformance.replay.recording import Entry
    from tests.conformance.replay.replay import Replay

_NOT_THERE = (404, 501)


def is_operators(request: dict[str, Any]) -> bool:
    """Whether a request is a call of the v1 operator API, as it should be."""
    body = request.get("body")
    return request.get("path") == "/api/v1" and isinstance(body, dict) and body.get("type") is not None


async def replay(replay: Replay, entry: Entry, what: str, meant: Difference) -> None:
    """Send the call, or what does the same."""
    if entry["kind"] == "http-stream-open":
        return  # the events of operators belong to the operator API
    answer = await replay.ask(entry)
    if answer.status not in _NOT_THERE:
        replay.check(entry, answer, what, meant)
        if isinstance(entry["response"]["body"], dict):
            replay.verdict.same_form(what, entry["response"]["body"], answer.json())
        if entry["request"]["body"]["type"] == "TEARDOWN":
            await replay.torn_down(entry["request"]["body"], what)
        return
    body = entry["request"]["body"]
    found = _V0.get(body["type"])
    if found is None:
        return
    path, part = found
    if body["type"] == "TEARDOWN":
        content = urlencode({"frameworkId": replay.names.live(body["teardown"]["framework_id"]["value"])}).encode()
        kind = "application/x-www-form-urlencoded"
    else:
        content = msgspec.json.encode(body[body["type"].lower()][part])
        kind = "application/json"
    answer = await replay.http.request(
        "POST", replay.stage.master.url + path, headers={"Content-Type": kind}, body=content
    )
    same = answer.status == entry["response"]["status"]
    replay.verdict.expect(same, f"{what} by POST {path}: {answer.status} {answer.message}")


_V0 = {
    "TEARDOWN": ("/teardown", ""),
    "UPDATE_MAINTENANCE_SCHEDULE": ("/maintenance/schedule", "schedule"),
    "START_MAINTENANCE": ("/machine/down", "machines"),
    "STOP_MAINTENANCE": ("/machine/up", "machines"),
}
