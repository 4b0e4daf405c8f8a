"""Sessions in a Docker container, on a real engine."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.mesos.messages.common import CommandInfo, ContainerInfo, DockerInfo
from tests.cluster.agent_harness import Agent, task
from tests.cluster.docker_harness import IMAGE, TestEngine, running_engine
from tests.cluster.session_harness import Containers, StateMaster, Terminal, headrace, processes_with, some_time, until


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    with running_engine() as it:
        yield it


async def test_sessions_in_a_docker_container(engine: TestEngine, tmp_path: Path) -> None:
    master = StateMaster()
    await master.start()
    flags = ("--containerizers", "mesos,docker", "--docker_socket", engine.socket)
    agent = master.agent = Agent(master.url, tmp_path / "agent", *flags)
    try:
        await agent.start()
        await master.until(lambda: bool(master.registrations))
        container = ContainerInfo("DOCKER", docker=DockerInfo(IMAGE))
        master.launch(task("t", CommandInfo("exec sleep 1000"), container=container))
        await master.until_state("t", "TASK_RUNNING")
        containers = Containers(agent)
        await containers.in_task("t")
        session = await containers.session("e1", "cat; echo $MESOS_TASK_ID; echo error >&2; exit 5")
        given = await containers.input("e1")
        await given.type(b"one\n")
        await session.until("one\n")
        await given.type(b"")
        assert await session.rest() == "one\nt\n"
        assert session.written["STDERR"] == b"error\n"
        assert await containers.wait("e1") == 5 << 8
        marker = some_time()
        session = await containers.session("e2", f"echo up; exec sleep {marker}")
        await session.until("up")
        await until(lambda: processes_with(marker), "it runs")
        session.stream.close()
        await until(lambda: not processes_with(marker), "it has ended")
        assert await containers.wait("e2") == signal.SIGKILL
        to = ("--master", master.url, "t", "sh", "-c")
        assert (await headrace("task", "exec", *to, "exit 3"))[0] == 3
        async with Terminal("task", "exec", "-it", *to, "tty; read x; echo got $x; cat") as there:
            await there.until("/dev/pts")
            there.type(b"words\r")
            await there.until("got words")
            there.type(b"more\r")
            await there.until("more\r\nmore\r\n")  # a shell that is just becoming cat would lose the key
            there.type(b"\x03")
            assert await there.ended() == 130
        marker = some_time()
        session = await containers.session("e3", f"echo up; exec sleep {marker}")
        await session.until("up")
        await agent.kill()
        await agent.start()
        await master.until(lambda: len(master.registrations) == 2)
        await until(lambda: not processes_with(marker), "what an agent has left has been ended")
        session.stream.close()
        master.kill("t")
        await master.until_ended("t")
    finally:
        await agent.dispose()
        await master.stop()
        await engine.clear()
