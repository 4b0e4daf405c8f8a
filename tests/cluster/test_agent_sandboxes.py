"""Real agents: what is fetched into sandboxes, and what people see of them over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import os
import re
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from headrace.cli.api import Server
from headrace.cli.logs import Reader
from headrace.kernel.http import HttpClient, HttpError, HttpServer, Request, Response
from headrace.mesos.messages.common import CommandInfo, CommandUri, Resource, Scalar
from tests.cluster.agent_harness import DEADLINE, Agent, StubMaster, task
from tests.cluster.harness import PORTS

LARGE = os.urandom(1024) * 2048  # 2 MiB: large enough to be linked


class FileServer:
    """Serves bytes by path and counts the requests."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self._server = HttpServer(self._answer)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        self.hold.set()
        await self._server.stop()

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        await self.hold.wait()
        if request.path == "/moved":
            return Response(302, headers={"Location": "/large"})
        if request.path not in self.files:
            raise HttpError(404, "no such file")
        return Response(200, self.files[request.path])


@pytest.fixture
async def master() -> AsyncIterator[StubMaster]:
    stub = StubMaster()
    await stub.start()
    yield stub
    await stub.stop()


@pytest.fixture
async def files() -> AsyncIterator[FileServer]:
    server = FileServer()
    server.files["/large"] = LARGE
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def agent(master: StubMaster, tmp_path: Path) -> AsyncIterator[Agent]:
    daemon = Agent(master.url, tmp_path / "agent")
    await daemon.start()
    await master.until(lambda: bool(master.registrations))
    yield daemon
    await daemon.dispose()


def tar_of(**content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(**content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as pack:
        for name, data in content.items():
            info = zipfile.ZipInfo(name.replace("__", "/"))
            info.external_attr = (stat.S_IFREG | 0o755) << 16
            pack.writestr(info, data)
    return out.getvalue()


def with_uris(command: str, *uris: CommandUri) -> CommandInfo:
    return CommandInfo(command, uris=list(uris))


async def test_files_and_archives_are_fetched_and_unpacked(
    master: StubMaster, agent: Agent, files: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "plain.txt").write_text("plain")
    (tmp_path / "tool.tgz").write_bytes(tar_of(bin__tool=b"#!/bin/sh\necho from the tool\n"))
    files.files["/pack.zip"] = zip_of(zipped__run=b"#!/bin/sh\necho from the zip\n")
    files.files["/note.txt.gz"] = gzip.compress(b"unpacked note")
    command = with_uris(
        "cat plain.txt; bin/tool; zipped/run; cat note.txt; test -x deep/er/script && echo executable; ls large*",
        CommandUri(str(tmp_path / "plain.txt")),
        CommandUri(f"file://{tmp_path}/tool.tgz"),
        CommandUri(f"{files.url}/pack.zip"),
        CommandUri(f"{files.url}/note.txt.gz"),
        CommandUri(f"{files.url}/moved", output_file="large.bin"),
        CommandUri(str(tmp_path / "plain.txt"), executable=True, output_file="deep/er/script"),
    )
    master.launch(task("t", command))
    end = await master.until_ended("t")
    assert end.state == "TASK_FINISHED", end
    out = (agent.sandbox("t") / "stdout").read_text()
    assert out == "plainfrom the tool\nfrom the zip\nunpacked noteexecutable\nlarge.bin\n"
    assert (agent.sandbox("t") / "large.bin").read_bytes() == LARGE
    log = (agent.sandbox("t") / "stderr").read_text()
    assert f"Fetched URI '{files.url}/moved' in" in log
    assert "2.0 MiB (2097152 bytes)" in log


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("/no/such/file", "there is no such file on this agent"),
        ("/usr", "it is a directory"),
        ("SERVER/nothing", "the server answered with status 404"),
        ("http://127.0.0.1:1/x", "can't reach http://127.0.0.1:1/x"),
        ("hdfs://host/x", "install Hadoop's client and give --hadoop_home"),
        ("ftp://host/x", "ftp:// is not supported; offer the file by http, https, hdfs or s3"),
        ("hdfs://user:pass@host/x", "it holds a password"),
        ("/dev/zero", "it is no regular file"),
        ("some/relative", "neither a URL nor an absolute path"),
        ("SERVER/large#sha256=" + "0" * 64, "its SHA-256 is"),
        ("SERVER/large#sha256=12", "holds no SHA-256"),
        ("SERVER/bad.zip", "can't unpack it"),
        ("SERVER/", "it names no file"),
    ],
)
async def test_what_can_not_be_fetched_fails_the_task(
    master: StubMaster, agent: Agent, files: FileServer, uri: str, why: str
) -> None:
    files.files["/bad.zip"] = b"this is no archive"
    files.files["/"] = b"index"
    master.launch(task("t", with_uris("true", CommandUri(uri.replace("SERVER", files.url)))))
    end = await master.until_ended("t")
    assert (end.state, end.reason, end.source) == ("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED", "SOURCE_AGENT")
    assert end.message is not None
    assert end.message.startswith("Failed to launch container: Failed to fetch all URIs for container '")
    assert why in end.message
    assert master.states("t") == ["TASK_FAILED"]


