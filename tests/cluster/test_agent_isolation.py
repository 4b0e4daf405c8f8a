"""Containers of a real agent in real cgroups and namespaces. Needs root.

Where something can't be had, the test asserts that the agent says so at its start; nothing is skipped.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.agent.isolation.cgroups import Part, end_all
from headrace.mesos.agent.isolation.choice import choose
from headrace.mesos.agent.isolation.flags import IsolationFlags
from headrace.mesos.messages.agent_link import RunGroup
from headrace.mesos.messages.common import (
    CommandInfo,
    ContainerInfo,
    DurationInfo,
    ExecutorID,
    ExecutorInfo,
    HealthCheck,
    KillPolicy,
    Limit,
    Resource,
    Scalar,
    TaskInfo,
    TaskStatus,
)
from tests.cluster.agent_harness import DEADLINE, FRAMEWORK, Agent, StubMaster, task
from tests.cluster.session_harness import Containers, some_time

CGROUPS = "cgroups/cpu,cgroups/mem,cgroups/pids"
OUT_OF_MEMORY = "REASON_CONTAINER_LIMITATION_MEMORY"
HOG = "python3 -c 'x = bytearray(300 << 20)'"


class World:
    """Starts agents whose cgroups are below a name of their own."""

    def __init__(self, master: StubMaster, tmp_path: Path) -> None:
        self.master = master
        self.root = f"headrace-test-{os.getpid()}-{tmp_path.name[-8:]}"
        self._tmp_path = tmp_path
        self._agents: list[Agent] = []

    async def start(self, isolation: str, *flags: str) -> Agent | None:
        """An agent, or None if this machine can't do it, which the agent is then made to say."""
        # below the cgroup that the tests are in, so that what limits them limits the containers too
        root = f"./{self.root}"
        agent = Agent(
            self.master.url, self._tmp_path / "data", f"--isolation={isolation}", f"--cgroups_root={root}", *flags
        )
        self._agents.append(agent)
        refused = why_not(IsolationFlags(isolation, cgroups_root=root), self._tmp_path / "data")
        if refused:
            with pytest.raises(AssertionError) as refusal:
                await agent.start()
            assert refused in str(refusal.value)
            return None
        await self.begin(agent)
        return agent

    async def begin(self, agent: Agent) -> None:
        """Start an agent, for the first time or again; returns when it has registered."""
        before = len(self.master.registrations)
        await agent.start()
        await self.master.until(lambda: len(self.master.registrations) > before)

    def directories(self) -> list[Path]:
        """All cgroups of containers."""
        return sorted(path for root in self._roots() for path in root.glob("*/*") if path.is_dir())

    async def dispose(self) -> None:
        for agent in self._agents:
            await agent.dispose()
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            left = [path for root in self._roots() for path in (*root.rglob("*/"), root) if path.is_dir()]
            if not left:
                return
            for path in sorted(left, key=lambda path: -len(path.parts)):
                end_all([Part(str(path), 1, ())])
                try:
                    path.rmdir()
                except OSError:
                    await asyncio.sleep(0.005)
        raise AssertionError(f"cgroups are left: {self._roots()}")

    def _roots(self) -> list[Path]:
        own = {line.split(":", 2)[2].strip("/") for line in Path("/proc/self/cgroup").read_text().splitlines()}
        points = [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
        places = [point / path / self.root for point in points for path in own if point.is_dir()]
        return [place for place in dict.fromkeys(places) if place.is_dir()]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    master = StubMaster()
    await master.start()
    made = World(master, tmp_path)
    try:
        yield made
    finally:
        await made.dispose()
        await master.stop()


def why_not(flags: IsolationFlags, data: Path) -> str:
    """Why this machine can't do it; empty if it can."""
    try:
        choose(flags, data)
    except UserError as error:
        return str(error)
    return ""


def sized(task_id: str, command: str | CommandInfo, cpus: float = 0.1, mem: float = 32, **more: Any) -> TaskInfo:
    resources = [Resource("cpus", "SCALAR", scalar=Scalar(cpus)), Resource("mem", "SCALAR", scalar=Scalar(mem))]
    return msgspec.structs.replace(task(task_id, command, **more), resources=resources)


def container(**fields: Any) -> ContainerInfo:
    return msgspec.convert({"type": "MESOS", **fields}, ContainerInfo)


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE:g} s: {what}") from None


