"""What is asked of isolation, and what follows from it for one container."""

from __future__ import annotations

import os
import resource
import selectors
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.agent.core.containers import ContainerSpec, Place
from headrace.mesos.agent.flags.agent import parse
from headrace.mesos.agent.isolation import choice, namespaces
from headrace.mesos.agent.isolation.amounts import Amounts, amounts_of
from headrace.mesos.agent.isolation.choice import choose
from headrace.mesos.agent.isolation.flags import IsolationFlags
from headrace.mesos.agent.isolation.hierarchy import Mount
from headrace.mesos.agent.isolation.isolation import Active, Isolation, check_container
from headrace.mesos.agent.isolation.namespaces import begin, joining, making
from headrace.mesos.agent.isolation.problems import IsolationProblem
from headrace.mesos.agent.isolation.rlimits import limited
from headrace.mesos.agent.isolation.volumes import Mount as VolumeMount
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import ContainerInfo, Limit, Resource, RLimit, RLimitInfo, Scalar

MIB = 1024 * 1024
PARENT = {"type": "PARENT", "path": "shared"}
PLACE = Place("S", "fw", "task", "c-1")


def scalar(name: str, value: float) -> Resource:
    return Resource(name, "SCALAR", scalar=Scalar(value))


def info(**fields: Any) -> ContainerInfo:
    return msgspec.convert({"type": "MESOS", **fields}, ContainerInfo)


# flags


def test_flags_have_the_names_of_mesos() -> None:
    given = parse(
        ["--master=h:1", "--work_dir=/d", "--isolation=cgroups/cpu", "--cgroups_enable_cfs", "--cgroups-root=x"]
    )
    assert given.isolation == IsolationFlags("cgroups/cpu", Path("/sys/fs/cgroup"), "x", True, 4096)
    assert given.shown()["isolation"] == "cgroups/cpu"
    assert given.shown()["cgroups_enable_cfs"] == "true"


@pytest.mark.parametrize(
    "flag",
    [
        "--cgroups_root=/x",
        "--cgroups_root=./",
        "--cgroups_root=../x",
        "--cgroups_enable_cfs=perhaps",
        "--cgroups_pids_max=-1",
        "--cgroups_pids_max=2",
    ],
)
def test_a_flag_that_makes_no_sense_is_named(flag: str) -> None:
    with pytest.raises(UserError, match=flag.partition("=")[0]):
        parse(["--master=h:1", "--work_dir=/d", flag])


def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *controllers: str) -> IsolationFlags:
    """Hierarchies of cgroup v1 that are plain directories."""
    found = []
    for name in controllers:
        (tmp_path / name).mkdir()
        found.append(Mount(tmp_path / name, 1, frozenset([name]), "/"))

    def make(mount: Mount, path: Path, names: object) -> None:
        path.mkdir(parents=True)

    monkeypatch.setattr(choice, "_mounted", lambda _: found)
    monkeypatch.setattr("headrace.mesos.agent.isolation.hierarchy._make", make)
    return IsolationFlags(cgroups_hierarchy=tmp_path)


@pytest.mark.parametrize(
    ("asked", "active"),
    [
        ("posix/cpu,posix/mem", "posix/cpu,posix/mem"),
        ("posix", "posix/cpu,posix/mem"),
        ("", ""),
        (" posix/mem , disk/du", "posix/mem,disk/du"),
        ("cgroups", "cgroups/cpu,cgroups/mem"),
        ("cgroups/all", "cgroups/cpu,cgroups/mem"),
        ("auto", "cgroups/cpu,cgroups/mem"),
        ("posix/cpu,cgroups/mem,posix/rlimits", "posix/cpu,cgroups/mem,posix/rlimits"),
        ("posix,cgroups/cpu", "posix/mem,cgroups/cpu"),
    ],
)
def test_what_is_asked_for_becomes_active(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, active: str
) -> None:
    flags = mounted(monkeypatch, tmp_path, "cpu", "memory")
    chosen = choose(msgspec.structs.replace(flags, isolation=asked), Path("/data"))
    assert ",".join(chosen.names) == active
    assert (chosen.cgroups is not None) == ("cgroups" in active)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("cgroups/pids", "cgroups/pids needs the cgroup controller pids"),
        ("network/cni", "'network/cni' is not known to this agent. Known are posix/cpu"),
        ("posix cpu", "'posix cpu' is not known"),
    ],
)
def test_what_can_not_be_had_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, text: str
) -> None:
    flags = mounted(monkeypatch, tmp_path, "cpu", "memory")
    with pytest.raises(UserError, match=f"--isolation: {text}"):
        choose(msgspec.structs.replace(flags, isolation=asked), Path("/data"))


