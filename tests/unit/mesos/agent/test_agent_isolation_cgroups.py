"""Cgroups of both versions: as directories that only look like them, and, where this machine has it, the real v2."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from headrace.kernel import process
from headrace.kernel.daemon import UserError
from headrace.mesos.agent.core.containers import ContainerSpec, Place
from headrace.mesos.agent.isolation import cgroups, memory_watch
from headrace.mesos.agent.isolation.cgroups import Cgroups, Part, end_all, out_of_memory, remove
from headrace.mesos.agent.isolation.hierarchy import Directory, Mount, available, key_of, mounts, prepare
from headrace.mesos.agent.isolation.isolation import Active, Isolation
from headrace.mesos.agent.isolation.memory_watch import MemoryWatch
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import Limit, Resource, Scalar

UNIFIED = Path("/sys/fs/cgroup/unified")
NOT_HERE = os.geteuid() != 0 or not UNIFIED.exists()
MIB = 1024 * 1024
ALL = ("cpu", "memory", "pids")


def spec(container_id: str = "c-1", parent_id: str = "", limits: dict[str, float] | None = None) -> ContainerSpec:
    held = [Resource("cpus", "SCALAR", scalar=Scalar(0.5)), Resource("mem", "SCALAR", scalar=Scalar(64))]
    place = Place("S", "fw", "t", container_id, parent_id)
    return ContainerSpec(place, "t", resources=held, limits={n: Limit(v) for n, v in (limits or {}).items()})


def texts(path: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in path.iterdir() if file.is_file()}


def fake(path: Path, *missing: str, **files: str) -> Path:
    """A directory that holds what the kernel would have put there."""
    path.mkdir(parents=True, exist_ok=True)
    for name in ("cgroup.procs", "cgroup.subtree_control"):
        (path / name).touch()
    for name, text in files.items():
        (path / name.replace("__", ".")).write_text(text)
    return path


# where they are


MOUNTINFO = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / {root}/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpuacct,cpu
35 31 0:32 /docker/abc {root}/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / {root}/unified rw,relatime - cgroup2 cgroup2 rw
42 31 0:38 / /elsewhere/pids rw,relatime - cgroup cgroup rw,pids
"""
OWN = "4:memory:/docker/abc/inner\n2:cpu,cpuacct:/user.slice\n0::/agents\n"


def test_controllers_are_found_in_either_version(tmp_path: Path) -> None:
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").write_text("memory pids\n")
    found = mounts(tmp_path, MOUNTINFO.format(root=tmp_path), OWN)
    assert [(m.point.name, m.version, m.own) for m in found] == [
        ("cpu,cpuacct", 1, "/user.slice"),
        ("memory", 1, "/inner"),
        ("unified", 2, "/agents"),
    ]
    where = {name: (mount.point.name, mount.version) for name, mount in available(found).items()}
    assert where == {"cpu": ("cpu,cpuacct", 1), "memory": ("memory", 1), "pids": ("unified", 2)}