async def test_archives_that_lead_outside_are_refused(master: StubMaster, agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "evil.tgz").write_bytes(tar_of(**{"..__..__evil": b"x"}))
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as pack:
        pack.writestr("../../evil", b"x")
    for name in ("evil.tgz", "evil.zip"):
        master.launch(task(name, with_uris("true", CommandUri(str(tmp_path / name)))))
        assert (await master.until_ended(name)).state == "TASK_FAILED"
    assert not list(agent.data.rglob("evil"))


async def test_the_cache_downloads_once_and_knows_content_by_digest(
    master: StubMaster, agent: Agent, files: FileServer
) -> None:
    digest = hashlib.sha256(LARGE).hexdigest()
    files.files["/elsewhere/large"] = LARGE
    cached = CommandUri(f"{files.url}/large#sha256={digest}", cache=True)
    names = [f"t{i}" for i in range(5)]
    master.launch(*[task(name, with_uris("true", cached)) for name in names])
    for name in names:
        assert (await master.until_ended(name)).state == "TASK_FINISHED"
    assert [request.path for request in files.requests] == ["/large"]
    await agent.kill()
    await agent.start()  # what is cached outlives the agent
    await master.until(lambda: len(master.registrations) == 2)
    elsewhere = CommandUri(f"{files.url}/elsewhere/large#sha256={digest}", cache=True)
    master.launch(task("other", with_uris("true", elsewhere)))
    assert (await master.until_ended("other")).state == "TASK_FINISHED"
    assert len(files.requests) == 1
    file = agent.sandbox("other") / "large"
    assert file.stat().st_nlink > 2
    file.chmod(0o644)
    with file.open("ab") as spoiler:  # a task spoils what is shared: nobody else may get it
        spoiler.write(b"!")
    master.launch(task("after", with_uris("true", cached)))
    assert (await master.until_ended("after")).state == "TASK_FINISHED"
    assert (agent.sandbox("after") / "large").read_bytes() == LARGE
    assert len(files.requests) == 2


async def test_a_kill_while_fetching(master: StubMaster, agent: Agent, files: FileServer) -> None:
    files.hold.clear()
    master.launch(task("t", with_uris("true", CommandUri(f"{files.url}/large"))))
    await until(lambda: bool(files.requests))
    master.kill("t")
    end = await master.until_ended("t")
    assert (end.state, end.reason) == ("TASK_KILLED", "REASON_TASK_KILLED_DURING_LAUNCH")


async def test_fetching_begins_anew_after_the_agent_was_killed(
    master: StubMaster, agent: Agent, files: FileServer
) -> None:
    files.hold.clear()
    master.launch(task("t", with_uris("true", CommandUri(f"{files.url}/large"))))
    await until(lambda: bool(files.requests))
    await agent.kill()
    files.hold.set()
    await agent.start()
    assert (await master.until_ended("t")).state == "TASK_FINISHED"
    assert len(files.requests) == 2