def test_a_machine_without_cgroups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flags = mounted(monkeypatch, tmp_path)
    assert choose(msgspec.structs.replace(flags, isolation="auto"), Path("/d")).names == ("posix/cpu", "posix/mem")
    with pytest.raises(UserError, match="no cgroup controllers are mounted"):
        choose(msgspec.structs.replace(flags, isolation="cgroups/all"), Path("/d"))
    with pytest.raises(UserError, match="--cgroups_enable_cfs: needs --isolation=cgroups/cpu"):
        choose(msgspec.structs.replace(flags, cgroups_enable_cfs=True), Path("/d"))


def test_auto_goes_without_what_it_may_not_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    flags = mounted(monkeypatch, tmp_path, "cpu")

    def refuse(mount: Mount, path: Path, names: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("headrace.mesos.agent.isolation.hierarchy._make", refuse)
    assert choose(msgspec.structs.replace(flags, isolation="auto"), Path("/d")).cgroups is None
    with pytest.raises(UserError, match="Permission denied; run the agent as root"):
        choose(msgspec.structs.replace(flags, isolation="cgroups/cpu"), Path("/d"))


def test_namespaces_that_this_machine_can_not_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.mesos.agent.isolation.namespaces.UNSHARE", "/no/such/unshare")
    for name in ("namespaces/pid", "filesystem/linux"):
        with pytest.raises(UserError, match=f"{name} can't be had on this machine: /no/such/unshare is missing"):
            choose(IsolationFlags(name), Path("/d"))


# amounts


@pytest.mark.parametrize(
    ("resources", "limits", "cfs", "amounts"),
    [
        ({"cpus": 0.5, "mem": 64}, {}, False, Amounts(512, None, 64 * MIB, 64 * MIB)),
        ({"cpus": 0.5, "mem": 64}, {}, True, Amounts(512, 50_000, 64 * MIB, 64 * MIB)),
        ({"cpus": 0.001, "mem": 1}, {}, True, Amounts(2, 1_000, 32 * MIB, 32 * MIB)),
        ({"cpus": 1, "mem": 64}, {"cpus": 2, "mem": 128}, False, Amounts(1024, 200_000, 64 * MIB, 128 * MIB)),
        ({"cpus": 1, "mem": 64}, {"cpus": "Infinity", "mem": "Infinity"}, True, Amounts(1024, None, 64 * MIB)),
        ({}, {}, True, Amounts()),
    ],
)
def test_how_much_a_container_may_use(
    resources: dict[str, float], limits: dict[str, float | str], cfs: bool, amounts: Amounts
) -> None:
    held = [scalar(name, value) for name, value in resources.items()]
    spec = ContainerSpec(PLACE, "t", resources=held, limits={name: Limit(value) for name, value in limits.items()})
    assert amounts_of(spec, cfs) == amounts


@pytest.mark.parametrize("value", [2e5, 1e15, 1e305, 1.7e308, "Infinity"])
def test_more_than_any_machine_has_is_no_bound(value: float | str) -> None:
    mem = value if value == "Infinity" else float(value) * 1e8
    spec = ContainerSpec(PLACE, "t", resources=[], limits={"cpus": Limit(value), "mem": Limit(mem)})
    assert amounts_of(spec, True) == Amounts()
    held = [scalar("cpus", float(value)), scalar("mem", float(mem))]
    amounts = amounts_of(ContainerSpec(PLACE, "t", resources=held), True)
    assert (amounts.quota, amounts.memory) == (None, None)
    assert max(amounts.shares or 0, amounts.memory_request or 0) < 2**63


def test_parts_of_different_reservations_count_together() -> None:
    spec = ContainerSpec(PLACE, "t", resources=[scalar("cpus", 1), scalar("cpus", 0.5)])
    assert amounts_of(spec, False).shares == 1536


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000), (10**7, 10_000), (None, None)])
def test_shares_become_weights(shares: int | None, weight: int | None) -> None:
    assert Amounts(shares).weight == weight