def message_of(status: TaskStatus) -> str:
    return status.message or ""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def command_lines() -> str:
    """Those of all processes of the machine."""
    return "".join(read(path) for path in Path("/proc").glob("[0-9]*/cmdline") if alive(int(path.parent.name)))


async def test_a_container_is_in_its_cgroups_from_the_first_instant_and_leaves_none(world: World) -> None:
    agent = await world.start(CGROUPS, "--cgroups_enable_cfs")
    if agent is None:
        return
    flags = (await agent.json("/flags"))["flags"]
    assert flags["isolation"] == CGROUPS
    world.master.launch(sized("t", "cat /proc/self/cgroup; exit 143", cpus=0.5, mem=64))
    ended = await world.master.until_ended("t")
    assert (ended.state, ended.message) == ("TASK_FAILED", "Command exited with status 143")
    lines = read(agent.sandbox("t") / "stdout").splitlines()
    inside = {line.split(":")[1] for line in lines if world.root in line}
    assert inside >= {"cpu", "memory", "pids"} or any(line.startswith("0::") and world.root in line for line in lines)
    assert world.directories() == []
    assert await agent.signal(signal.SIGTERM) == 0
    assert world._roots() == [], "an agent that ends leaves no cgroup of its own"


async def test_a_cpu_limit_holds(world: World) -> None:
    agent = await world.start(CGROUPS)
    if agent is None:
        return
    command = "echo $$ >pid; while :; do :; done"
    world.master.launch(sized("t", command, cpus=0.1, limits={"cpus": Limit(0.2)}))
    await world.master.until_state("t", "TASK_RUNNING")
    pid_file = agent.sandbox("t") / "pid"
    await until(lambda: read(pid_file), "the command runs")
    pid, ticks = int(pid_file.read_text()), os.sysconf("SC_CLK_TCK")

    def used() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / ticks

    began, before = time.monotonic(), used()
    await asyncio.sleep(1.0)  # what is measured is an amount per time
    taken = used() - before
    assert taken <= 0.2 * (time.monotonic() - began) + 0.1
    world.master.kill("t")
    await world.master.until_ended("t")


async def test_a_task_that_takes_too_much_memory_is_ended_whole_with_the_reason_of_mesos(world: World) -> None:
    agent = await world.start(CGROUPS)
    if agent is None:
        return
    world.master.launch(sized("t", f"{HOG}; sleep 1000", limits={"mem": Limit(64)}))
    ended = await world.master.until_ended("t")
    assert (ended.state, ended.reason) == ("TASK_FAILED", OUT_OF_MEMORY)
    assert "Memory limit exceeded: Requested: 64MB Maximum Used: 64MB" in message_of(ended)
    assert ended.limitation is not None
    assert [resource.name for resource in ended.limitation.resources or ()] == ["mem"]
    await until(lambda: world.directories() == [], "its cgroups are gone")


async def test_the_number_of_processes_is_bounded(world: World) -> None:
    agent = await world.start(CGROUPS, "--cgroups_pids_max=12")
    if agent is None:
        return
    world.master.launch(sized("t", "i=0; while [ $i -lt 50 ]; do sleep 1000 & i=$((i+1)); done"))
    await world.master.until_ended("t")
    assert "fork" in read(agent.sandbox("t") / "stderr")
    await until(lambda: world.directories() == [], "its cgroups are gone")


async def test_who_leaves_the_group_is_ended_with_the_task(world: World) -> None:
    agent = await world.start(CGROUPS)
    if agent is None:
        return
    escape = "setsid sh -c 'trap \"\" TERM; echo $$ >%s; exec sleep 1000' & while [ ! -s %s ]; do sleep 0.01; done; %s"
    world.master.launch(
        sized("ends", escape % ("pid", "pid", "exit 3")), sized("killed", escape % ("pid", "pid", "sleep 1000"))
    )
    ended = await world.master.until_ended("ends")
    assert (ended.state, ended.message) == ("TASK_FAILED", "Command exited with status 3")
    assert not alive(int(read(agent.sandbox("ends") / "pid")))
    await until(lambda: read(agent.sandbox("killed") / "pid"), "the second one runs")
    world.master.kill("killed")
    assert (await world.master.until_ended("killed")).state == "TASK_KILLED"
    assert not alive(int(read(agent.sandbox("killed") / "pid")))


