"""What the files API shows of sandboxes, and what it does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest

from headrace.kernel.http import FileBody, HttpError, Request, Response, Router
from headrace.mesos.agent.containers import Place
from headrace.mesos.agent.files import Files
from headrace.mesos.agent.layout import Layout

Get = Callable[..., Response]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def sandbox(layout: Layout) -> Path:
    made = layout.create(Place("S1", "fw", "t", "c"))
    (made / "stdout").write_text("hello")
    (made / "stdout").chmod(0o644)
    return made


@pytest.fixture
def get(layout: Layout) -> Get:
    router = Router()
    Files(layout, lambda: "S1").routes(router, "")

    def get(what: str, path: object, more: str = "") -> Response:
        query = f"path={quote(os.fsencode(str(path)))}{more}"
        answer = router(Request("GET", f"/files/{what}", query, {}, b""))
        assert isinstance(answer, Response)
        return answer

    return get


def refusal(get: Get, *request: object) -> int:
    with pytest.raises(HttpError) as error:
        get(*request)
    return error.value.status


def test_what_a_task_keeps_to_itself_is_listed_but_not_shown(get: Get, sandbox: Path) -> None:
    (sandbox / "key").write_text("s3cret")
    (sandbox / "key").chmod(0o600)
    (sandbox / ".headrace" / "conf").mkdir(parents=True)
    (sandbox / ".headrace" / "conf" / "token").write_text("s3cret")
    (sandbox / ".headrace").chmod(0o700)
    (sandbox / "innocent").symlink_to("key")
    for name in ("key", "innocent", ".headrace/conf/token"):
        assert refusal(get, "read", sandbox / name, "&offset=0") == 403
        assert refusal(get, "download", sandbox / name) == 403
    for name in (".headrace", ".headrace/conf"):
        assert refusal(get, "browse", sandbox / name) == 403
    assert b"/key" in bytes(get("browse", sandbox).body)  # type: ignore[arg-type]
    assert b'"hello"' in bytes(get("read", sandbox / "stdout", "&offset=0").body)  # type: ignore[arg-type]
    assert isinstance(get("download", sandbox / "stdout").body, FileBody)


@pytest.mark.parametrize("offset", [5, 2**63 - 1, 10**19])
def test_beyond_the_end_there_is_nothing(get: Get, sandbox: Path, offset: int) -> None:
    assert b'"data":""' in bytes(get("read", sandbox / "stdout", f"&offset={offset}").body)  # type: ignore[arg-type]


def test_names_that_are_no_names_get_an_answer(get: Get, sandbox: Path) -> None:
    assert refusal(get, "browse", f"/frameworks/fw/executors/{'x' * 300}/runs/latest") in (400, 404)
    assert refusal(get, "read", sandbox / ("x" * 300)) in (400, 404)
    (sandbox / os.fsdecode(b"caf\xe9")).touch()
    assert "caf\ufffd".encode() in bytes(get("browse", sandbox).body)  # type: ignore[arg-type]
    (sandbox / 'grü"n').touch()
    headers = get("download", sandbox / 'grü"n').headers
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''gr%C3%BC%22n"


def test_what_vanishes_meanwhile_is_left_out(get: Get, sandbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Vanished:
        name = "gone"

        def stat(self, **_: object) -> None:
            raise FileNotFoundError

    class Entries(list[Vanished]):
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda _: Entries([Vanished()]))
    assert get("browse", sandbox).body == b"[]"


def test_virtual_paths_mean_the_present_agent(get: Get, layout: Layout, sandbox: Path) -> None:
    for agent in ("S0", "S2"):
        (layout.create(Place(agent, "fw", "t", "c")) / "stdout").write_text("another")
    answer = get("read", "/frameworks/fw/executors/t/runs/latest/stdout", "&offset=0")
    assert b"hello" in bytes(answer.body)  # type: ignore[arg-type]
