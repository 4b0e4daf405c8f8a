"""Containers by an agent's operator API, on real processes: nested, standalone, sessions; ``headrace task exec``."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from headrace.mesos.messages.agent_link import RunGroup
from headrace.mesos.messages.common import CommandInfo, Environment, EnvironmentVariable, ExecutorInfo, Identifier
from tests.cluster.agent_harness import DEADLINE, FRAMEWORK, Agent, task
from tests.cluster.session_harness import (
    Containers,
    StateMaster,
    Terminal,
    headrace,
    processes_with,
    some_time,
    until,
)


@pytest.fixture
async def master() -> AsyncIterator[StateMaster]:
    it = StateMaster()
    await it.start()
    yield it
    await it.stop()


@pytest.fixture
async def containers(master: StateMaster, tmp_path: Path) -> AsyncIterator[Containers]:
    """Those of an agent on which the task ``t`` runs."""
    agent = master.agent = Agent(master.url, tmp_path / "agent")
    await agent.start()
    await master.until(lambda: bool(master.registrations))
    variables = Environment([EnvironmentVariable("FROM_TASK", "yes")])
    master.launch(task("t", CommandInfo("touch in-sandbox; exec sleep 1000", environment=variables)))
    await master.until_state("t", "TASK_RUNNING")
    it = Containers(agent)
    await it.in_task("t")
    sandbox = agent.sandbox("t")
    await until(lambda: (sandbox / "in-sandbox").exists(), "the task has begun")
    yield it
    await agent.dispose()


async def test_a_nested_container_runs_as_its_task_does_and_leaves_its_output(containers: Containers) -> None:
    await containers.launch("c1", "echo $FROM_TASK $MESOS_TASK_ID; pwd; exit 3")
    assert await containers.wait("c1") == 3 << 8
    sandbox = containers.agent.sandbox("t") / "containers" / "c1"
    assert (sandbox / "stdout").read_text().split() == ["yes", "t", str(sandbox)]
    assert await containers.call("REMOVE_NESTED_CONTAINER", container_id=containers.id("c1")) == (200, "")
    await until(lambda: not sandbox.exists(), "its sandbox is gone")
    await containers.launch("c2", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done")
    ready = containers.agent.sandbox("t") / "containers" / "c2" / "stdout"
    await until(lambda: ready.exists() and ready.read_text() == "ready\n", "it is ready")
    killed = await containers.call(
        "KILL_NESTED_CONTAINER", container_id=containers.id("c2"), signal=int(signal.SIGUSR1)
    )
    assert killed == (200, "")
    assert await containers.wait("c2") == 7 << 8


async def test_nested_and_standalone_containers_survive_the_agent(master: StateMaster, containers: Containers) -> None:
    own = Containers(containers.agent)
    await containers.launch("c1", "while [ ! -e go ]; do sleep 0.05; done; exit 4")
    await own.launch("s1", "while [ ! -e go ]; do sleep 0.05; done; exit 5", resources=[])
    shown = await own.call("GET_CONTAINERS", show_standalone=True, show_nested=True)
    assert len(shown[1]["get_containers"]["containers"]) == 3
    marker = some_time()
    session = await containers.session("e1", f"trap '' HUP PIPE; sleep {marker}")
    await until(lambda: processes_with(marker), "the session runs")
    await containers.agent.kill()
    await containers.agent.start()
    await master.until(lambda: len(master.registrations) == 2)
    await until(lambda: not processes_with(marker), "the session that nobody holds has been ended")
    session.stream.close()
    assert await containers.wait("e1") == signal.SIGKILL
    (containers.agent.sandbox("t") / "containers" / "c1" / "go").touch()
    (containers.agent.data / "containers" / "s1" / "go").touch()
    assert (await containers.wait("c1"), await own.wait("s1")) == (4 << 8, 5 << 8)
    # what ends the process of the original
    assert await own.call("REMOVE_CONTAINER", container_id=own.id("s1")) == (200, "")
    assert (await own.call("GET_HEALTH"))[0] == 200
    await until(lambda: not (containers.agent.data / "containers" / "s1").exists(), "its sandbox is gone")


async def test_what_is_nested_ends_with_its_task(master: StateMaster, containers: Containers) -> None:
    marker = some_time()
    await containers.launch("c1", f"sleep {marker}")
    inner = Containers(containers.agent)
    inner.parent = containers.id("c1")
    await inner.launch("c2", f"trap '' TERM; sleep {marker}")
    session = await inner.session("e1", f"sleep {marker}")
    await until(lambda: len(processes_with(marker)) >= 3, "all of them run")
    master.kill("t")
    await session.rest()
    await until(lambda: not processes_with(marker), "none of them runs")
    async with asyncio.timeout(DEADLINE):  # who has ended in the system may not yet have for the agent
        while await containers.agent.json("/containers?show_nested=true"):
            await asyncio.sleep(0.02)
    status, why = await containers.call("WAIT_NESTED_CONTAINER", container_id=containers.id("c1"))
    assert (status, why) == (404, f"Container {containers.parent['value']}.c1 cannot be found")


async def test_a_session_without_a_terminal(containers: Containers) -> None:
    session = await containers.session("e1", "pwd; cat; echo error >&2; exit 5")
    given = await containers.input("e1")
    await given.type(b"one\n")
    await session.until("one\n")
    second = await containers.input("e1")
    assert await second.answer() == (409, "Multiple input connections are not allowed")
    await given.type(b"two\n")
    await given.type(b"")
    assert await session.rest() == f"{containers.agent.sandbox('t')}\none\ntwo\n"
    assert session.written["STDERR"] == b"error\n"
    assert await given.answer() == (200, "")
    assert await containers.wait("e1") == 5 << 8
    at_once = await containers.session("e2", "echo quick")
    assert await at_once.rest() == "quick\n"


async def test_a_session_with_a_terminal(containers: Containers) -> None:
    session = await containers.session("e1", "tty; stty size; read x; stty size; echo got $x; cat", (33, 101))
    watching = await containers.watch("e1")
    await session.until("/dev/pts/[0-9]+\r\n33 101\r\n")
    given = await containers.input("e1")
    await given.resize(40, 120)
    await given.type(b"word\n")
    await session.until("40 120\r\ngot word\r\n")
    assert "got word" in await watching.until("got word")
    await given.type(b"more\n")
    await session.until("more\r\nmore\r\n")  # a shell that is just becoming cat would lose the key
    await given.type(b"\x03")
    await session.rest()
    assert await containers.wait("e1") == signal.SIGINT


async def test_a_session_ends_with_its_connection(containers: Containers) -> None:
    marker = some_time()
    for name, size in (("e1", None), ("e2", (24, 80))):
        session = await containers.session(
            name, f"trap '' HUP TERM PIPE; setsid sleep {marker} & echo up; sleep {marker}", size
        )
        await session.until("up")
        await until(lambda: len(processes_with(marker)) >= 2, "it runs")
        session.stream.close()
        await until(lambda: not processes_with(marker), "all of it has ended")
        assert await containers.wait(name) == signal.SIGKILL


async def test_a_client_that_reads_slowly_slows_the_command_and_nobody_else(containers: Containers) -> None:
    session = await containers.session("e1", "yes | head -c 20000000; echo end")
    await asyncio.sleep(0.5)
    assert (await containers.call("GET_HEALTH"))[0] == 200
    assert psutil.Process(containers.agent.pid).memory_info().rss < 120_000_000
    written = await session.rest()
    assert len(written) == 20_000_004


async def test_exec_of_the_command_line(master: StateMaster, containers: Containers) -> None:
    to = ("task", "exec", "--master", master.url)
    assert await headrace(*to, "-i", "t", "sh", "-c", "cat; echo $FROM_TASK; echo no >&2; exit 3", stdin=b"in\n") == (
        3,
        b"in\nyes\n",
        b"no\n",
    )
    assert (await headrace(*to, "-e", "A=b c", "t", "sh", "-c", 'echo "$A"; kill -9 $$'))[:2] == (137, b"b c\n")
    assert (await headrace(*to, "t", "cat", stdin=b"not for it"))[:2] == (0, b"")
    code, _, why = await headrace(*to, "none", "true")
    assert code == 3
    assert b"there is no task none" in why
    code, _, why = await headrace("task", "attach", "--master", master.url, "t", stdin=b"")
    assert code == 1
    assert b"runs nothing in it" in why


async def test_exec_in_a_task_of_a_group(master: StateMaster, containers: Containers) -> None:
    group = ExecutorInfo(Identifier("e"), "DEFAULT", FRAMEWORK.id, resources=task("g", "").resources)
    master.send(RunGroup(FRAMEWORK, group, [task("g", "touch there; exec sleep 1000")]))
    await master.until_state("g", "TASK_RUNNING")
    sandbox = containers.agent.sandbox("e") / "tasks" / "g"
    await until(lambda: (sandbox / "there").exists(), "it has begun")
    code, out, _ = await headrace("task", "exec", "--master", master.url, "g", "sh", "-c", "ls; echo $MESOS_TASK_ID")
    assert (code, out.split()) == (0, [b"stderr", b"stdout", b"there", b"g"])


async def test_exec_with_a_terminal(master: StateMaster, containers: Containers) -> None:
    command = ("task", "exec", "-it", "--master", master.url, "t", "sh", "-c")
    script = 'stty size; while [ "$(stty size)" = "31 99" ]; do sleep 0.05; done; stty size; read x; echo "got $x"; cat'
    async with Terminal(*command, script, rows=31, columns=99) as there:
        await there.until("31 99")
        there.resize(42, 123)
        os.kill(there.process.pid, signal.SIGWINCH)
        await there.until("42 123\r\n")
        there.type(b"words\r")
        await there.until("got words\r\n")
        shown = await containers.call("GET_CONTAINERS", show_nested=True)
        assert len(shown[1]["get_containers"]["containers"]) == 2
        async with Terminal("task", "attach", "--master", master.url, "t") as second:
            async with asyncio.timeout(DEADLINE):
                while b"hello" not in second.shown:  # it is attached at some time
                    there.type(b"hello\r")
                    await asyncio.sleep(0.1)
            await second.until("somebody else types there")
            second.type(b"not taken\r")
            second.type(b"\x10")
            await asyncio.sleep(0.1)
            second.type(b"\x11")
            assert await second.ended() == 0
        assert b"not taken" not in there.shown
        there.type(b"more\r")
        await there.until("more\r\nmore\r\n")  # a shell that is just becoming cat would lose the key
        there.type(b"\x03")
        assert await there.ended() == 130


async def test_refusals(containers: Containers) -> None:
    for kind in ("LAUNCH_NESTED_CONTAINER", "LAUNCH_NESTED_CONTAINER_SESSION"):
        status, why = await containers.call(
            kind, container_id=containers.id("x"), command={"value": "true", "user": "nobody-of-this-name"}
        )
        assert (status, why) == (
            400,
            "Failed to launch container: No such user 'nobody-of-this-name' on this machine",
        )
    answer = await containers.agent.http.request(
        "POST",
        f"{containers.agent.url}/api/v1",
        headers={"Content-Type": "application/json", "Origin": "http://evil.example"},
        body=b'{"type": "GET_HEALTH"}',
    )
    assert answer.status == 403
    given = await containers.agent.http.upload(
        "POST",
        f"{containers.agent.url}/api/v1",
        headers={
            "Content-Type": "application/recordio",
            "Message-Content-Type": "application/json",
            "Origin": "http://evil.example",
        },
    )
    assert (await given.answer()).status == 403
    given.close()
    wrong = await containers.input("nobody")
    assert await wrong.answer() == (404, f"Container {containers.parent['value']}.nobody cannot be found")
    plain = Containers(containers.agent)
    to_task = await plain.input(containers.parent["value"])
    assert await to_task.answer() == (500, "I/O switchboard server was disabled for this container")