async def test_containers_outlive_their_agent_and_the_next_one_tells_why_they_ended(world: World) -> None:
    agent = await world.start(CGROUPS)
    if agent is None:
        return
    wait = "until [ -e go ]; do sleep 0.01; done"
    world.master.launch(
        sized("later", f"{wait}; {HOG}; sleep 1000"),
        sized("meanwhile", f"{wait}; {HOG}; sleep 1000"),
        sized("fine", "setsid sleep 1000 & sleep 1000"),
    )
    for name in ("later", "meanwhile", "fine"):
        await world.master.until_state(name, "TASK_RUNNING")
    assert world.directories()
    before = world.directories()
    await agent.kill()
    (agent.sandbox("meanwhile") / "go").touch()
    await until(lambda: "Killed" in read(agent.sandbox("meanwhile") / "stderr"), "it has run out of memory")
    stranger = before[0].parent / "stranger"
    stranger.mkdir()
    await world.begin(agent)
    ended = await world.master.until_ended("meanwhile")
    assert (ended.state, ended.reason) == ("TASK_FAILED", OUT_OF_MEMORY)
    (agent.sandbox("later") / "go").touch()
    ended = await world.master.until_ended("later")
    assert (ended.state, ended.reason) == ("TASK_FAILED", OUT_OF_MEMORY)
    assert not stranger.exists(), "what no task owns is removed"
    assert len(world.directories()) == len(before) // 3
    world.master.kill("fine")
    await world.master.until_ended("fine")
    await until(lambda: world.directories() == [], "its cgroups are gone")


async def test_tasks_of_a_group_are_in_a_cgroup_of_the_group(world: World) -> None:
    agent = await world.start(CGROUPS)
    if agent is None:
        return
    shared = {"type": "SANDBOX_PATH", "sandbox_path": {"type": "PARENT", "path": "shared"}}
    both = container(volumes=[{"container_path": "here", "mode": "RW", "source": shared}])
    tasks = [
        sized(
            "a",
            "cat /proc/self/cgroup; echo said >here/file; until [ -e here/go ]; do sleep 0.01; done",
            container=both,
        ),
        sized("b", "until [ -s here/file ]; do sleep 0.01; done; cat here/file; touch here/go", container=both),
    ]
    world.master.send(RunGroup(FRAMEWORK, ExecutorInfo(ExecutorID("pod"), "DEFAULT"), tasks))
    for name in ("a", "b"):
        assert (await world.master.until_ended(name)).state == "TASK_FINISHED"
    (run,) = (agent.data / "slaves/agent-S0/frameworks/fw-1/executors/pod/runs").glob("[!l]*/tasks")
    line = next(line for line in read(run / "a" / "stdout").splitlines() if world.root in line)
    assert line.split("/")[-2] == run.parent.name
    assert read(run / "b" / "stdout") == "said\n"
    await until(lambda: world.directories() == [], "its cgroups are gone")


async def test_a_container_has_process_ids_of_its_own(world: World) -> None:
    agent = await world.start("namespaces/pid")
    if agent is None:
        return
    marker = some_time()
    show = f"echo $$; for p in /proc/[0-9]*; do echo ${{p#/proc/}}; done; setsid sleep {marker} & exit 7"
    world.master.launch(sized("t", show), sized("signal", "kill -9 $$"), sized("exits", "exit 137"))
    assert message_of(await world.master.until_ended("t")) == "Command exited with status 7"
    ids = [int(line) for line in read(agent.sandbox("t") / "stdout").splitlines()]
    assert max(ids) < 20, "no other process is to be seen"
    assert message_of(await world.master.until_ended("signal")) == "Command terminated with signal Killed"
    assert message_of(await world.master.until_ended("exits")) == "Command exited with status 137"
    assert f"sleep\x00{marker}" not in command_lines()


