"""The master's process: its mistakes in plain words, its surface over HTTP, its size."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.kernel.http import HttpClient
from tests.cluster.harness import Daemon


def run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "headrace.mesos.master", *arguments], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stderr


def resident(pid: int) -> int:
    """Bytes of memory that a process occupies."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Daemon]:
    it = Daemon("master", "headrace.mesos.master", ["--port", "0", "--data", str(tmp_path / "data")], tmp_path)
    yield it
    if it.runs:
        it.stop()


def test_mistakes_are_explained_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, text = run("--port", port, "--data", str(tmp_path))
    assert (status, text.count("\n")) == (2, 1)
    assert f"127.0.0.1:{port}" in text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--agent_ping_timeout", "soon"], "--agent-ping-timeout 'soon' is not understood; give a time"),
        (["--weights", "a=0"], "--weights 'a=0' is not understood; give role=weight pairs"),
        (["--port", "http"], "--port 'http' is not understood"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_flags_that_make_no_sense(arguments: list[str], text: str) -> None:
    status, said = run(*arguments)
    assert status == 2
    assert text in said
    assert said.count("\n") == 1


def test_a_data_directory_of_another_version_is_left_alone(tmp_path: Path) -> None:
    from headrace.kernel.store import open_store

    open_store(f"sqlite://{tmp_path}/master.db", component="marathon", layout=1).close()
    status, text = run("--port", "0", "--data", str(tmp_path))
    assert status == 2
    assert "holds data of marathon" in text


async def test_surface_and_size(master: Daemon) -> None:
    master.start()
    http = HttpClient()
    try:
        for path in ("/master/state", "/state.json", "/master/slaves", "/tasks", "/metrics/snapshot", "/version"):
            answer = await http.request("GET", master.url + path)
            assert (answer.status, answer.headers["content-type"]) == (200, "application/json"), path
            assert isinstance(answer.json(), dict)
        assert (await http.request("GET", master.url + "/health")).status == 200
        redirect = await http.request("GET", master.url + "/master/redirect")
        assert (redirect.status, redirect.headers["location"]) == (307, master.url.removeprefix("http:"))
        assert (await http.request("GET", master.url + "/version?jsonp=cb")).body.startswith(b"cb({")
        refused = await http.request("DELETE", master.url + "/master/state")
        assert (refused.status, refused.headers["allow"]) == (405, "GET")
        nobody = await http.request("POST", master.url + "/teardown", body=b"frameworkId=nope")
        assert (nobody.status, nobody.body) == (400, b"No framework found with specified ID")
    finally:
        http.close()
    with Path(f"/proc/{master.pid}/statm").open() as statm:  # noqa: ASYNC230 - never waits
        rss = int(statm.read().split()[1]) * 4096
    assert master.stop() == 0
    assert rss < 28 * 2**20


async def test_a_client_may_send_chunks_and_nulls_and_no_accept_header(master: Daemon) -> None:
    import asyncio

    master.start()
    host, _, port = master.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    info = b'{"user":"u","name":"n","id":null}'
    info = b'{"user":"u","name":"n","id":null}'
    body = b'{"type":"SUBSCRIBE","accept":null,"subscribe":{"force":null,"framework_info":%b}}' % info
    writer.write(
        b"POST /api/v1/scheduler HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:20], body[20:]))
        + b"0\r\n\r\n"
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"Mesos-Stream-Id: " in head
    assert b"SUBSCRIBED" in await asyncio.wait_for(reader.readuntil(b"HEARTBEAT"), 60)
    writer.close()
    await writer.wait_closed()
    master.stop()