async def test_sandboxes_can_be_browsed_and_read(master: StubMaster, agent: Agent, tmp_path: Path) -> None:
    master.launch(task("t", f"printf 'grüße\\n'; mkdir sub; echo deep >sub/file; ln -s {tmp_path} out; sleep 1000"))
    await master.until_state("t", "TASK_RUNNING")
    state = await agent.json("/slave(1)/state.json")
    executor = state["frameworks"][0]["executors"][0]
    directory = executor["directory"]
    assert Path(directory) == agent.sandbox("t")
    assert executor["tasks"][0]["state"] == "TASK_RUNNING"
    await until(lambda: os.path.lexists(agent.sandbox("t") / "out"))
    (tmp_path / "secret").write_text("secret")
    latest = "/framework/fw-1/executor/t/runs/latest"
    for path in (directory, latest, latest.replace("framework", "frameworks").replace("executor", "executors")):
        entries = {entry["path"]: entry for entry in await agent.json(f"/files/browse?path={path}")}
        assert set(entries) == {f"{path}/{name}" for name in ("out", "stderr", "stdout", "sub")}
        assert entries[f"{path}/stdout"]["size"] == 8
        assert entries[f"{path}/sub"]["mode"].startswith("d")
        assert await agent.json(f"/files/read.json?path={path}/stdout&offset=0&length=3") == {"data": "gr", "offset": 0}
        assert await agent.json(f"/files/read?path={path}/stdout&offset=-1") == {"data": "", "offset": 8}
        assert await agent.json(f"/files/read?path={path}/sub/file&offset=0") == {"data": "deep\n", "offset": 0}
        download = await agent.get(f"/slave(1)/files/download?path={path}/stdout")
        assert (download.status, download.body) == (200, "grüße\n".encode())
        for bad in (f"{path}/out/secret", f"{path}/../../../../../../../agent.db", f"{path}/nothing"):
            assert (await agent.get(f"/files/read?path={quote(bad)}&offset=0")).status in (400, 404)
    for bad in ("/etc", str(agent.data), str(agent.data / "slaves"), "/frameworks/fw-1"):
        assert (await agent.get(f"/files/browse?path={bad}")).status == 404
    assert (await agent.get("/files/browse")).status == 400
    assert (await agent.get(f"/files/read?path={directory}/stdout&offset=x")).status == 400


async def test_what_the_agent_tells_of_itself(master: StubMaster, tmp_path: Path) -> None:
    agent = Agent(
        master.url,
        tmp_path / "agent",
        "--attributes=rack:r1;slots:4",
        '--executor_environment_variables={"TOKEN": "s3cret"}',
    )
    await agent.start()
    try:
        await master.until(lambda: bool(master.registrations))
        master.launch(task("t", 'echo "$TOKEN"'), task("runs", "sleep 1000"))
        await master.until_ended("t")
        await master.until_state("runs", "TASK_RUNNING")
        assert (agent.sandbox("t") / "stdout").read_text() == "s3cret\n"
        assert (await agent.get("/health")).status == 200
        assert (await agent.json("/version"))["version"]
        flags = await agent.get("/flags")
        assert b"TOKEN" in flags.body
        assert b"s3cret" not in flags.body + (await agent.get("/state")).body
        async with asyncio.timeout(DEADLINE):  # it is complete when the agent knows that its end is known
            while not (state := await agent.json("/state"))["frameworks"][0]["completed_executors"]:
                await asyncio.sleep(0.02)
        assert state["attributes"] == {"rack": "r1", "slots": 4.0}
        assert state["resources"]["ports"] == PORTS
        metrics = await agent.json("/metrics/snapshot")
        assert (metrics["slave/tasks_finished"], metrics["slave/tasks_running"]) == (1.0, 1.0)
        assert [c["executor_id"] for c in await agent.json("/containers")] == ["runs"]
        assert (await agent.json("/story"))["story"][0]["what"] == "registered as agent-S0"
        completed = state["frameworks"][0]["completed_executors"]
        assert [e["completed_tasks"][0]["state"] for e in completed] == ["TASK_FINISHED"]
    finally:
        await agent.dispose()