def test_a_directory_of_cgroup_v2_is_made_with_its_controllers_handed_down(tmp_path: Path) -> None:
    mount = Mount(tmp_path, 2, frozenset(ALL), "/me")
    fake(tmp_path, cgroup__subtree_control="cpu memory pids")
    (directory,) = prepare(ALL, dict.fromkeys(ALL, mount), "headrace", Path("/data"))
    assert directory == Directory(tmp_path / "headrace" / key_of(Path("/data")), 2, ALL)
    assert (tmp_path / "cgroup.subtree_control").read_text() == "cpu memory pids"
    assert (tmp_path / "headrace" / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (directory.path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    (below,) = prepare(["cpu"], {"cpu": mount}, "./x", Path("/data"))
    assert below.path == tmp_path / "me" / "x" / key_of(Path("/data"))


def test_a_hierarchy_that_can_not_be_written_to_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "headrace").touch()
    mount = Mount(tmp_path, 1, frozenset(["cpu"]), "/")
    with pytest.raises(UserError, match=f"can't use the cgroup controllers cpu at {tmp_path}/headrace"):
        prepare(["cpu"], {"cpu": mount}, "headrace", Path("/data"))


# limits


def made(tmp_path: Path, version: int, **limits: float) -> dict[str, str]:
    """The limits that a container gets."""
    container = fake(tmp_path / "c-1")
    optional = ["memory.memsw.limit_in_bytes"] if version == 1 else ["memory.swap.max", "memory.oom.group"]
    for name in optional:
        (container / name).touch()
    parts = Cgroups([Directory(tmp_path, version, ALL)], False, 77).make(spec(limits=limits))
    assert parts == [Part(str(container), version, ALL)]
    return {name: text for name, text in texts(container).items() if not name.startswith("cgroup.")}


def test_limits_of_cgroup_v1(tmp_path: Path) -> None:
    assert made(tmp_path, 1, cpus=0.75, mem=128) == {
        "cpu.shares": "512",
        "cpu.cfs_period_us": "100000",
        "cpu.cfs_quota_us": "75000",
        "memory.soft_limit_in_bytes": str(64 * MIB),
        "memory.limit_in_bytes": str(128 * MIB),
        "memory.memsw.limit_in_bytes": str(128 * MIB),
        "pids.max": "77",
    }


def test_limits_of_cgroup_v2(tmp_path: Path) -> None:
    assert made(tmp_path, 2, cpus=0.75, mem=128) == {
        "cpu.weight": "20",
        "cpu.max": "75000 100000",
        "memory.low": str(64 * MIB),
        "memory.max": str(128 * MIB),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": "77",
    }


def test_only_the_controllers_that_are_asked_for_are_set(tmp_path: Path) -> None:
    Cgroups([Directory(tmp_path, 1, ("cpu",))], False, 77).make(spec())
    assert texts(tmp_path / "c-1") == {"cpu.shares": "512"}


@pytest.mark.parametrize("version", [1, 2])
def test_more_memory_is_given_at_once_and_none_taken_away(tmp_path: Path, version: int) -> None:
    made(tmp_path, version)
    container, limit = tmp_path / "c-1", "memory.limit_in_bytes" if version == 1 else "memory.max"
    all_cgroups = Cgroups([Directory(tmp_path, version, ALL)], False, 77)
    parts = [Part(str(container), version, ALL)]
    all_cgroups.update(parts, spec(limits={"mem": 256}))
    assert (container / limit).read_text() == str(256 * MIB)
    all_cgroups.update(parts, spec(limits={"mem": 100}))
    assert (container / limit).read_text() == str(256 * MIB)


@pytest.mark.parametrize(("version", "name", "total"), [(1, "cpu.shares", "1024"), (2, "cpu.weight", "40")])
def test_a_group_weighs_as_much_as_its_tasks(tmp_path: Path, version: int, name: str, total: str) -> None:
    group = fake(tmp_path / "parent", **{name.replace(".", "__"): "1"})
    all_cgroups = Cgroups([Directory(tmp_path, version, ("cpu",))], False, 77)
    for container_id in ("c-1", "c-2"):
        fake(group / container_id)
        (part,) = all_cgroups.make(spec(container_id, "parent"))
        assert part == Part(str(group / container_id), version, ("cpu",), grouped=True)
    assert (group / name).read_text() == total
    assert (group / "cgroup.subtree_control").read_text() == ("+cpu" if version == 2 else "")


def test_tasks_of_an_executor_with_processes_are_not_in_its_cgroup(tmp_path: Path) -> None:
    fake(tmp_path / "parent", cgroup__procs=f"{os.getpid()}\n")
    (part,) = Cgroups([Directory(tmp_path, 2, ("cpu",))], False, 77).make(spec(parent_id="parent"))
    assert part == Part(str(tmp_path / "c-1"), 2, ("cpu",))


# out of memory


V1 = {
    "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory.limit_in_bytes": str(32 * MIB),
    "memory.max_usage_in_bytes": str(32 * MIB),
    "memory.stat": "rss 1\n",
}
V2 = {
    "memory.events": "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\n",
    "memory.max": str(32 * MIB),
    "memory.peak": str(32 * MIB),
    "memory.stat": "rss 1\n",
}


@pytest.mark.parametrize(("version", "files"), [(1, V1), (2, V2)])
def test_a_container_that_ran_out_of_memory_is_told_of_as_mesos_does(
    tmp_path: Path, version: int, files: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    limitation = out_of_memory([Part("/x", 1, ("cpu",)), Part(str(tmp_path), version, ("memory",))])
    assert limitation is not None
    assert limitation.reason == "REASON_CONTAINER_LIMITATION_MEMORY"
    expected = "Memory limit exceeded: Requested: 32MB Maximum Used: 32MB\n\nMEMORY STATISTICS: \nrss 1\n"
    assert limitation.message.startswith(expected)
    assert [(r.name, r.scalar) for r in limitation.resources] == [("mem", Scalar(32.0))]


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (1, V1 | {"memory.oom_control": "oom_kill 0\n"}),
        (1, V1 | {"memory.max_usage_in_bytes": str(20 * MIB)}),  # the machine ran out, not the container
        (2, V2 | {"memory.events": "oom 1\noom_kill 0\n"}),
        (2, V2 | {"memory.events": "oom 0\noom_kill 1\n"}),
        (1, {}),
        (2, {}),
    ],
)
def test_other_ends_are_not_taken_for_it(tmp_path: Path, version: int, files: dict[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert out_of_memory([Part(str(tmp_path), version, ("memory",))]) is None
    assert out_of_memory([]) is None


def test_the_reason_outlives_the_cgroup(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "data")
    run_dir = layout.run_dir("c-1")
    run_dir.mkdir(parents=True)
    cgroup = tmp_path / "cgroup"
    cgroup.mkdir()
    for name, text in V2.items():
        (cgroup / name).write_text(text)
    (run_dir / "isolation").write_bytes(msgspec.json.encode({"parts": [Part(str(cgroup), 2, ("memory",))]}))
    first = Isolation(Active(), layout).limitation("c-1")
    for name in V2:
        (cgroup / name).unlink()
    cgroup.rmdir()
    assert first is not None
    assert Isolation(Active(), layout).limitation("c-1") == first


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1KB"), (32 * MIB, "32MB"), (3 << 30, "3GB"), ((32 * MIB) + 4096, "32772KB")],
)
def test_sizes_are_written_as_mesos_does(amount: int, text: str) -> None:
    assert cgroups._size(amount) == text


# the end


def test_processes_are_killed_one_by_one_where_the_kernel_has_no_better_way(tmp_path: Path) -> None:
    pid = os.posix_spawn("/bin/sleep", ["sleep", "100"], {})
    fake(tmp_path, cgroup__procs=f"{pid}\n")
    (tmp_path / "pids.max").write_text("77")
    assert not end_all([Part(str(tmp_path), 1, ("pids",))])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / "pids.max").read_text() == "0"
    (tmp_path / "cgroup.procs").write_text("")
    assert end_all([Part(str(tmp_path), 1, ("pids",))])


