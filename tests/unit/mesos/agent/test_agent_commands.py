"""What is fetched by other programs: which one, how it is called, what is made of its answer. They are scripts here."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from headrace.kernel.http import HttpClient
from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.core.events import Fetch, FetchDone, FetchFailed
from headrace.mesos.agent.sandbox.commands import CommandProblem, copying
from headrace.mesos.agent.sandbox.fetcher import Fetcher
from headrace.mesos.agent.sandbox.fetcher_cache import FetcherCache
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.sandbox.sources import FetchProblem, Sources
from headrace.mesos.messages.common import CommandUri

NOBODY = pwd.getpwnam("nobody")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
COPIES = '#!/bin/sh\nfor target; do :; done\necho "$@" >"${0%/*}/arguments"\n'


class Silent:
    def size(self, total: int) -> None: ...
    def at(self, done: int) -> None: ...


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def plainly(function: object, *arguments: object) -> object:
    assert callable(function)
    return function(*arguments)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is the only one on PATH but for the system's."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    return directory


def sources(**more: str) -> Sources:
    return Sources(HttpClient(), plainly, stall=5.0, **more)


def test_hadoop_is_looked_for_where_mesos_looks(tmp_path: Path) -> None:
    target = tmp_path / "f"
    by_path = program(tmp_path / "path" / "hadoop", "")
    by_variable = program(tmp_path / "variable" / "bin" / "hadoop", "")
    by_flag = program(tmp_path / "flag" / "bin" / "hadoop", "")
    path = {"PATH": f"/nothing:{by_path.parent}"}
    variable = {"HADOOP_HOME": str(tmp_path / "variable"), **path}
    assert copying("hdfs://h/x", target, "", path) == [str(by_path), "fs", "-copyToLocal", "hdfs://h/x", str(target)]
    assert copying("viewfs:///x", target, "", variable)[0] == str(by_variable)
    assert copying("s3a://b/x", target, str(tmp_path / "flag"), variable)[0] == str(by_flag)
    with pytest.raises(CommandProblem, match="--hadoop_home: there is no program /no/bin/hadoop on this agent"):
        copying("hdfs://h/x", target, "/no", variable)


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
def test_aws_does_where_there_is_no_hadoop(tmp_path: Path, scheme: str) -> None:
    aws = program(tmp_path / "aws", "")
    argv = copying(f"{scheme}://bucket/key", tmp_path / "f", "", {"PATH": str(tmp_path)})
    assert argv == [str(aws), "s3", "cp", "--no-progress", "s3://bucket/key", str(tmp_path / "f")]


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        (
            "hdfs://h/x",
            "hdfs:// needs the program hadoop, which is not installed on this agent; install Hadoop's client",
        ),
        ("gs://b/x", "gs:// needs the program hadoop"),
        ("s3://b/x", "neither is installed on this agent; install the AWS command line"),
        ("ftp://h/x", "ftp:// is not supported; offer the file by http, https, hdfs or s3"),
        ("s3n://key:secret@b/x", "it holds a password"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, uri: str, why: str) -> None:
    with pytest.raises(CommandProblem) as error:
        copying(uri, tmp_path / "f", "", {"PATH": "/nothing"})
    assert why in str(error.value)
    assert "secret" not in str(error.value)


async def test_a_file_comes_by_hadoop(programs: Path, tmp_path: Path) -> None:
    program(programs / "hadoop", COPIES + 'printf content >"$target"\n')
    await sources().obtain("hdfs://h/a'b $(c)", tmp_path / "f", None, "", Silent())
    assert (tmp_path / "f").read_text() == "content"
    assert (programs / "arguments").read_text().startswith("fs -copyToLocal hdfs://h/a'b $(c) ")
    assert sorted(os.listdir(tmp_path)) == ["f", "programs"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo first; echo 'copyToLocal: no such file' >&2; exit 1", "status 1: first; copyToLocal: no such file"),
        ("exit 3", "hadoop failed with status 3"),
        ("true", "but there is no file"),
        ('mkdir "$target"', "it is a directory"),
        ('ln -s /etc/passwd "$target"', "but there is no file"),
    ],
)
async def test_a_program_that_fails_is_told(programs: Path, tmp_path: Path, script: str, why: str) -> None:
    program(programs / "hadoop", COPIES + script + "\n")
    with pytest.raises(FetchProblem) as error:
        await sources().obtain("hdfs://h/x", tmp_path / "f", None, "", Silent())
    assert why in str(error.value)
    assert os.listdir(tmp_path) == ["programs"]


async def test_a_program_that_brings_nothing_is_ended_with_all_its_children(programs: Path, tmp_path: Path) -> None:
    program(programs / "hadoop", COPIES + 'sleep 1000 & echo $! >"${0%/*}/child"; wait\n')
    begun = programs / "child"
    for stall in (0.2, 2.0, 20.0):  # on a loaded machine it may not have come so far
        slow = Sources(HttpClient(), plainly, stall=stall)
        with pytest.raises(FetchProblem, match="hadoop has brought nothing for"):
            await slow.obtain("hdfs://h/x", tmp_path / "f", None, "", Silent())
        if begun.exists() and begun.read_text():
            break
    child = int(begun.read_text())
    async with asyncio.timeout(60):
        while runs(child):
            await asyncio.sleep(0.01)


async def test_a_digest_counts_here_too(programs: Path, tmp_path: Path) -> None:
    program(programs / "hadoop", COPIES + 'printf content >"$target"\n')
    with pytest.raises(
        FetchProblem, match="its SHA-256 is ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    ):
        await sources().obtain("hdfs://h/x", tmp_path / "f", None, "0" * 64, Silent())


@as_root
async def test_another_user_reads_no_more_than_he_may(tmp_path: Path) -> None:
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(0o755)
    secret, public = tmp_path / "secret", tmp_path / "public"
    secret.write_text("s3cret")
    secret.chmod(0o600)
    public.write_text("open")
    public.chmod(0o755)
    with pytest.raises(FetchProblem, match="user 'nobody' can't read it: Permission denied"):
        await sources().obtain(str(secret), tmp_path / "f", NOBODY, "", Silent())
    await sources().obtain(f"file://{public}", tmp_path / "g", NOBODY, "", Silent())
    assert (tmp_path / "g").read_text() == "open"
    assert os.access(tmp_path / "g", os.X_OK)


@as_root
async def test_programs_run_as_the_user_without_the_agents_secrets(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(0o755)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    program(programs / "hadoop", '#!/bin/sh\nfor target; do :; done\n{ id -un; env; } >"$target"\n')
    await sources().obtain("hdfs://h/x", tmp_path / "f", NOBODY, "", Silent())
    said = (tmp_path / "f").read_text().splitlines()
    assert said[0] == "nobody"
    assert f"HOME={NOBODY.pw_dir}" in said
    assert not any("s3cret" in line for line in said)
    assert (tmp_path / "f").stat().st_uid == 0  # he can't change it any more, as others may use it


async def test_uris_side_by_side_and_one_download_for_all(programs: Path, tmp_path: Path) -> None:
    # side by side: none ends before all have begun
    script = 'cd "${0%/*}"; echo >>calls; while [ $(wc -l <calls) -lt 4 ]; do sleep 0.02; done\n'
    program(programs / "hadoop", COPIES + script + 'printf content >"$target"\n')
    layout, posted = Layout(tmp_path / "data"), list[object]()
    fetcher = Fetcher(layout, HttpClient(), FetcherCache(tmp_path / "cache", 100), posted.append)
    cached = [CommandUri("hdfs://h/same", cache=True)]
    several = [CommandUri(f"hdfs://h/{n}") for n in range(3)]
    places = [Place("S", "f", f"t{n}", f"c{n}") for n in range(4)]
    for place, uris in zip(places, (cached, cached, cached, several), strict=True):
        fetcher.fetch(Fetch(place, uris))
    async with asyncio.timeout(60):
        while len(posted) < 4:
            await asyncio.sleep(0.002)
    await fetcher.stop()
    assert {type(event) for event in posted} == {FetchDone}
    assert len((programs / "calls").read_text()) == 4
    assert (layout.sandbox(places[2]) / "same").read_text() == "content"
    told = (layout.sandbox(places[3]) / "stderr").read_text().splitlines()
    assert sum(line.startswith("Fetching URI 'hdfs://h/") for line in told) == 3
    assert sum(line.startswith("Fetched URI 'hdfs://h/") and line.endswith("(7 bytes)") for line in told) == 3
    assert "Took from the cache URI 'hdfs://h/same' in" in (layout.sandbox(places[0]) / "stderr").read_text()


async def test_what_is_too_large_for_the_cache_goes_past_it(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 101)
    (tmp_path / "small").write_bytes(b"x" * 60)
    layout, posted = Layout(tmp_path / "data"), list[object]()
    cache = FetcherCache(tmp_path / "cache", 100)
    fetcher = Fetcher(layout, HttpClient(), cache, posted.append)
    for n, name in enumerate(("small", "large", "nothing")):
        place = Place("S", "f", f"t{n}", f"c{n}")
        fetcher.fetch(Fetch(place, [CommandUri(str(tmp_path / name), cache=True)]))
        async with asyncio.timeout(60):
            while len(posted) <= n:
                await asyncio.sleep(0.002)
    await fetcher.stop()
    assert [type(event) for event in posted] == [FetchDone, FetchDone, FetchFailed]
    assert (layout.sandbox(Place("S", "f", "t1", "c1")) / "large").stat().st_size == 101
    assert [entry.stat().st_size for entry in os.scandir(tmp_path / "cache")] == [60]
    assert cache.index.used == 60
