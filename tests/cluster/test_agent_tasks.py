"""Real agents and real processes under a stub master: the life of tasks."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.mesos.messages.agent_link import (
    KnownTask,
    Refused,
    Registered,
    ShutdownFramework,
    StatusUpdate,
    Unregister,
)
from headrace.mesos.messages.common import (
    AgentID,
    Capability,
    CommandInfo,
    DurationInfo,
    Environment,
    EnvironmentVariable,
    FrameworkID,
    HealthCheck,
    HealthCheckHttp,
    HealthCheckTcp,
    KillPolicy,
    Resource,
    Scalar,
)
from tests.cluster.agent_harness import DEADLINE, FRAMEWORK, PING_INTERVAL, Agent, StubMaster, task
from tests.cluster.harness import wait_for


@pytest.fixture
async def master() -> AsyncIterator[StubMaster]:
    stub = StubMaster()
    await stub.start()
    yield stub
    await stub.stop()


@pytest.fixture
async def agent(master: StubMaster, tmp_path: Path) -> AsyncIterator[Agent]:
    daemon = Agent(master.url, tmp_path / "agent")
    await daemon.start()
    await master.until(lambda: bool(master.registrations))
    yield daemon
    await daemon.dispose()


async def test_s2_14_task_ids_are_unique_in_their_framework_only(master: StubMaster, agent: Agent) -> None:
    other = msgspec.structs.replace(FRAMEWORK, id=FrameworkID("fw-2"))
    for framework in (FRAMEWORK, other):
        master.launch(task("taskmanager-00001", "echo here >file; exec sleep 1000"), framework=framework)

    def told(state: str) -> set[str]:
        updates = [call for call in master.calls if isinstance(call, StatusUpdate)]
        return {update.framework_id.value for update in updates if update.status.state == state}

    def sandboxes() -> set[Path]:
        files = agent.data.glob("slaves/agent-S0/frameworks/*/executors/taskmanager-00001/runs/latest/file")
        return {path.resolve() for path in files}

    await master.until(lambda: told("TASK_RUNNING") == {"fw-1", "fw-2"})
    await until(lambda: len(sandboxes()) == 2, "each has a sandbox and runs there")
    master.kill("taskmanager-00001")
    await master.until(lambda: bool(told("TASK_KILLED")))
    assert told("TASK_KILLED") == {"fw-1"}


@pytest.mark.parametrize(
    ("command", "state", "message"),
    [
        (CommandInfo("true"), "TASK_FINISHED", "Command exited with status 0"),
        (CommandInfo("exit 3"), "TASK_FAILED", "Command exited with status 3"),
        (CommandInfo("kill -9 $$"), "TASK_FAILED", "Command terminated with signal Killed"),
        (CommandInfo("/no/such/binary"), "TASK_FAILED", "Command exited with status 127"),
        (
            CommandInfo("/bin/echo", shell=False, arguments=["echo", "a b"]),
            "TASK_FINISHED",
            "Command exited with status 0",
        ),
    ],
)
async def test_a_command_runs_to_its_end(
    master: StubMaster, agent: Agent, command: CommandInfo, state: str, message: str
) -> None:
    master.launch(task("t", command))
    end = await master.until_ended("t")
    assert master.states("t") == ["TASK_STARTING", "TASK_RUNNING", state]
    assert (end.message, end.source, end.reason) == (message, "SOURCE_EXECUTOR", None)
    assert end.container_status is not None
    if command.shell is False:
        assert (agent.sandbox("t") / "stdout").read_text() == "a b\n"


async def test_what_a_task_finds_around_it(master: StubMaster, agent: Agent) -> None:
    variables = Environment([EnvironmentVariable("MINE", 'it\'s "mine" $HOME'), EnvironmentVariable("EMPTY")])
    master.launch(task("t", CommandInfo("env; pwd", environment=variables)))
    await master.until_ended("t")
    lines = (agent.sandbox("t") / "stdout").read_text().splitlines()
    values = dict(line.partition("=")[::2] for line in lines[:-1])
    assert values["MINE"] == 'it\'s "mine" $HOME'
    assert values["EMPTY"] == ""
    assert values["MESOS_TASK_ID"] == "t"
    assert values["MESOS_FRAMEWORK_ID"] == "fw-1"
    assert values["MESOS_AGENT_ENDPOINT"] == agent.url.removeprefix("http://")
    assert lines[-1] == values["MESOS_SANDBOX"] == str(agent.sandbox("t"))


async def test_kill_ends_the_task_and_all_its_processes(master: StubMaster, agent: Agent) -> None:
    master.launch(task("t", "sleep 1000 & sleep 1000"))
    await master.until_state("t", "TASK_RUNNING")
    master.kill("t")
    end = await master.until_ended("t")
    assert (end.state, end.message) == ("TASK_KILLED", "Command terminated with signal Terminated")


async def test_kill_of_what_ignores_sigterm_waits_for_the_grace_period(master: StubMaster, agent: Agent) -> None:
    killing = msgspec.structs.replace(FRAMEWORK, capabilities=[Capability("TASK_KILLING_STATE")])
    stubborn = task("t", "trap '' TERM; echo on; while :; do sleep 0.05; done")
    master.launch(stubborn, framework=killing)
    await master.until_state("t", "TASK_RUNNING")
    await until_text(agent.sandbox("t") / "stdout", "on\n")  # its trap is set
    began = time.monotonic()
    master.kill("t", KillPolicy(DurationInfo(500_000_000)))
    end = await master.until_ended("t")
    assert time.monotonic() - began > 0.45
    assert master.states("t")[-2:] == ["TASK_KILLING", "TASK_KILLED"]
    assert end.message == "Command terminated with signal Killed"


async def test_an_unknown_task_is_lost(master: StubMaster, agent: Agent) -> None:
    master.kill("nobody")
    end = await master.until_ended("nobody")
    assert (end.state, end.uuid, end.reason) == ("TASK_LOST", None, "REASON_RECONCILIATION")


async def test_nonsense_is_an_error_of_the_task_alone(master: StubMaster, agent: Agent) -> None:
    negative = msgspec.structs.replace(task("neg", "true"), resources=[Resource("cpus", scalar=Scalar(-1.0))])
    master.launch(
        task("../../up", "true"), task("empty", ""), negative, task("nobody", CommandInfo("true", user="no-such-user"))
    )
    master.launch(task("fine", "true"))
    for task_id in ("../../up", "empty", "neg"):
        end = await master.until_ended(task_id)
        assert (end.state, end.reason) == ("TASK_ERROR", "REASON_TASK_INVALID")
    end = await master.until_ended("nobody")
    assert (end.state, end.reason) == ("TASK_FAILED", "REASON_CONTAINER_LAUNCH_FAILED")
    assert "No such user 'no-such-user'" in (end.message or "")
    assert (await master.until_ended("fine")).state == "TASK_FINISHED"


async def test_the_time_limit_of_a_task(master: StubMaster, agent: Agent) -> None:
    master.launch(task("t", "sleep 1000", max_completion_time=DurationInfo(200_000_000)))
    end = await master.until_ended("t")
    assert (end.state, end.reason) == ("TASK_FAILED", "REASON_MAX_COMPLETION_TIME_REACHED")


async def test_health_checks_by_command_and_by_connection(master: StubMaster, agent: Agent) -> None:
    often: dict[str, Any] = {
        "delay_seconds": 0.0,
        "interval_seconds": 0.1,
        "grace_period_seconds": 0.0,
        "consecutive_failures": 2,
    }
    patient = {**often, "grace_period_seconds": 1000.0}  # the first check may come before the command does anything
    in_sandbox = HealthCheck("COMMAND", command=CommandInfo('test -e ok && test "$MESOS_TASK_ID" = good'), **patient)
    nobody = HealthCheck("TCP", tcp=HealthCheckTcp(1), **often)
    agents_own = HealthCheck("HTTP", http=HealthCheckHttp(int(agent.url.rpartition(":")[2]), path="/health"), **often)
    slow = HealthCheck("COMMAND", command=CommandInfo("sleep 50"), timeout_seconds=0.1, **often)
    for name, check in (("good", in_sandbox), ("bad", nobody), ("web", agents_own), ("slow", slow)):
        master.launch(task(name, "touch ok; sleep 1000", health_check=check))
    for name in ("bad", "slow"):
        end = await master.until_ended(name)
        assert (end.state, end.healthy) == ("TASK_KILLED", False)
    for name in ("good", "web"):
        await master.until(lambda name=name: master.last(name).healthy is True)  # type: ignore[misc]


async def test_a_burst_starts_in_order(master: StubMaster, agent: Agent) -> None:
    names = [f"b{i}" for i in range(100)]
    master.launch(*[task(name, "sleep 1000") for name in names])
    await master.until(lambda: all("TASK_RUNNING" in master.states(name) for name in names))
    for name in names:
        assert master.states(name) == ["TASK_STARTING", "TASK_RUNNING"]


async def test_the_agent_is_killed_and_its_tasks_are_found_again(
    master: StubMaster, agent: Agent, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    waits = f"while [ ! -e {go} ]; do sleep 0.02; done; exit 7"
    counts = f"echo x >>{tmp_path}/count; sleep 1000"
    master.launch(task("runs", "sleep 1000"), task("ends", waits), task("counts", counts))
    for name in ("runs", "ends", "counts"):
        await master.until_state(name, "TASK_RUNNING")
    await until_text(tmp_path / "count", "x\n")
    await agent.kill()
    go.touch()
    runs = agent.data / "meta" / "runs"
    await until(lambda: any(file.read_text() for file in runs.glob("*/status")), "one has ended")
    await agent.start()
    await master.until(lambda: len(master.registrations) == 2)
    end = await master.until_ended("ends")
    assert (end.state, end.message) == ("TASK_FAILED", "Command exited with status 7")
    known = {known.task.task_id.value: known for known in master.registrations[1].tasks}
    assert known["runs"].status.state == "TASK_RUNNING"
    assert master.registrations[1].agent_id == AgentID("agent-S0")
    master.kill("runs")
    assert (await master.until_ended("runs")).state == "TASK_KILLED"
    assert (tmp_path / "count").read_text() == "x\n"


async def test_a_kill_survives_the_agent(master: StubMaster, agent: Agent) -> None:
    master.launch(task("t", "trap '' TERM; echo on; while :; do sleep 0.05; done"))
    await master.until_state("t", "TASK_RUNNING")
    stdout = agent.sandbox("t") / "stdout"
    await until_text(stdout, "on\n")
    master.kill("t", KillPolicy(DurationInfo(400_000_000)))
    story: dict[str, Any] = {"story": []}
    async with asyncio.timeout(DEADLINE):
        while not any(line["what"] == "kill asked for" for line in story["story"]):
            story = await agent.json("/story?framework_id=fw-1&task_id=t")
    await agent.kill()
    await agent.start()
    end = await master.until_ended("t")
    assert (end.state, end.message) == ("TASK_KILLED", "Command terminated with signal Killed"), story


async def test_updates_wait_for_their_acknowledgement_and_survive(master: StubMaster, agent: Agent) -> None:
    master.acknowledges = False
    master.launch(task("t", "true"))
    await master.until_state("t", "TASK_STARTING")
    await agent.kill()
    await agent.start()
    await master.until(lambda: master.resent >= 1)  # the same one again, at once, with the same uuid
    assert master.states("t") == ["TASK_STARTING"]
    master.acknowledges = True
    await agent.kill()
    await agent.start()
    await master.until_ended("t")
    assert master.states("t") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


async def test_a_framework_that_is_no_more_takes_its_tasks_along(master: StubMaster, agent: Agent) -> None:
    master.launch(task("t", "sleep 1000"))
    await master.until_state("t", "TASK_RUNNING")
    master.send(ShutdownFramework(FrameworkID("fw-1")))
    await until_no_executors(agent)
    assert master.states("t") == ["TASK_STARTING", "TASK_RUNNING"]


async def test_a_refused_agent_ends_its_tasks_and_comes_as_a_new_one(master: StubMaster, agent: Agent) -> None:
    master.launch(task("t", "sleep 1000"))
    await master.until_state("t", "TASK_RUNNING")
    master.on_register = lambda register: (
        Refused("it was removed") if register.agent_id else Registered(AgentID("agent-S1"), PING_INTERVAL)
    )
    assert master.stream is not None
    master.stream.close()
    await master.until(lambda: master.registrations[-1].agent_id is None and len(master.registrations) > 2)
    assert master.registrations[-1].tasks == []
    async with asyncio.timeout(DEADLINE):  # it may just be hearing that it is registered
        while (await agent.json("/state"))["id"] != "agent-S1":
            await asyncio.sleep(0.02)


async def test_a_master_that_is_gone_is_found_again(master: StubMaster, agent: Agent) -> None:
    master.launch(task("t", "sleep 1000"))
    await master.until_state("t", "TASK_RUNNING")
    assert master.stream is not None
    master.stream.close()
    await master.until(lambda: len(master.registrations) == 2)
    known = master.registrations[1].tasks
    assert [(k.task.task_id.value, k.acknowledged) for k in known] == [("t", "TASK_RUNNING")]
    assert isinstance(known[0], KnownTask)


async def test_sigterm_leaves_the_tasks_and_sigusr1_does_not(master: StubMaster, agent: Agent) -> None:
    master.launch(task("t", "sleep 1000"))
    await master.until_state("t", "TASK_RUNNING")
    assert await agent.signal(signal.SIGTERM) == 0
    await agent.start()
    await master.until(lambda: len(master.registrations) == 2)
    assert [k.status.state for k in master.registrations[1].tasks] == ["TASK_RUNNING"]
    assert await agent.signal(signal.SIGUSR1) == 0
    assert (await master.until_ended("t")).state == "TASK_KILLED"
    assert isinstance(master.calls[-1], Unregister)
    await agent.start()
    await master.until(lambda: len(master.registrations) == 3)
    assert (master.registrations[2].agent_id, master.registrations[2].tasks) == (None, [])


async def test_an_agent_may_not_come_back_with_less_than_its_tasks_hold(
    master: StubMaster, agent: Agent, tmp_path: Path
) -> None:
    master.launch(task("t", "sleep 1000"))
    await master.until_state("t", "TASK_RUNNING")
    await agent.kill()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "headrace.mesos.agent", "--master", master.url, "--data", str(agent.data),
        "--port", "0", "--resources", "cpus:0.001", stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, stderr = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 2
    assert "the tasks that run on this agent hold cpus:0.01" in stderr.decode().splitlines()[-1]
    await agent.start()
    await master.until(lambda: len(master.registrations) == 2)
    master.kill("t")
    assert (await master.until_ended("t")).state == "TASK_KILLED"


async def test_one_agent_per_data_directory(master: StubMaster, agent: Agent) -> None:
    second = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "headrace.mesos.agent", "--master", master.url, "--data", str(agent.data),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, stderr = await asyncio.wait_for(second.communicate(), DEADLINE)
    assert second.returncode == 2
    assert "is in use by another process" in stderr.decode()


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something that no update tells."""
    await asyncio.to_thread(wait_for, condition, what, DEADLINE)


async def until_text(file: Path, text: str) -> None:
    await until(lambda: file.read_text() == text, f"{file} says {text!r}")


async def until_no_executors(agent: Agent) -> None:
    async with asyncio.timeout(DEADLINE):
        while (await agent.json("/state"))["frameworks"]:
            await asyncio.sleep(0.02)