# rlimits


def test_limits_of_a_process_become_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    limits = RLimitInfo([RLimit("RLMT_NOFILE", hard=20, soft=10), RLimit("RLMT_CORE")])
    argv = limited(limits, ["true"])
    assert argv[1:] == ["--nofile=10:20", "--core=unlimited:unlimited", "--", "true"]
    assert limited(None, ["true"]) == ["true"]
    assert limited(RLimitInfo(), ["true"]) == ["true"]


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (RLimit("RLMT_FUN", 1, 1), "type: 'RLMT_FUN' is not one of RLMT_AS"),
        (RLimit("NOFILE", 1, 1), "type: 'NOFILE'"),
        (RLimit("RLMT_CPU", soft=1), "give both soft and hard"),
        (RLimit("RLMT_CPU", hard=1), "give both soft and hard"),
        (RLimit("RLMT_CPU", soft=2, hard=1), "soft .2. must be from 0 to hard .1."),
    ],
)
def test_a_limit_that_makes_no_sense_is_named(limit: RLimit, text: str) -> None:
    with pytest.raises(IsolationProblem, match=rf"container.rlimit_info.rlimits\[0\].*{text}"):
        limited(RLimitInfo([limit]), ["true"])


def test_an_agent_that_is_not_root_can_not_raise_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 10))
    limited(RLimitInfo([RLimit("RLMT_NOFILE", hard=10, soft=10)]), ["true"])
    for limit in (RLimit("RLMT_NOFILE"), RLimit("RLMT_NOFILE", hard=11, soft=1)):
        with pytest.raises(IsolationProblem, match="its own hard limit is 10"):
            limited(RLimitInfo([limit]), ["true"])