async def test_old_sandboxes_are_removed(master: StubMaster, tmp_path: Path) -> None:
    agent = Agent(master.url, tmp_path / "agent", "--gc-delay=100ms")
    await agent.start()
    try:
        await master.until(lambda: bool(master.registrations))
        master.launch(task("t", "true"), task("runs", "sleep 1000"))
        await master.until_ended("t")
        await master.until_state("runs", "TASK_RUNNING")
        executors = agent.data / "slaves" / "agent-S0" / "frameworks" / "fw-1" / "executors"
        await until(lambda: not (executors / "t").exists())
        assert agent.sandbox("runs").is_dir()
        await until(lambda: len(list((agent.data / "meta" / "runs").iterdir())) == 1)
    finally:
        await agent.dispose()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB."""
    directory = tmp_path / "disk"
    directory.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", directory], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"can't mount a tmpfs here: {mounted.stderr.decode()}")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


async def test_a_full_disk_takes_old_sandboxes_but_nothing_that_runs(master: StubMaster, small_disk: Path) -> None:
    agent = Agent(master.url, small_disk / "agent", "--disk_watch_interval=50ms")
    await agent.start()
    try:
        await master.until(lambda: bool(master.registrations))
        fill = "head -c {}m /dev/zero >large"
        master.launch(task("old", fill.format(40)))
        await master.until_ended("old")
        old = agent.sandbox("old")
        await asyncio.sleep(0.2)  # several looks at a disk that is not full
        assert (old / "large").stat().st_size == 40 << 20
        master.launch(task("new", f"{fill.format(20)}; sleep 1000"))
        await until(lambda: not old.exists())
        assert agent.sandbox("new").is_dir()
        await until(lambda: (agent.sandbox("new") / "large").stat().st_size == 20 << 20)
        runs, new = agent.data / "meta" / "runs", agent.sandbox("new").name
        await until(lambda: [run.name for run in runs.iterdir()] == [new])
        assert "is in use" in (await agent.get("/story")).body.decode()
        assert "more than --gc_disk_headroom=0.1 allows" in agent.log.read_text()
    finally:
        await agent.dispose()


async def test_who_takes_more_disk_than_he_holds_is_ended(master: StubMaster, tmp_path: Path) -> None:
    flags = ("--enforce_container_disk_quota", "--container_disk_watch_interval=50ms")
    agent = Agent(master.url, tmp_path / "agent", *flags)
    await agent.start()
    try:
        await master.until(lambda: bool(master.registrations))
        # at once: a look at what is being written would find something in between
        write = f"head -c {{0}}m /dev/zero >{tmp_path}/{{0}}; mv {tmp_path}/{{0}} large; sleep 1000"
        over, under = (task(name, write.format(size)) for name, size in (("over", 3), ("under", 1)))
        disk = Resource("disk", "SCALAR", scalar=Scalar(2))
        master.launch(
            *(msgspec.structs.replace(one, resources=[*(one.resources or ()), disk]) for one in (over, under))
        )
        end = await master.until_ended("over")
        assert (end.state, end.reason) == ("TASK_FAILED", "REASON_CONTAINER_LIMITATION_DISK")
        assert re.fullmatch(r"Disk usage \(30\d\dKB\) exceeds quota \(2MB\)", end.message or "")
        assert end.limitation is not None
        assert [one.name for one in end.limitation.resources or ()] == ["disk"]
        await master.until_state("under", "TASK_RUNNING")
        await until((agent.sandbox("under") / "large").exists)
        assert master.states("under")[-1] == "TASK_RUNNING"
    finally:
        await agent.dispose()


async def test_logs_are_rotated_under_load_and_can_be_followed(master: StubMaster, tmp_path: Path) -> None:
    agent = Agent(master.url, tmp_path / "agent", "--max_stdout_size=64KB", "--rotated_files=99")
    await agent.start()
    try:
        await master.until(lambda: bool(master.registrations))
        write = "for i in range(150): os.write(1, b''.join(b'%07d\\n' % (i * 1000 + j) for j in range(1000)))"
        slowly = write.replace("os.write", "time.sleep(0.01); os.write")
        wait = "while [ ! -e go ]; do sleep 0.02; done"  # for the reader: it begins with what is there
        master.launch(task("t", f'echo; {wait}; {sys.executable} -Sc "import os, time\n{slowly}"; sleep 1000'))
        await master.until_state("t", "TASK_RUNNING")
        lines, told = bytearray(), list[str]()
        server = Server("agent", agent.url, HttpClient())
        reader = Reader(server, f"{agent.sandbox('t')}/stdout", lines.extend, told.append)
        following = asyncio.create_task(reader.run(None, follow=True))
        await until(lambda: bool(lines))
        (agent.sandbox("t") / "go").touch()
        wanted = b"\n" + b"".join(b"%07d\n" % number for number in range(150_000))
        await until(lambda: len(lines) >= len(wanted))
        following.cancel()
        assert (bytes(lines), told) == (wanted, [])
        files = agent.sandbox("t").glob("stdout*")
        await until(lambda: (agent.sandbox("t") / "stdout").stat().st_size < 64 * 1024)
        by_age = sorted(files, key=lambda file: -int(file.suffix[1:] or 0))
        assert b"".join(file.read_bytes() for file in by_age) == wanted
        assert len(by_age) > 10
    finally:
        await agent.dispose()


async def test_hdfs_comes_by_hadoop(master: StubMaster, tmp_path: Path) -> None:
    hadoop = tmp_path / "hadoop" / "bin" / "hadoop"
    hadoop.parent.mkdir(parents=True)
    hadoop.write_text('#!/bin/sh\n[ "$1 $2" = "fs -copyToLocal" ] && echo "content of $3" >"$4"\n')
    hadoop.chmod(0o755)
    agent = Agent(master.url, tmp_path / "agent", f"--hadoop_home={hadoop.parents[1]}")
    await agent.start()
    try:
        await master.until(lambda: bool(master.registrations))
        master.launch(task("t", with_uris("cat in/f", CommandUri("hdfs://name:1/a/b", output_file="in/f"))))
        assert (await master.until_ended("t")).state == "TASK_FINISHED"
        assert (agent.sandbox("t") / "stdout").read_text() == "content of hdfs://name:1/a/b\n"
    finally:
        await agent.dispose()


async def test_a_download_that_is_broken_off_is_tried_once_more(master: StubMaster, agent: Agent) -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        request = await reader.readuntil(b"\r\n\r\n")
        body = b"whole" if connections == 2 and b"/once" in request else b"who"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    master.launch(task("once", with_uris("cat once", CommandUri(f"{url}/once"))))
    assert (await master.until_ended("once")).state == "TASK_FINISHED"
    assert (agent.sandbox("once") / "stdout").read_text() == "whole"
    master.launch(task("ever", with_uris("true", CommandUri(f"{url}/ever"))))
    end = await master.until_ended("ever")
    assert "the server broke off its answer, twice" in (end.message or "")
    assert connections == 4
    server.close()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--master", "zk://host"], "zk://host"),
        (["--master", "h:1", "--resources", "cpus:many"], "--resources, character 1: cpus: 'many'"),
        (["--master", "h:1", "--gc-delay", "soon"], "--gc-delay: 'soon'"),
        (["--master", "h:1", "--attributes", "rack"], "--attributes, character 1: 'rack'"),
    ],
)
async def test_wrong_flags_get_one_clear_line(tmp_path: Path, flags: list[str], why: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "headrace.mesos.agent", "--data", str(tmp_path / "d"), "--port", "0", *flags,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, stderr = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 2
    assert why in stderr.decode().splitlines()[-1]
    assert "Traceback" not in stderr.decode()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that no update tells."""
    async with asyncio.timeout(DEADLINE):
        while not _true(condition):
            await asyncio.sleep(0.01)


def _true(condition: Callable[[], bool]) -> bool:
    """Whether it is; what is not there yet says no."""
    try:
        return condition()
    except FileNotFoundError:
        return False
