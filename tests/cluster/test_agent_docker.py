"""Docker containers on a real engine: what a task gets, how it ends, and what an agent's restart leaves of it."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel.http import HttpClient
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.core.events import ContainerEnded, ContainerFound, StartFailed
from headrace.mesos.agent.docker.starting import Settings
from headrace.mesos.messages.common import (
    CheckCommand,
    CheckInfo,
    CheckStatusCommand,
    CommandInfo,
    ContainerInfo,
    DiskInfo,
    DockerInfo,
    DockerVolume,
    DurationInfo,
    Environment,
    EnvironmentVariable,
    HealthCheck,
    HealthCheckHttp,
    KillPolicy,
    NetworkInfo,
    Parameter,
    Persistence,
    PortMapping,
    Range,
    Ranges,
    Resource,
    SandboxPath,
    Scalar,
    Volume,
    VolumeSource,
)
from tests.cluster.agent_harness import DEADLINE, Agent, StubMaster, task
from tests.cluster.docker_harness import IMAGE, Box, Registry, TestEngine, running_engine, spec
from tests.cluster.harness import PORTS

CAP_SYS_ADMIN = 21


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    with running_engine() as it:
        yield it


@pytest.fixture
async def box(engine: TestEngine, tmp_path: Path) -> AsyncIterator[Box]:
    it = Box(engine, tmp_path, Settings({"FROM_FLAG": "yes"}, "host:5051"))
    yield it
    it.stop()
    await engine.clear()


def parameters(**values: str) -> list[Parameter]:
    return [Parameter(key.replace("_", "-"), value) for key, value in values.items()]


async def until(condition: Callable[[], Any], what: str, seconds: float = DEADLINE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := _try(condition)):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(0.02)
    return found


def _try(condition: Callable[[], Any]) -> Any:
    """What it says; of what is not there yet nothing."""
    try:
        return condition()
    except FileNotFoundError:
        return None


# what a task gets


async def test_a_command_has_its_environment_sandbox_and_exit_status(box: Box) -> None:
    variables = Environment([EnvironmentVariable("OWN", "a b"), EnvironmentVariable("FROM_FLAG", "own")])
    command = CommandInfo(
        'echo "$OWN $FROM_FLAG $MESOS_SANDBOX $MESOS_CONTAINER_NAME"; echo wrong >&2; echo x >file; exit 3',
        environment=variables,
    )
    it = spec(command, parameters=parameters(workdir="/mnt/mesos/sandbox"))
    code, stdout, stderr = await box.run(it)
    name = f"mesos-{it.place.container_id}"
    assert (code, stderr) == (3, "wrong\n")
    assert stdout == f"a b own /mnt/mesos/sandbox {name}\n"
    assert (box.sandbox(it) / "file").read_text() == "x\n"
    assert (await box.engine.containers())[name] == "exited"  # until --docker_remove_delay


async def test_entrypoint_and_command_of_the_image(box: Box) -> None:
    changes = "&changes=ENTRYPOINT%20%5B%22echo%22%2C%22hello%22%5D&changes=CMD%20%5B%22world%22%5D"
    await box.engine.import_image("headrace/echo:1", changes)
    own = CommandInfo(shell=False, arguments=["you", "there"])
    assert (await box.run(spec(None, image="headrace/echo:1")))[1] == "hello world\n"
    assert (await box.run(spec(own, image="headrace/echo:1")))[1] == "hello you there\n"
    assert (await box.run(spec("echo bye", image="headrace/echo:1")))[1] == "bye\n"


async def test_parameters_of_docker_run(box: Box) -> None:
    given = parameters(
        hostname="here", user="65534:65534", workdir="/etc", env="A=1=2", tmpfs="/scratch:size=1m",
        ulimit="nofile=77:88", read_only="true", cap_drop="ALL", add_host="other:10.1.2.3", label="who=me", init="true",
    )  # fmt: skip
    show = (
        "hostname; id -u; pwd; echo $A; grep /scratch /proc/mounts | cut -d' ' -f3; ulimit -n; touch /x; "
        "grep CapBnd /proc/self/status; grep other /etc/hosts; exit 0"
    )
    it = spec(show, network="BRIDGE", parameters=given)
    code, stdout, stderr = await box.run(it)
    expected = ["here", "65534", "/etc", "1=2", "tmpfs", "77", "CapBnd:\t0000000000000000", "10.1.2.3\tother"]
    assert (code, stdout.splitlines()) == (0, expected)
    assert "Read-only file system" in stderr
    container = await box.engine.call("GET", f"/containers/mesos-{it.place.container_id}/json")
    assert container["Config"]["Labels"]["who"] == "me"


async def test_limits_and_privileges(box: Box) -> None:
    it = spec("grep CapBnd /proc/self/status; exit 0", mem=48)
    _, plain, _ = await box.run(it)
    container = (await box.engine.call("GET", f"/containers/mesos-{it.place.container_id}/json"))["HostConfig"]
    assert (container["Memory"], container["CpuShares"]) == (48 * 1024 * 1024, 102)
    it = spec("grep CapBnd /proc/self/status; exit 0", privileged=True)
    if all_capabilities():
        _, privileged, _ = await box.run(it)
        assert int(privileged.split()[1], 16) & ~int(plain.split()[1], 16) & 1 << CAP_SYS_ADMIN
    else:  # the machine may have been told to keep some from everybody: then nobody is privileged on it
        assert "unable to apply caps: operation not permitted" in await box.failed(it)


def all_capabilities() -> bool:
    status = Path("/proc/self/status").read_text()
    bound = int(status.partition("CapBnd:")[2].split()[0], 16)
    return bound == (2 << int(Path("/proc/sys/kernel/cap_last_cap").read_text())) - 1


async def test_limits_change_with_what_a_container_holds(box: Box) -> None:
    it = spec("sleep 1000", mem=48)
    await box.started(it)
    more = [Resource("cpus", "SCALAR", scalar=Scalar(2)), Resource("mem", "SCALAR", scalar=Scalar(96))]
    box.it.update(msgspec.structs.replace(it, resources=more))
    async with asyncio.timeout(DEADLINE):
        while True:
            host = (await box.engine.call("GET", f"/containers/mesos-{it.place.container_id}/json"))["HostConfig"]
            if (host["Memory"], host["CpuShares"]) == (96 << 20, 2048):
                break


async def test_volumes(box: Box, tmp_path: Path) -> None:
    for name in ("rw", "ro"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    kept = box.layout.volume("r", "volume-1")
    kept.mkdir(parents=True)
    disk = DiskInfo(Persistence("volume-1"), Volume("kept", "RW"))
    it = spec(
        "cat /rw/file /ro/file; echo more >/rw/more; echo more >/ro/more; echo p >$MESOS_SANDBOX/kept/p; "
        "echo d >/docker/d; echo s >/shared/s; echo n >$MESOS_SANDBOX/named/n",
        resources=[Resource("disk", "SCALAR", scalar=Scalar(8), role="r", disk=disk)],
        more={
            "volumes": [
                Volume("/rw", "RW", host_path=str(tmp_path / "rw")),
                Volume("/ro", "RO", host_path=str(tmp_path / "ro")),
                Volume("named", "RW", host_path=str(tmp_path / "made")),
                Volume("/docker", "RW", source=VolumeSource("DOCKER_VOLUME", DockerVolume("v1", "local"))),
                Volume("/shared", "RW", source=VolumeSource("SANDBOX_PATH", sandbox_path=SandboxPath("sub", "SELF"))),
            ]
        },
    )
    _, stdout, stderr = await box.run(it)
    assert stdout == "rwro"
    assert "can't create /ro/more: Read-only file system" in stderr
    assert (tmp_path / "rw/more").exists()
    assert (tmp_path / "made/n").exists()
    assert (kept / "p").exists()
    assert (box.sandbox(it) / "sub/s").exists()
    assert (await box.run(spec("cat /docker/d", more={"volumes": it.container.volumes[3:4]})))[1] == "d\n"  # type: ignore[union-attr,index]
    await box.engine.clear()
    await box.engine.call("DELETE", "/volumes/v1")


# networks


async def test_a_mapped_port_of_a_bridged_container_is_reached(box: Box) -> None:
    port = port_of_tasks()
    held = Resource("ports", "RANGES", ranges=Ranges([Range(port, port)]))
    it = spec(
        "echo page >index.html; exec httpd -f -p 80",
        network="BRIDGE",
        port_mappings=[PortMapping(port, 80)],
        resources=[held],
        parameters=parameters(workdir="/etc"),
    )
    started = await box.started(it)
    assert started.ip.startswith("10.213.")
    assert box.it.address(it.place.container_id) == started.ip
    client = HttpClient()
    for place in (f"127.0.0.1:{port}", f"{started.ip}:80"):
        async with asyncio.timeout(DEADLINE):
            while True:
                try:
                    answer = await client.request("GET", f"http://{place}/index.html", timeout=2)
                    break
                except Exception:
                    await asyncio.sleep(0.02)
        assert answer.body == b"page\n"
    client.close()


def port_of_tasks() -> int:
    """A port that nobody has; not one of those that the kernel gives away, as it is bound only later."""
    first, _, last = PORTS.strip("[]").partition("-")
    for port in random.sample(range(int(first), int(last)), 100):
        with socket.socket() as free, suppress(OSError):
            free.bind(("0.0.0.0", port))
            return port
    raise AssertionError("no port is free")


async def test_the_other_networks(box: Box) -> None:
    await box.engine.call("POST", "/networks/create", b'{"Name": "own", "Driver": "bridge"}')
    list_links = "ls /sys/class/net; exit 0"
    here = {name for _, name in socket.if_nameindex() if not name.startswith("veth")}
    started = await box.started(host := spec(list_links))
    assert (started.ip, box.it.address(host.place.container_id)) == ("", "127.0.0.1")
    await box.ended(host)
    still_here = {name for _, name in socket.if_nameindex()}  # other engines of tests come and go
    assert set(box.output(host).split()) >= here & still_here
    assert (await box.run(spec(list_links, network="NONE")))[1].split() == ["lo"]
    named = spec(
        "while :; do nslookup -type=a me 127.0.0.11; sleep 0.2; done",
        network="USER",
        more={"network_infos": [NetworkInfo(name="own")]},
        parameters=parameters(network_alias="me"),
    )
    started = await box.started(named)
    assert started.ip
    await until(lambda: started.ip in box.output(named), "its alias leads to its address")
    await box.engine.clear()
    await box.engine.call("DELETE", "/networks/own")


# images


@pytest.fixture
async def registry(engine: TestEngine) -> AsyncIterator[Registry]:
    it = Registry(engine.directory / "rootfs")
    await it.server.start()
    yield it
    await it.server.stop()


async def test_a_private_image_is_pulled_with_what_the_task_brought_along(box: Box, registry: Registry) -> None:
    its = [spec(None, image=registry.image, force_pull_image=force) for force in (False, False, True)]
    assert "no basic auth credentials" in await box.failed(spec(None, image=registry.image))
    for it in its:
        directory = box.layout.create(it.place) / ".docker"
        directory.mkdir()
        host = registry.image.partition("/")[0]
        (directory / "config.json").write_text(json.dumps({"auths": {host: {"username": "me", "password": "secret"}}}))
        assert await box.run(it) == (0, "pulled\n", box.output(it, "stderr"))
    first, second, third = (box.output(it, "stderr") for it in its)
    assert first.startswith(f"Pulling image '{registry.image}'\n")
    assert ": Pull complete\n" in first
    assert second == ""
    assert f"Status: Image is up to date for {registry.image}\n" in third


async def test_a_pull_that_takes_its_time_can_be_ended(box: Box) -> None:
    hangs = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hangs.wait()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        it = spec(None, image=f"127.0.0.1:{server.sockets[0].getsockname()[1]}/never")
        box.it.start(it)
        await until(lambda: (box.sandbox(it) / "stderr").exists() and box.output(it, "stderr"), "the pull")
        box.it.signal(it.place.container_id, False)
        failed = await box.until(lambda: box.event(StartFailed, it))
        assert failed.message == "it was ended while its image was got ready"
        hangs.set()
    assert await box.engine.containers() == {}


# what can't be


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (spec("true", parameters=[Parameter("cidfile", "/x")]), "'cidfile' names a file of whoever runs"),
        (spec("true", network="BRIDGE", port_mappings=[PortMapping(1, 2)]), "Port [1] not included in resources"),
        (spec("true", image="127.0.0.1:1/none"), "can't pull image '127.0.0.1:1/none:latest': "),
        (spec("true", force_pull_image=True), "can't pull image 'headrace/tests:1': "),
        (spec(CommandInfo("/no/such", shell=False)), 'exec: "/no/such"'),
        (spec("true", network="USER", more={"network_infos": [NetworkInfo(name="none-such")]}), "none-such not found"),
    ],
    ids=["parameter", "port", "missing image", "forced pull", "program", "network"],
)
async def test_a_container_that_can_not_be_says_why(box: Box, asked: Any, why: str) -> None:
    assert why in await box.failed(asked)
    if "pull" in why:
        assert box.output(asked, "stderr").startswith("Pulling image '")
    assert await box.engine.containers() == {}  # nothing is left of it


# ends


async def test_stop_signals_and_sigkill(box: Box) -> None:
    kind = spec("trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    own = spec(
        "trap 'exit 9' USR1; echo ready; while :; do sleep 0.05; done", parameters=parameters(stop_signal="SIGUSR1")
    )
    deaf = spec("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    for it in (kind, own, deaf):
        await box.started(it)
    for it in (kind, own, deaf):
        await until(lambda it=it: box.output(it) == "ready\n", "ready")  # type: ignore[misc]
        box.it.signal(it.place.container_id, False)
    assert (await box.ended(kind)).end == Ended(7)
    assert box.output(kind) == "ready\nasked\n"
    assert (await box.ended(own)).end == Ended(9)
    assert box.event(ContainerEnded, deaf) is None
    box.it.signal(deaf.place.container_id, True)
    assert (await box.ended(deaf)).end == Ended(137, 9)


async def test_too_much_memory_is_told_as_such(box: Box) -> None:
    it = spec("x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", parameters=parameters(memory_swap="32m"))
    await box.started(it)
    ended = await box.ended(it)
    assert ended.limitation is not None
    assert ended.limitation.reason == "REASON_CONTAINER_LIMITATION_MEMORY"
    assert ended.limitation.message.startswith("Memory limit exceeded: Requested: 32MB")


async def test_commands_for_checks_run_in_the_container(box: Box) -> None:
    it = spec("sleep 1000", parameters=parameters(env="WHERE=inside"))
    await box.started(it)
    assert await box.it.run_check(it, CommandInfo('[ "$WHERE" = inside ]'), DEADLINE) == 0
    assert await box.it.run_check(it, CommandInfo("exit 4"), DEADLINE) == 4
    with pytest.raises(TimeoutError):
        await box.it.run_check(it, CommandInfo("sleep 77; true"), 0.3)
    name = f"mesos-{it.place.container_id}"
    async with asyncio.timeout(DEADLINE):
        while "sleep 77" in str(await box.engine.call("GET", f"/containers/{name}/top")):
            await asyncio.sleep(0.02)


async def test_ended_containers_are_removed(engine: TestEngine, tmp_path: Path) -> None:
    box = Box(engine, tmp_path, Settings({}, "host:5051", remove_delay=0.0))
    await box.run(it := spec("echo all; exit 5"))
    async with asyncio.timeout(DEADLINE):
        while await engine.containers():
            await asyncio.sleep(0.02)
    found = await box.again(it)  # how it ended is still known
    assert found == [ContainerFound(it.place.container_id, Found.ENDED, 0, Ended(5))]
    box.stop()


# restarts


async def test_a_restart_finds_everything_again(box: Box) -> None:
    waits = "while [ ! -e $MESOS_SANDBOX/end ]; do sleep 0.05; done; echo last; exit 6"
    runs, ends, goes, orphan = (spec(command) for command in ("sleep 1000", waits, "sleep 1000", "sleep 1000"))
    never = spec("true")
    for it in (runs, ends, goes, orphan):
        await box.started(it)
    address = box.it.address(runs.place.container_id)
    box.stop()
    box.events.clear()
    (box.sandbox(ends) / "end").touch()
    await box.engine.call("DELETE", f"/containers/mesos-{goes.place.container_id}?force=1")
    name = f"mesos-{ends.place.container_id}"
    async with asyncio.timeout(DEADLINE):
        while (await box.engine.containers())[name] != "exited":
            await asyncio.sleep(0.02)
    found = {event.container_id: event for event in await box.again(runs, ends, goes, never)}
    of = [found[it.place.container_id] for it in (runs, ends, goes, never)]
    assert [event.found for event in of] == [Found.RUNNING, Found.ENDED, Found.ENDED, Found.NEVER_STARTED]
    assert of[0].pid > 0
    assert box.it.address(runs.place.container_id) == address
    assert [event.end for event in of[1:3]] == [Ended(6), Ended(137, 9)]
    assert box.output(ends) == "last\n"
    async with asyncio.timeout(DEADLINE):
        while f"mesos-{orphan.place.container_id}" in await box.engine.containers():
            await asyncio.sleep(0.02)
    box.it.signal(runs.place.container_id, True)
    assert (await box.ended(runs)).end == Ended(137, 9)


async def test_output_is_neither_lost_nor_doubled_by_restarts(box: Box) -> None:
    it = spec(
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; "
        "[ $((i % 400)) -gt 0 ] || { echo $i >&2; sleep 0.03; }; done; "
        "while [ ! -e $MESOS_SANDBOX/end ]; do sleep 0.05; done"
    )
    await box.started(it)
    for _ in range(4):
        more = min(20000, box.output(it).count("\n") + 500)
        await until(lambda more=more: box.output(it).count("\n") >= more, "output")  # type: ignore[misc]
        assert (await box.again(it))[0].found is Found.RUNNING
    (box.sandbox(it) / "end").touch()
    await until(lambda: box.event(ContainerEnded, it), "end", 300)
    assert box.output(it) == "".join(f"{i}\n" for i in range(1, 20001))
    assert box.output(it, "stderr") == "".join(f"{i}\n" for i in range(400, 20001, 400))


async def test_a_restarted_engine_is_waited_for(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    it = spec("i=0; while [ ! -e $MESOS_SANDBOX/end ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit 8")
    started = await box.started(it)
    await until(lambda: box.output(it), "output")
    await asyncio.to_thread(box.engine.script, "restart", "--live-restore")
    (box.sandbox(it) / "end").touch()
    assert (await box.ended(it)).end == Ended(8)
    lines = box.output(it).split()
    assert lines == [str(i) for i in range(1, len(lines) + 1)]
    assert started.pid
    assert "does not answer" in caplog.text


async def test_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.mesos.agent.docker.starting.PATIENCE", 0.1)
    monkeypatch.setattr("headrace.mesos.agent.docker.containerizer._FIND_PATIENCE", 0.1)
    box = Box(TestEngine(tmp_path / "none"), tmp_path / "data", Settings({}, "host:5051"))
    it = spec("true")
    assert await box.it.check() == ""
    assert await box.again(it) == []  # nothing is known, so nothing is told
    assert "does not answer: can't reach" in await box.failed(spec("true"))
    assert not [event for event in box.events if not isinstance(event, StartFailed)]
    box.stop()


# with an agent around it


@pytest.fixture
async def master() -> AsyncIterator[StubMaster]:
    stub = StubMaster()
    await stub.start()
    yield stub
    await stub.stop()


@pytest.fixture
async def agent(engine: TestEngine, master: StubMaster, tmp_path: Path) -> AsyncIterator[Agent]:
    flags = ("--containerizers=mesos,docker", f"--docker_socket={engine.socket}")
    daemon = Agent(master.url, tmp_path / "agent", *flags)
    await daemon.start()
    await master.until(lambda: bool(master.registrations))
    yield daemon
    await daemon.dispose()
    await engine.clear()


def image_task(task_id: str, command: str, **more: Any) -> Any:
    docker = more.pop("docker", {})
    container = ContainerInfo("DOCKER", docker=DockerInfo(IMAGE, **docker))
    return task(task_id, command, container=container, **more)


async def test_tasks_in_images_from_launch_to_end(master: StubMaster, agent: Agent) -> None:
    master.launch(
        image_task("t", "cat /etc/passwd | wc -l; exit 3"),
        image_task("bad", "true", docker={"parameters": [Parameter("cidfile", "x")]}),
        task("plain", "true"),
    )
    assert (await master.until_ended("t")).state == "TASK_FAILED"
    assert master.states("t") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    assert "exited with status 3" in (master.last("t").message or "")
    assert (agent.sandbox("t") / "stdout").read_text() == "2\n"
    assert (await master.until_ended("bad")).state == "TASK_FAILED"
    assert (master.last("bad").message or "").startswith(
        "Failed to launch container: container.docker.parameters[0]: 'cidfile' names a file"
    )
    assert (await master.until_ended("plain")).state == "TASK_FINISHED"


async def test_a_kill_has_its_grace(master: StubMaster, agent: Agent) -> None:
    policy = KillPolicy(DurationInfo(300_000_000))
    master.launch(image_task("t", "trap '' TERM; echo ready; while :; do sleep 0.05; done", kill_policy=policy))
    await master.until_state("t", "TASK_RUNNING")
    await until(lambda: (agent.sandbox("t") / "stdout").read_text() == "ready\n", "its trap is set")
    began = time.monotonic()
    master.kill("t")
    assert (await master.until_ended("t")).state == "TASK_KILLED"
    assert time.monotonic() - began > 0.3


async def test_a_bridged_task_is_checked_at_its_own_address(master: StubMaster, agent: Agent) -> None:
    check = HealthCheck(
        "HTTP",
        http=HealthCheckHttp(80, path="/passwd"),
        delay_seconds=0,
        interval_seconds=0.1,
        grace_period_seconds=1000,
    )
    inside = CheckInfo("COMMAND", command=CheckCommand(CommandInfo("exit 9")), delay_seconds=0)
    served = image_task(
        "t", "exec httpd -f -p 80 -h /etc", health_check=check, check=inside, docker={"network": "BRIDGE"}
    )
    master.launch(served)
    running = await master.until_state("t", "TASK_RUNNING")
    networks = running.container_status.network_infos if running.container_status else None
    assert networks is not None
    assert networks[0].ip_addresses is not None
    assert (networks[0].ip_addresses[0].ip_address or "").startswith("10.213.")
    await master.until(lambda: any(status.healthy for status in master.statuses["t"]))
    await master.until(
        lambda: any(s.check_status and s.check_status.command == CheckStatusCommand(9) for s in master.statuses["t"])
    )


async def test_a_killed_agent_finds_its_containers_again(master: StubMaster, agent: Agent, engine: TestEngine) -> None:
    loop = "i=0; while [ ! -e $MESOS_SANDBOX/end ]; do i=$((i+1)); echo $i; sleep 0.02; done; exit 5"
    ends = "while [ ! -e $MESOS_SANDBOX/end ]; do sleep 0.02; done; exit 6"
    master.launch(image_task("runs", loop), image_task("ends", ends))
    running = await master.until_state("runs", "TASK_RUNNING")
    await master.until_state("ends", "TASK_RUNNING")
    await until(lambda: (agent.sandbox("runs") / "stdout").stat().st_size, "output")
    await agent.kill()
    (agent.sandbox("ends") / "end").touch()
    async with asyncio.timeout(DEADLINE):  # nobody watches
        while "exited" not in (await engine.containers()).values():
            await asyncio.sleep(0.02)
    await agent.start()
    assert "status 6" in ((await master.until_ended("ends")).message or "")
    assert master.registrations[-1].tasks is not None
    (agent.sandbox("runs") / "end").touch()
    assert "status 5" in ((await master.until_ended("runs")).message or "")
    assert master.states("runs") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
    assert master.last("runs").container_status is not None
    assert running.container_status is not None
    assert running.container_status.container_id == master.last("runs").container_status.container_id  # type: ignore[union-attr]
    lines = (agent.sandbox("runs") / "stdout").read_text().split()
    assert lines == [str(i) for i in range(1, len(lines) + 1)]


async def test_an_agent_killed_at_any_moment_runs_each_task_once(
    master: StubMaster, agent: Agent, tmp_path: Path
) -> None:
    here = [Volume("/here", "RW", host_path=str(tmp_path))]
    container = ContainerInfo("DOCKER", docker=DockerInfo(IMAGE), volumes=here)
    executors = agent.data / "slaves/agent-S0/frameworks/fw-1/executors"
    known = set()
    for i, pause in enumerate((0.0, 0.03, 0.06, 0.1, 0.2)):
        before = len(master.registrations)
        master.launch(task(f"t{i}", f"echo run >>/here/{i}; sleep 0.1; echo end; exit 3", container=container))
        if i > 1:  # however slow the machine is, some have been heard of
            await until((executors / f"t{i}").exists, "it has been heard of")
        await asyncio.sleep(pause)
        await agent.kill()
        await agent.start()
        await master.until(lambda before=before: len(master.registrations) > before)  # type: ignore[misc]
        known |= {task.task.task_id.value for task in master.registrations[-1].tasks or ()}
    assert len(known | master.statuses.keys()) > 2  # the others had not been heard of when the agent was killed
    for name in known | master.statuses.keys():
        assert "status 3" in ((await master.until_ended(name)).message or "")
        assert (tmp_path / name[1:]).read_text() == "run\n"
        assert (agent.sandbox(name) / "stdout").read_text() == "end\n"


async def test_an_agent_without_docker_says_so(master: StubMaster, agent: Agent, tmp_path: Path) -> None:
    plain = Agent(master.url, tmp_path / "plain")
    await plain.start()
    await master.until(lambda: len(master.registrations) == 2)
    master.launch(image_task("t", "true"))
    ended = await master.until_ended("t")
    assert (ended.state, ended.reason) == ("TASK_ERROR", "REASON_TASK_INVALID")
    assert "this agent runs no DOCKER containers" in (ended.message or "")
    await plain.dispose()