# what is never done


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"linux_info": {"effective_capabilities": {"capabilities": ["NET_RAW"]}}}, "linux_info.effective_cap"),
        ({"linux_info": {"seccomp": {"unconfined": True}}}, "linux_info.seccomp"),
        ({"mesos": {"image": {"type": "DOCKER"}}}, "mesos.image"),
        ({"hostname": "h"}, "hostname"),
        ({"tty_info": {}}, "tty_info"),
        ({"network_infos": [{}, {"name": "blue"}]}, r"network_infos\[1\].name"),
    ],
)
def test_what_is_never_done_is_refused(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(IsolationProblem, match=f"^container.{where}"):
        check_container(info(**fields))


def test_what_asks_for_nothing_special_is_fine() -> None:
    check_container(None)
    check_container(info(mesos={}, network_infos=[{}], linux_info={"share_pid_namespace": True}))


# volumes


class World:
    """A sandbox on disk and what isolation makes of a container in it."""

    def __init__(self, tmp_path: Path, *, own_mounts: bool = False, place: Place = PLACE) -> None:
        self.layout = Layout(tmp_path / "data")
        self.place = place
        self.sandbox = self.layout.create(place)
        self.layout.run_dir(place.container_id).mkdir(parents=True, exist_ok=True)
        self.isolation = Isolation(Active(own_mounts=own_mounts), self.layout)

    def prepare(
        self,
        *volumes: dict[str, Any],
        resources: list[dict[str, Any]] | None = None,
        shared: list[dict[str, Any]] | None = None,
    ) -> list[str]:
        held = msgspec.convert(resources or [], list[Resource])
        of_group = msgspec.convert(shared or [], list[Resource])
        spec = ContainerSpec(self.place, "t", resources=held, container=info(volumes=list(volumes)), shared=of_group)
        return self.isolation.prepare(spec, ["cmd"], None).before


def volume_of(role: str, volume_id: str, path: str, mode: str = "RW") -> dict[str, Any]:
    disk = {"persistence": {"id": volume_id}, "volume": {"container_path": path, "mode": mode}}
    reservations = [{"type": "DYNAMIC", "role": role}]
    return {"name": "disk", "type": "SCALAR", "scalar": {"value": 1}, "disk": disk, "reservations": reservations}


def test_without_mounts_links_lead_to_volumes(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "host").mkdir()
    assert (
        world.prepare(
            {"container_path": "old", "host_path": str(tmp_path / "host"), "mode": "RW"},
            {"container_path": "a/b", "source": {"type": "HOST_PATH", "host_path": {"path": str(tmp_path)}}},
            {"container_path": "self", "source": {"type": "SANDBOX_PATH", "sandbox_path": _self("inner/dir")}},
            resources=[volume_of("a/b", "v1", "data")],
        )
        == []
    )
    assert os.readlink(world.sandbox / "old") == str(tmp_path / "host")
    assert os.readlink(world.sandbox / "a/b") == str(tmp_path)
    assert (world.sandbox / "self").resolve() == world.sandbox / "inner/dir"
    (world.sandbox / "data" / "file").write_text("kept")
    assert (tmp_path / "data/volumes/roles/a b/v1/file").read_text() == "kept"


def test_a_persistent_volume_is_the_same_for_the_next_task(tmp_path: Path) -> None:
    first, second = World(tmp_path), World(tmp_path, place=msgspec.structs.replace(PLACE, container_id="c-2"))
    for world in (first, second):
        world.prepare(resources=[volume_of("r", "v1", "data")])
        world.prepare(resources=[volume_of("r", "v1", "data")])  # as after a start that was cut off
    (first.sandbox / "data" / "file").write_text("kept")
    assert (second.sandbox / "data" / "file").read_text() == "kept"


def _self(path: str) -> dict[str, str]:
    return {"type": "SELF", "path": path}


def test_a_group_shares_paths_of_its_executors_sandbox(tmp_path: Path) -> None:
    world = World(tmp_path, place=Place("S", "fw", "executor", "c-1", "parent"))
    shared = {"type": "SANDBOX_PATH", "sandbox_path": PARENT}
    world.prepare({"container_path": "mine", "source": shared})
    assert (world.sandbox / "mine").resolve() == world.layout.executor_runs(world.place) / "parent" / "shared"


def test_a_group_shares_the_volumes_of_its_executor(tmp_path: Path) -> None:
    world = World(tmp_path, place=Place("S", "fw", "executor", "c-1", "parent"))
    held = [volume_of("r", "v1", "store")]
    paths = {"whole": "store", "part": "store/inner"}
    volumes = [
        {"container_path": name, "source": {"type": "SANDBOX_PATH", "sandbox_path": {"type": "PARENT", "path": path}}}
        for name, path in paths.items()
    ]
    world.prepare(*volumes, shared=held)
    (world.sandbox / "part" / "file").write_text("kept")
    assert (tmp_path / "data/volumes/roles/r/v1/inner/file").read_text() == "kept"
    assert (world.sandbox / "whole/inner/file").read_text() == "kept"
    out = {"type": "SANDBOX_PATH", "sandbox_path": {"type": "PARENT", "path": "store/../../v2"}}
    with pytest.raises(IsolationProblem, match="inside"):
        world.prepare({"container_path": "out", "source": out}, shared=held)


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ({"container_path": "/etc/x", "host_path": "/usr"}, r"volumes\[0\].container_path: /etc/x is an absolute path"),
        ({"container_path": "x", "host_path": "/usr", "mode": "RO"}, "mode: RO needs .*filesystem/linux"),
        ({"container_path": "x", "host_path": "/usr", "mode": "RX"}, "mode: 'RX' is not one of"),
        ({"container_path": "x", "host_path": "/no/such"}, "Path '/no/such' in HOST_PATH volume does not exist"),
        ({"container_path": "x", "host_path": "y"}, "can't both be relative"),
        ({"container_path": "../x", "host_path": "/usr"}, "container_path: '../x' can't be a place"),
        ({"container_path": "", "host_path": "/usr"}, "container_path: '' can't be a place"),
        ({"container_path": "out/x", "host_path": "/usr"}, "container_path: out/x leads out of the sandbox"),
        ({"container_path": "there", "host_path": "/usr"}, "there is something at there"),
        ({"container_path": "x"}, "a volume from no source is not supported"),
        ({"container_path": "x", "image": {}}, "a volume from an image is not supported"),
        ({"container_path": "x", "source": {"type": "SECRET", "secret": {}}}, "only secrets of type VALUE"),
        ({"container_path": "x", "source": {"type": "HOST_PATH", "host_path": {"path": "a"}}}, "is not absolute"),
        (
            {
                "container_path": "x",
                "source": {"type": "SANDBOX_PATH", "sandbox_path": {"type": "PARENT", "path": "a"}},
            },
            "PARENT sandbox path only works for nested container",
        ),
        (
            {"container_path": "x", "source": {"type": "SANDBOX_PATH", "sandbox_path": _self("../a")}},
            "must be a path inside the sandbox",
        ),
        (
            {"container_path": "x", "source": {"type": "SANDBOX_PATH", "sandbox_path": _self("out/a")}},
            "must be a path inside the sandbox",
        ),
    ],
)
def test_a_volume_that_can_not_be_had_is_refused(tmp_path: Path, volume: dict[str, Any], text: str) -> None:
    world = World(tmp_path)
    (world.sandbox / "out").symlink_to(tmp_path)
    (world.sandbox / "there").write_text("of the task")
    with pytest.raises(IsolationProblem, match=text):
        world.prepare(volume)
    assert os.readlink(world.sandbox / "out") == str(tmp_path)
    assert (world.sandbox / "there").read_text() == "of the task"