async def test_a_command_with_process_ids_of_its_own_hears_signals(world: World) -> None:
    agent = await world.start("namespaces/pid")
    if agent is None:
        return
    marker = some_time()
    world.master.launch(
        sized("cleans", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
        sized("plain", f"sleep {marker}"),
        sized(
            "shares",
            "readlink /proc/self/ns/pid; sleep 1000",
            container=container(linux_info={"share_pid_namespace": True}),
        ),
    )
    for name in ("cleans", "plain", "shares"):
        await world.master.until_state(name, "TASK_RUNNING")
    await until(lambda: read(agent.sandbox("cleans") / "stdout"), "it is up")
    await until(lambda: f"sleep\x00{marker}" in command_lines(), "it is up")
    await until(lambda: read(agent.sandbox("shares") / "stdout"), "it is up")
    assert read(agent.sandbox("shares") / "stdout").strip() == os.readlink("/proc/self/ns/pid")
    await agent.kill()
    await world.begin(agent)
    for name in ("cleans", "plain"):
        world.master.kill(name, KillPolicy(DurationInfo(1_000_000_000_000)))
    assert message_of(await world.master.until_ended("cleans")) == "Command exited with status 0"
    assert read(agent.sandbox("cleans") / "stdout").splitlines() == ["up", "bye"]
    assert message_of(await world.master.until_ended("plain")) == "Command terminated with signal Terminated"


async def test_checks_run_where_the_container_is(world: World) -> None:
    agent = await world.start(f"{CGROUPS},namespaces/pid,filesystem/linux")
    if agent is None:
        return
    # once: what the test reads must not be written anew meanwhile, and ids grow with each check
    look = "[ -e ids ] || { cat /proc/self/cgroup >seen; for p in /proc/[0-9]*; do echo ${p#/proc/}; done >ids; }"
    look += "; test -e here/bin"
    check = HealthCheck("COMMAND", command=CommandInfo(look), delay_seconds=0, interval_seconds=0.1)
    volume = {"container_path": "here", "host_path": "/usr", "mode": "RO"}
    world.master.launch(sized("t", "sleep 1000", health_check=check, container=container(volumes=[volume])))
    await world.master.until(lambda: any(status.healthy for status in world.master.statuses.get("t", [])))
    assert world.root in read(agent.sandbox("t") / "seen")
    assert max(map(int, read(agent.sandbox("t") / "ids").split())) < 100
    world.master.kill("t")
    await world.master.until_ended("t")


async def test_sessions_are_where_the_container_is(world: World) -> None:
    agent = await world.start(f"{CGROUPS},namespaces/pid,filesystem/linux")
    if agent is None:
        return
    world.master.launch(sized("t", "touch there; exec sleep 1000"))
    await world.master.until_state("t", "TASK_RUNNING")
    await until(lambda: (agent.sandbox("t") / "there").exists(), "the task has begun")
    containers = Containers(agent)
    await containers.in_task("t")
    place = "cat /proc/self/cgroup; ls; readlink /proc/self/ns/pid"
    own = f"{agent.sandbox('t').name}"
    session = await containers.session("e1", place)
    said = await session.rest()
    assert said.count(own) >= 1
    assert "there" in said
    assert os.readlink("/proc/self/ns/pid") not in said
    terminal = await containers.session("e2", "exec bash --norc -i", (24, 80))
    await terminal.until("[#$] ")
    given = await containers.input("e2")
    await given.type(b"echo $((5*5)); cat\n")
    await terminal.until("25\r\n")
    await given.type(b"more\n")
    await terminal.until("more\r\nmore\r\n")  # a shell that is just starting cat would lose the key
    await given.type(b"\x03")
    await terminal.until(r"\^C.*[#$] ")
    await given.type(b"echo $((6*7))\n")
    await terminal.until("42\r\n")
    assert b"no job control" not in terminal.written["STDOUT"]
    await given.type(b"exit 7\n")
    await terminal.rest()
    assert await containers.wait("e2") == 7 << 8
    await containers.launch("c1", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done")
    ready = agent.sandbox("t") / "containers" / "c1" / "stdout"
    await until(lambda: ready.exists() and ready.read_text() == "ready\n", "it is ready")
    number = int(signal.SIGUSR1)
    assert (await containers.call("KILL_NESTED_CONTAINER", container_id=containers.id("c1"), signal=number))[0] == 200
    assert await containers.wait("c1") == 5 << 8
    alone = Containers(agent)
    resources = [{"name": "mem", "type": "SCALAR", "scalar": {"value": 32}}]
    await alone.launch("s1", HOG, resources=resources)
    status, body = await alone.call("WAIT_CONTAINER", container_id=alone.id("s1"))
    assert (status, body["wait_container"]["reason"]) == (200, OUT_OF_MEMORY)
    session = await containers.session("e3", "echo up; sleep 1000")
    await session.until("up")
    world.master.kill("t")
    await session.rest()
    await world.master.until_ended("t")
    await until(lambda: not world.directories(), "no cgroups are left")


async def test_volumes_are_mounted_in_the_container_alone(world: World, tmp_path: Path) -> None:
    agent = await world.start("filesystem/linux")
    if agent is None:
        return
    for name in ("point", "host"):
        (tmp_path / name).mkdir()
    (tmp_path / "host" / "file").write_text("of the host\n")
    volumes = [
        {"container_path": str(tmp_path / "point"), "host_path": str(tmp_path / "host"), "mode": "RO"},
        {"container_path": "inner", "host_path": str(tmp_path / "host"), "mode": "RW"},
    ]
    script = f"cat {tmp_path}/point/file inner/file; echo x >{tmp_path}/point/new || echo refused; echo y >inner/new"
    world.master.launch(sized("t", script, container=container(volumes=volumes)))
    assert (await world.master.until_ended("t")).state == "TASK_FINISHED"
    assert read(agent.sandbox("t") / "stdout").splitlines() == ["of the host", "of the host", "refused"]
    assert read(tmp_path / "host" / "new") == "y\n"
    assert list((tmp_path / "point").iterdir()) == []
    assert str(tmp_path) not in read(Path("/proc/self/mountinfo"))


async def test_limits_of_processes_and_volumes_without_any_isolation(world: World, tmp_path: Path) -> None:
    agent = await world.start("posix")
    assert agent is not None
    limits = {"rlimits": [{"type": "RLMT_NOFILE", "soft": 40, "hard": 50}, {"type": "RLMT_CORE", "soft": 0, "hard": 0}]}
    absolute = container(volumes=[{"container_path": "/etc/x", "host_path": "/usr", "mode": "RW"}])
    disk = {"persistence": {"id": "v"}, "volume": {"container_path": "data", "mode": "RW"}}
    volume = msgspec.convert(
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 1}, "reservations": [{"role": "r"}], "disk": disk},
        Resource,
    )
    writes = task("writes", "echo kept >data/file")
    world.master.launch(
        sized("limited", "ulimit -Sn; ulimit -Hn; ulimit -c", container=container(rlimit_info=limits)),
        sized("absolute", "true", container=absolute),
        msgspec.structs.replace(writes, resources=[*(writes.resources or ()), volume]),
    )
    assert (await world.master.until_ended("limited")).state == "TASK_FINISHED"
    assert read(agent.sandbox("limited") / "stdout").split() == ["40", "50", "0"]
    ended = await world.master.until_ended("absolute")
    assert ended.state == "TASK_FAILED"
    assert "container.volumes[0].container_path: /etc/x is an absolute path" in message_of(ended)
    assert (await world.master.until_ended("writes")).state == "TASK_FINISHED"
    assert read(tmp_path / "data" / "volumes" / "roles" / "r" / "v" / "file") == "kept\n"


@pytest.mark.parametrize("isolation", ["docker/runtime", "cgroups/cpu,cgroup/mem"])
async def test_an_isolator_that_is_not_there_is_named_at_the_start(world: World, isolation: str) -> None:
    assert await world.start(isolation) is None
