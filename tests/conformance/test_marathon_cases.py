"""Marathon's own definitions and validation cases over HTTP, against a real daemon: the same answers."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, cluster

DATA = Path(__file__).parents[1] / "fixtures" / "marathon"
CHOSEN = {
    "constraint UNIQUE empty value": 201,
    "constraint lower-case operator": 422,
}
"""Where Marathon's answer is a defect: see docs/differences.md."""


def flags_of(words: list[str]) -> tuple[str, ...]:
    return tuple(part for word in words for part in word.split())


def cases() -> Iterator[Any]:
    for case in json.loads((DATA / "validation-cases.json").read_text()):
        body = case["raw"].encode() if "raw" in case else b"" if case["body"] is None else json.dumps(case["body"])
        yield pytest.param(case, body, flags_of(case.get("flags") or []), id=case["name"])
    for case in json.loads((DATA / "expected.json").read_text()):
        body = (DATA / case["file"]).read_bytes()
        plain = {"name": case["file"], "method": case["method"], "path": case["path"], "status": case["status"]}
        yield pytest.param(plain, body, flags_of(case["flags"]), id=case["file"])
        if case["alt"]:
            other = {**plain, "status": case["alt"]["status"]}
            flags = flags_of(case["alt"]["flags"])
            yield pytest.param(other, body, flags, id=f"{case['file']} {' '.join(flags)}")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("marathons"), agents=0) as it:
        yield it


@pytest.fixture(scope="module")
def daemons() -> dict[tuple[str, ...], str]:
    """The addresses of those that run, by their flags."""
    return {}


def ask(address: str, method: str, path: str, body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else {}
    finally:
        connection.close()


@pytest.mark.parametrize(("case", "body", "flags"), list(cases()))
def test_case(
    home: Cluster, daemons: dict[tuple[str, ...], str], case: dict[str, Any], body: Any, flags: tuple[str, ...]
) -> None:
    if flags not in daemons:
        daemons[flags] = home.add_marathon(*flags, name=f"marathon-{len(daemons)}").url.removeprefix("http://")
    address = daemons[flags]
    for method, path, before in case.get("pre") or ():
        assert ask(address, method, path, json.dumps(before))[0] in (200, 201)
    try:
        status, answer = ask(address, case["method"], case["path"], body)
    finally:
        ask(address, "DELETE", "/v2/groups?force=true", None)
    assert status == CHOSEN.get(case["name"], case["status"]), answer
    if case["name"] in CHOSEN:
        return
    assert answer.get("message", "") == case["message"] if "message" in case else True
    if "at" in case:
        (errors,) = [one["errors"] for one in answer["details"] if one["path"] == case["at"]]
        assert any(case["error"] in error for error in errors), errors
    elif "error" in case:
        assert case["error"] in json.dumps(answer), answer