def test_with_mounts_everything_is_mounted(tmp_path: Path) -> None:
    world = World(tmp_path, own_mounts=True)
    (tmp_path / "file").write_text("x")
    before = world.prepare(
        {"container_path": str(tmp_path / "file"), "host_path": "/usr", "mode": "RO"},
        {"container_path": "a/f", "host_path": str(tmp_path / "file")},
        resources=[volume_of("r", "v1", "data")],
    )
    assert (world.sandbox / "a/f").is_file()
    assert (world.sandbox / "data").is_dir()
    at = before.index("ro")
    volume = tmp_path / "data/volumes/roles/r/v1"
    assert before[at:] == [
        *["ro", "/usr", str(tmp_path / "file")],
        *["rw", str(tmp_path / "file"), str(world.sandbox / "a/f")],
        *["rw", str(volume), str(world.sandbox / "data")],
        "--",
    ]
    with pytest.raises(IsolationProblem, match="Mount point '/no/such' is an absolute path. It must exist"):
        world.prepare({"container_path": "/no/such", "host_path": "/usr"})


def test_paths_are_arguments_never_part_of_a_script() -> None:
    evil = VolumeMount(Path("/a b; $(reboot)"), Path("/x'y"), True)
    argv = making(Path("/r"), [evil], True)
    script = argv[argv.index("-c") + 1]
    assert "reboot" not in script
    assert argv[argv.index("ro") :] == ["ro", "/a b; $(reboot)", "/x'y", "--", "/r"]


@pytest.mark.parametrize("own_ids", [False, True])
def test_who_joins_waits_until_the_namespaces_are_as_they_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_ids: bool
) -> None:
    monkeypatch.setattr(namespaces, "NSENTER", "/bin/echo")
    begin(tmp_path)
    early = subprocess.Popen(joining(os.getpid(), own_ids, Path("/"), tmp_path), stdout=subprocess.PIPE)
    assert early.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(early.stdout, selectors.EVENT_READ)
        assert not selector.select(0.05)
    argv = making(tmp_path, [], own_ids)
    made = subprocess.run([*argv[argv.index("/bin/sh") :], "/bin/sh", "-c", ": <&6"], capture_output=True, check=False)
    assert b"6" in made.stderr, "what the file is emptied by is none of the command's business"
    assert f"--mount=/proc/{os.getpid()}/ns/mnt" in early.communicate()[0].decode()
    assert joining(os.getpid(), own_ids, Path("/"), tmp_path)[0] == "/bin/echo"


def test_who_joins_what_ends_before_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespaces, "NSENTER", "/bin/echo")
    begin(tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert subprocess.run(joining(ended.pid, False, Path("/"), tmp_path), capture_output=True, check=True).stdout
