"""Custom executors, task groups, checks and operations with a real agent process under a stub master."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel.http import ClientResponse
from headrace.mesos.messages.agent_link import (
    AcknowledgeOperation,
    ApplyOperation,
    ExecutorExited,
    OperationUpdate,
    RunGroup,
    ShutdownExecutor,
    ToExecutor,
    ToFramework,
)
from headrace.mesos.messages.common import (
    AgentID,
    CheckCommand,
    CheckInfo,
    CommandInfo,
    DiskInfo,
    ExecutorInfo,
    FrameworkID,
    Identifier,
    OperationStatus,
    Persistence,
    ReservationInfo,
    Resource,
    Scalar,
    TaskID,
    TaskInfo,
    Volume,
)
from headrace.mesos.messages.scheduler import Operation, Reserve, Volumes
from tests.cluster.agent_harness import DEADLINE, FRAMEWORK, Agent, StubMaster, task

FW = FrameworkID("fw-1")
CPU = [Resource("cpus", "SCALAR", scalar=Scalar(0.01))]

PATIENT = [f"--executor_{what}=60secs" for what in ("reregistration_timeout", "shutdown_grace_period")]
"""Executors of the tests come back and shut down at once, but a loaded machine may be slow about it."""

PROGRAM = """
import base64, http.client, json, os, sys, time, uuid

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
IDS = {"executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
       "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]}}
unacknowledged, fresh, running = {}, {}, {}

def post(call):
    connection = http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"], timeout=30)
    connection.request("POST", "/api/v1/executor", json.dumps({**IDS, **call}), JSON)
    return connection.getresponse()

def say(task_id, state):
    status = {"task_id": {"value": task_id}, "state": state, "source": "SOURCE_EXECUTOR",
              "uuid": base64.b64encode(uuid.uuid4().bytes).decode()}
    unacknowledged[status["uuid"]] = {"status": status}
    while True:
        try:
            if post({"type": "UPDATE", "update": {"status": status}}).status == 202:
                return
        except OSError:
            return  # told with the next subscription

def hear(event):
    kind = event["type"]
    if kind == "LAUNCH":
        task = event["launch"]["task"]
        name = task["task_id"]["value"]
        fresh[name] = task
        running[name] = True
        with open("launched", "a") as file:
            file.write(name + "\\n")
        say(name, "TASK_RUNNING")
        if base64.b64decode(task.get("data", "")) == b"quick":
            say(name, "TASK_FINISHED")
    elif kind == "ACKNOWLEDGED":
        unacknowledged.pop(event["acknowledged"]["uuid"], None)
        fresh.pop(event["acknowledged"]["task_id"]["value"], None)
    elif kind == "KILL":
        say(event["kill"]["task_id"]["value"], "TASK_KILLED")
    elif kind == "MESSAGE":
        if base64.b64decode(event["message"]["data"]) == b"crash":
            os._exit(9)
        post({"type": "MESSAGE", "message": event["message"]})
    elif kind == "SHUTDOWN":
        sys.exit(0)

while True:
    try:
        answer = post({"type": "SUBSCRIBE", "subscribe": {"unacknowledged_tasks": list(fresh.values()),
                       "unacknowledged_updates": list(unacknowledged.values())}})
        assert answer.status == 200, answer.read()
        while length := answer.readline():
            hear(json.loads(answer.read(int(length))))
    except (OSError, ValueError, http.client.HTTPException):
        pass
    time.sleep(0.05)
"""


@pytest.fixture
async def master() -> AsyncIterator[StubMaster]:
    master = StubMaster()
    await master.start()
    yield master
    await master.stop()


@pytest.fixture
async def agent(master: StubMaster, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Agent]:
    """With the flags that a test asks for, else a patient one."""
    agent = Agent(master.url, tmp_path / "agent", *getattr(request, "param", PATIENT))
    await agent.start()
    await master.until(lambda: master.stream is not None)
    yield agent
    await agent.dispose()


def executor(name: str = "py", program: Path | None = None) -> ExecutorInfo:
    command = CommandInfo(f"exec {sys.executable} {program}" if program else "true")
    return ExecutorInfo(Identifier(name), "CUSTOM", command=command, resources=CPU)


def program(tmp_path: Path) -> Path:
    path = tmp_path / "executor.py"
    path.write_text(PROGRAM)
    return path


def delivered(task_id: str, of: ExecutorInfo, data: bytes = b"") -> TaskInfo:
    encoded = base64.b64encode(data).decode() if data else None
    return TaskInfo(task_id, TaskID(task_id), AgentID("agent-S0"), CPU, executor=of, data=encoded)


def exits(master: StubMaster) -> list[tuple[str, int]]:
    return [(call.executor_id.value, call.status) for call in master.calls if isinstance(call, ExecutorExited)]


async def test_an_executor_runs_tasks_survives_the_agent_and_is_shut_down(
    master: StubMaster, agent: Agent, tmp_path: Path
) -> None:
    info = executor("py", program(tmp_path))
    master.launch(delivered("long", info), delivered("quick", info, b"quick"))
    await master.until_state("quick", "TASK_FINISHED")
    running = await master.until_state("long", "TASK_RUNNING")
    assert running.container_status
    assert running.container_status.executor_pid
    master.send(ToExecutor(FW, Identifier("py"), "aGk="))
    await master.until(lambda: any(isinstance(c, ToFramework) and c.data == "aGk=" for c in master.calls))
    state = await agent.json("/state")
    [shown] = [e for f in state["frameworks"] for e in f["executors"]]
    assert (shown["id"], shown["type"], [t["id"] for t in shown["tasks"]]) == ("py", "CUSTOM", ["long"])
    assert [t["id"] for t in shown["completed_tasks"]] == ["quick"]

    await agent.kill()
    await agent.start()
    await master.until(lambda: len(master.registrations) == 2)
    [known] = master.registrations[1].executors
    assert known.executor.executor_id == Identifier("py")
    master.launch(delivered("after", info, b"quick"))
    await master.until_state("after", "TASK_FINISHED")
    master.kill("long")
    await master.until_state("long", "TASK_KILLED")
    assert master.states("long") == ["TASK_RUNNING", "TASK_KILLED"]
    launched = (agent.sandbox("py") / "launched").read_text().split()
    assert sorted(launched) == ["after", "long", "quick"]
    master.send(ShutdownExecutor(FW, Identifier("py")))
    await master.until(lambda: exits(master) == [("py", 0)])
    state = await agent.json("/state")
    assert [e["id"] for f in state["completed_frameworks"] for e in f["completed_executors"]] == ["py"]


async def test_an_executor_that_crashes_fails_its_tasks(master: StubMaster, agent: Agent, tmp_path: Path) -> None:
    master.launch(delivered("t", executor("py", program(tmp_path))), delivered("never", executor("true")))
    ended = await master.until_ended("never")
    assert (ended.state, ended.message, ended.source) == ("TASK_FAILED", "Executor terminated", "SOURCE_AGENT")
    await master.until_state("t", "TASK_RUNNING")
    master.send(ToExecutor(FW, Identifier("py"), base64.b64encode(b"crash").decode()))
    ended = await master.until_ended("t")
    assert (ended.state, ended.reason, ended.executor_id) == (
        "TASK_FAILED",
        "REASON_EXECUTOR_TERMINATED",
        Identifier("py"),
    )
    await master.until(lambda: sorted(exits(master)) == [("py", 9 << 8), ("true", 0)])


@pytest.mark.parametrize("agent", [["--executor_reregistration_timeout=500ms"]], indirect=True)
async def test_an_executor_that_does_not_come_back_is_ended(master: StubMaster, agent: Agent, tmp_path: Path) -> None:
    script = tmp_path / "once.py"
    script.write_text(PROGRAM.replace("while True:\n    try:\n        answer", "if True:\n    try:\n        answer", 1))
    script.write_text(script.read_text() + "time.sleep(1000)\n")
    master.launch(delivered("t", executor("py", script)))
    await master.until_state("t", "TASK_RUNNING")
    await agent.kill()
    await agent.start()
    ended = await master.until_ended("t")
    assert (ended.state, ended.reason) == ("TASK_FAILED", "REASON_EXECUTOR_REREGISTRATION_TIMEOUT")


async def _call(agent: Agent, path: str, body: Any) -> ClientResponse:
    headers = {"Content-Type": "application/json"}
    return await agent.http.request("POST", agent.url + path, headers=headers, body=json.dumps(body).encode())


@pytest.mark.parametrize("prefix", ["", "/slave(1)"])
async def test_the_api_answers_strangers(master: StubMaster, agent: Agent, prefix: str) -> None:
    path = f"{prefix}/api/v1/executor"
    ids = {"executor_id": {"value": "x"}, "framework_id": {"value": "y"}}
    answer = await _call(agent, path, {**ids, "type": "SUBSCRIBE", "subscribe": {}})
    assert (answer.status, answer.body) == (400, b"Framework cannot be found")
    answer = await agent.get(path)
    text = b"405 Method Not Allowed. Expecting one of { 'POST' }, but received 'GET'."
    assert (answer.status, answer.body) == (405, text)


def group(*tasks: TaskInfo, name: str = "d") -> RunGroup:
    return RunGroup(FRAMEWORK, ExecutorInfo(Identifier(name), "DEFAULT", resources=CPU), list(tasks))


async def test_groups_live_and_die_together(master: StubMaster, agent: Agent) -> None:
    master.send(group(task("a", "sleep 0.3; echo done"), task("b", "sleep 1000")))
    await master.until_state("b", "TASK_RUNNING")
    master.send(group(task("c", "sleep 1000")))
    await master.until_state("c", "TASK_RUNNING")
    assert (await master.until_ended("a")).state == "TASK_FINISHED"
    await agent.kill()
    await agent.start()
    await master.until(lambda: len(master.registrations) == 2)
    assert {t.executor_id for t in master.registrations[1].tasks} == {Identifier("d")}
    master.kill("b")
    assert (await master.until_ended("b")).message == "Command terminated with signal Terminated"
    assert master.states("c") == ["TASK_STARTING", "TASK_RUNNING"]
    master.send(ShutdownExecutor(FW, Identifier("d")))
    assert (await master.until_ended("c")).state == "TASK_KILLED"
    await master.until(lambda: exits(master) == [("d", 0)])
    sandbox = agent.sandbox("d")
    assert {path.name for path in sandbox.iterdir()} == {"containers", "tasks"}
    assert "done" in (sandbox / "tasks" / "a" / "stdout").read_text()

    master.send(group(task("x", "sleep 0.1; exit 2"), task("y", "sleep 1000"), name="e"))
    assert (await master.until_ended("x")).message == "Command exited with status 2"
    assert (await master.until_ended("y")).state == "TASK_KILLED"
    await master.until(lambda: exits(master) == [("d", 0), ("e", 0)])


async def test_a_check_is_told_when_it_changes(master: StubMaster, agent: Agent) -> None:
    check = CheckInfo(
        "COMMAND", CheckCommand(CommandInfo("test -e flag && exit 7")), delay_seconds=0.0, interval_seconds=0.1
    )
    master.launch(task("t", "sleep 1000", check=check))

    def codes() -> list[int | None]:
        found = [status.check_status for status in master.statuses.get("t", [])]
        return [one.command.exit_code for one in found if one is not None and one.command is not None]

    await master.until(lambda: codes()[-1:] == [1])
    (agent.sandbox("t") / "flag").touch()
    await master.until(lambda: codes()[-1:] == [7])
    assert codes() == [None, None, 1, 7]


async def gone(path: Path) -> None:
    """Wait until there is nothing at ``path``."""
    async with asyncio.timeout(DEADLINE):
        while path.exists():  # noqa: ASYNC240
            await asyncio.sleep(0.01)


async def test_a_volume_is_made_used_and_outlives_its_task_and_the_agent(master: StubMaster, agent: Agent) -> None:
    ours = [ReservationInfo("DYNAMIC", "test", "p")]
    disk = Resource("disk", "SCALAR", scalar=Scalar(10), reservations=ours)
    volume = Resource(
        "disk",
        "SCALAR",
        scalar=Scalar(10),
        reservations=ours,
        disk=DiskInfo(Persistence("v1", "p"), Volume("data", "RW")),
    )
    master.send(ApplyOperation(Operation("RESERVE", Identifier("o1"), reserve=Reserve([disk])), FW))
    master.send(ApplyOperation(Operation("CREATE", Identifier("o2"), create=Volumes([volume])), FW))
    master.launch(msgspec.structs.replace(task("write", "echo kept > data/file"), resources=[volume]))
    assert (await master.until_ended("write")).state == "TASK_FINISHED"
    await agent.kill()
    await agent.start()
    await master.until(lambda: len(master.registrations) == 2)
    assert [o.status.state for o in master.registrations[1].operations] == ["OPERATION_FINISHED"] * 2
    assert volume in (master.registrations[1].total or [])
    master.launch(msgspec.structs.replace(task("read", "grep kept data/file"), resources=[volume]))
    assert (await master.until_ended("read")).state == "TASK_FINISHED"

    def told() -> dict[Any, OperationStatus]:
        return {u.status.operation_id: u.status for u in master.calls if isinstance(u, OperationUpdate)}

    await master.until(lambda: len(told()) == 2)
    for name, status in told().items():
        assert name
        assert status.uuid
        master.send(AcknowledgeOperation(name, status.uuid.value, FW))
    path = agent.data / "volumes" / "roles" / "test" / "v1"
    assert (path / "file").exists()
    master.send(ApplyOperation(Operation("DESTROY", destroy=Volumes([volume])), FW))
    await gone(path)
    await agent.kill()
    await agent.start()
    await master.until(lambda: len(master.registrations) == 3)
    assert master.registrations[2].operations == []