def test_what_earlier_agents_left_goes_and_what_runs_stays(tmp_path: Path) -> None:
    for name in ("gone", "kept", "group/gone", "group/kept", "empty/gone", "alone"):
        (tmp_path / name).mkdir(parents=True)
    Cgroups([Directory(tmp_path, 1, ("cpu",))], False, 9).sweep({"kept"})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["group", "group/kept", "kept"]


# the real one


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Path | None]:
    """A cgroup of the real version 2; None if this machine lets us make none."""
    own = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line[:3] == "0::"), "/")
    root = UNIFIED if UNIFIED.is_dir() else Path("/sys/fs/cgroup")
    path = root / own.strip("/") / f"headrace-test-{os.getpid()}"
    try:
        if not (root / "cgroup.procs").exists():
            raise FileNotFoundError(root)
        path.mkdir()
    except OSError:
        yield None
        return
    yield path
    deadline = time.monotonic() + 60
    while not (end_all([Part(str(path), 2, ())]) and remove([Part(str(path), 2, ())])):
        assert time.monotonic() < deadline
        time.sleep(0.002)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def start(tmp_path: Path, enter: Sequence[Path], command: str) -> Path:
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    out = run_dir / "out"
    environment = {"PATH": os.environ["PATH"]}
    process.start(
        ["/bin/sh", "-c", command],
        run_dir=run_dir,
        work_dir=tmp_path,
        environment=environment,
        stdout=out,
        stderr=out,
        enter=enter,
    )
    return run_dir


def test_a_real_cgroup_is_emptied_and_the_status_is_still_told(real: Path | None, tmp_path: Path) -> None:
    if real is None:
        assert NOT_HERE
        return
    run_dir = start(tmp_path, [real / "cgroup.procs"], "setsid sleep 1000 & sleep 1000")
    part = Part(str(real), 2, ())
    until(lambda: len(cgroups._processes(real)) == 3)
    assert not end_all([part])
    until(lambda: end_all([part]))
    until(lambda: process.find(run_dir) is process.Found.ENDED)
    assert process.read_end(run_dir) == process.Ended(137, 9)
    assert (run_dir / "status").exists(), "the supervisor was to be spared"
    assert remove([part])
    assert not real.exists()
    assert remove([part])


async def test_events_of_a_real_cgroup_are_told(
    real: Path | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if real is None:
        assert NOT_HERE
        return
    monkeypatch.setattr(memory_watch, "EVENTS", "cgroup.events")  # there without any controller
    told: list[str] = []
    watch = MemoryWatch(told.append)
    watch.add("c-1", Part(str(real), 2, ("memory",)))
    watch.add("c-1", Part(str(real), 2, ("memory",)))
    await asyncio.sleep(0.01)
    assert told == []
    for times in (1, 2):
        run_dir = tmp_path / str(times)
        run_dir.mkdir()
        start(run_dir, [real / "cgroup.procs"], "true")
        async with asyncio.timeout(60):
            while len(told) < times:
                await asyncio.sleep(0.002)
    assert set(told) == {"c-1"}
    watch.drop("c-1")
    watch.stop()


def test_a_container_whose_limits_can_not_be_set_leaves_no_cgroup(tmp_path: Path) -> None:
    ready, refusing = tmp_path / "a", tmp_path / "b"
    ready.mkdir()
    refusing.mkdir()
    (refusing / "c-1").touch()
    with pytest.raises(FileExistsError):
        Cgroups([Directory(ready, 1, ()), Directory(refusing, 1, ())], False, 9).make(spec())
    assert list(ready.iterdir()) == []
