"""What the files API shows of sandboxes, and what it does not."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import quote

import pytest

from headrace.kernel.http import FileBody, HttpError, Request, Response, Router
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.sandbox.files import Files
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.sandbox.log_rotation import rotate
from headrace.mesos.own_log import OwnLog

Get = Callable[..., Response]
Swap = Callable[[Path, Layout], None]


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


def own_log(layout: Layout) -> OwnLog:
    (layout.data / "log").write_text("said\n")
    return OwnLog("/slave/log", layout.data / "log")


@pytest.fixture
def sandbox(layout: Layout) -> Path:
    made = layout.create(Place("S1", "fw", "t", "c"))
    (made / "stdout").write_text("hello")
    (made / "stdout").chmod(0o644)
    return made


@pytest.fixture
def get(layout: Layout) -> Get:
    router = Router()
    Files(layout, lambda: "S1", own_log(layout)).routes(router, "")

    def get(what: str, path: object, more: str = "", **headers: str) -> Response:
        query = f"path={quote(os.fsencode(str(path)))}{more}"
        answer = router(Request("GET", f"/files/{what}", query, headers, b""))
        assert isinstance(answer, Response)
        return answer

    return get


def refusal(get: Get, *request: object) -> int:
    with pytest.raises(HttpError) as error:
        get(*request)
    return error.value.status


def test_the_agents_own_log_is_beside_the_sandboxes(get: Get, sandbox: Path, layout: Layout) -> None:
    assert get("read", "/slave/log", "&offset=1").body == b'{"data":"aid\\n","offset":1}'
    assert get("read.json", "/slave/log", "&offset=-1").body == b'{"data":"","offset":5}'
    assert get("browse", "/slave/log").body == b"[]"
    assert isinstance(get("download", "/slave/log").body, FileBody)
    for elsewhere in ("/slave", "/slave/log/x", layout.data / "log"):
        assert refusal(get, "read", elsewhere, "&offset=0") == 404


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


def to_a_link_outside(at: Path, layout: Layout) -> None:
    at.symlink_to(layout.data / "secret")


def to_a_private_file(at: Path, _: Layout) -> None:
    at.touch(0o600)


def to_a_pipe(at: Path, _: Layout) -> None:
    os.mkfifo(at, 0o644)


def to_a_directory(at: Path, _: Layout) -> None:
    at.mkdir()


SWAPS = [(to_a_link_outside, 404), (to_a_private_file, 403), (to_a_pipe, 404), (to_a_directory, 400)]


@pytest.mark.parametrize(("swap", "status"), SWAPS)
@pytest.mark.parametrize("what", ["read", "download", "part"])
def test_what_is_swapped_after_the_path_is_resolved_is_not_shown(
    get: Get, layout: Layout, sandbox: Path, monkeypatch: pytest.MonkeyPatch, swap: Swap, status: int, what: str
) -> None:
    (layout.data / "secret").write_text("s3cret")
    file = sandbox / "stdout"
    resolve = os.path.realpath

    def resolve_then_swap(path: object) -> str:
        real = resolve(str(path))
        if real == str(file):
            file.unlink()
            swap(file, layout)
        return real

    monkeypatch.setattr(os.path, "realpath", resolve_then_swap)
    part = {"range": "bytes=0-"} if what == "part" else {}
    with pytest.raises(HttpError) as refused:
        get("read" if what == "read" else "download", file, "&offset=0", **part)
    assert refused.value.status == status


@pytest.mark.parametrize(("swap", "status"), SWAPS)
def test_what_is_swapped_before_it_is_sent_is_not_sent(
    get: Get, layout: Layout, sandbox: Path, swap: Swap, status: int
) -> None:
    (layout.data / "secret").write_text("s3cret")
    body = get("download", sandbox / "stdout").body
    (sandbox / "stdout").unlink()
    swap(sandbox / "stdout", layout)
    assert isinstance(body, FileBody)
    with pytest.raises(HttpError) as refused:
        body.open()
    assert refused.value.status == status


def test_a_directory_that_becomes_a_link_is_not_followed(get: Get, layout: Layout, sandbox: Path) -> None:
    for directory in (sandbox / "logs", layout.data / "root"):
        directory.mkdir()
        (directory / "f").write_text("x")
        (directory / "f").chmod(0o644)
    body = get("download", sandbox / "logs" / "f").body
    (sandbox / "logs").rename(sandbox / "old")
    (sandbox / "logs").symlink_to(layout.data / "root")
    assert isinstance(body, FileBody)
    with pytest.raises(HttpError):
        body.open()
    assert refusal(get, "browse", sandbox / "logs") == 404


def test_links_inside_a_sandbox_are_followed_and_nothing_stays_open(get: Get, sandbox: Path) -> None:
    (sandbox / "logs").mkdir()
    (sandbox / "logs" / "latest").symlink_to("../stdout")
    (sandbox / "link").symlink_to("logs")
    before = len(os.listdir("/proc/self/fd"))
    assert b"hello" in bytes(get("read", sandbox / "link" / "latest", "&offset=0").body)  # type: ignore[arg-type]
    assert b"latest" in bytes(get("browse", sandbox / "link").body)  # type: ignore[arg-type]
    get("download", sandbox / "link" / "latest")
    assert refusal(get, "read", sandbox / "link", "&offset=0") == 400
    assert refusal(get, "browse", sandbox / "stdout") == 404
    assert len(os.listdir("/proc/self/fd")) == before


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


@pytest.mark.parametrize(
    ("wanted", "status", "body", "span"),
    [
        ("bytes=0-1", 206, b"he", "bytes 0-1/5"),
        ("bytes=3-", 206, b"lo", "bytes 3-4/5"),
        ("bytes=3-99", 206, b"lo", "bytes 3-4/5"),
        ("bytes=-2", 206, b"lo", "bytes 3-4/5"),
        ("bytes=-99", 206, b"hello", "bytes 0-4/5"),
        ("bytes=5-", 416, b"", "bytes */5"),
        ("bytes=-0", 416, b"", "bytes */5"),
        ("bytes=4-3", 416, b"", "bytes */5"),
    ],
)
def test_ranges_of_a_file(get: Get, sandbox: Path, wanted: str, status: int, body: bytes, span: str) -> None:
    answer = get("download", sandbox / "stdout", range=wanted)
    assert (answer.status, answer.body, answer.headers["Content-Range"]) == (status, body, span)
    assert answer.headers["Headrace-Rotated"] == "0"


@pytest.mark.parametrize("wanted", ["bytes=-", "lines=1-2", "bytes=0-1,3-4", "bytes=" + "9" * 5000 + "-"])
def test_ranges_that_are_none_mean_the_whole_file(get: Get, sandbox: Path, wanted: str) -> None:
    answer = get("download", sandbox / "stdout", range=wanted)
    assert answer.status == 200
    assert isinstance(answer.body, FileBody)
    assert (answer.body.path, answer.body.offset, answer.body.length) == (sandbox / "stdout", 0, 5)
    with answer.body.open() as file:
        assert file.read() == b"hello"


def test_bytes_that_are_no_text_come_as_they_are(get: Get, sandbox: Path) -> None:
    (sandbox / "raw").write_bytes(b"\xff\xfe\x00a")
    (sandbox / "raw").chmod(0o644)
    assert get("download", sandbox / "raw", range="bytes=1-2").body == b"\xfe\x00"


def test_a_rotated_log_says_how_much_is_gone(get: Get, sandbox: Path) -> None:
    (sandbox / "stdout").write_bytes(b"a" * 65536 + b"rest")
    assert rotate(sandbox, "stdout", 65536, 9) == 65536
    answer = get("read", sandbox / "stdout", "&offset=0")
    assert (answer.body, answer.headers["Headrace-Rotated"]) == (b'{"data":"rest","offset":0}', "65536")
    part = get("download", sandbox / "stdout", range="bytes=1-")
    assert (part.body, part.headers["Headrace-Rotated"]) == (b"est", "65536")


def test_a_hole_at_the_front_is_skipped() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        layout = Layout(Path(directory))
        sandbox = layout.create(Place("S1", "fw", "t", "c"))
        (sandbox / "stdout").write_bytes(b"a" * 65536 + b"rest")
        (sandbox / "stdout").chmod(0o644)
        assert rotate(sandbox, "stdout", 65536, 9) == 65536
        files = Files(layout, lambda: "S1", own_log(layout))
        query = f"path={sandbox}/stdout"
        read = files.read(Request("GET", "/files/read", f"{query}&offset=0", {}, b""))
        assert read.body == b'{"data":"rest","offset":65536}'
        part = files.download(Request("GET", "/files/download", query, {"range": "bytes=5-"}, b""))
        assert (part.body, part.headers["Content-Range"]) == (b"rest", "bytes 65536-65539/65540")


def test_nested_sandboxes_have_paths_of_their_own(get: Get, layout: Layout) -> None:
    layout.create(Place("S1", "fw", "ex", "parent"))
    nested = layout.create(Place("S1", "fw", "ex", "child", "parent"), "task-1")
    (nested / "stdout").write_text("nested")
    (nested / "stdout").chmod(0o644)
    for path in (
        nested,
        "/frameworks/fw/executors/ex/runs/latest/tasks/task-1",
        "/frameworks/fw/executors/ex/tasks/task-1",
    ):
        assert b"nested" in bytes(get("read", f"{path}/stdout", "&offset=0").body)  # type: ignore[arg-type]
        assert refusal(get, "read", f"{path}/../../../../../../../../../../secret") in (400, 404)
    (nested / "out").symlink_to(layout.data)
    (layout.data / "agent.db").write_text("secret")
    assert refusal(get, "read", nested / "out" / "agent.db") == 404


def test_which_virtual_path_is_which_directory(get: Get, layout: Layout, sandbox: Path) -> None:
    layout.create(Place("S0", "fw", "t", "older"))
    answer = get("debug", "/")
    assert json.loads(bytes(answer.body)) == {  # type: ignore[arg-type]
        "/frameworks/fw/executors/t/runs/latest": str(sandbox),
        "/slave/log": str(layout.data / "log"),
    }
