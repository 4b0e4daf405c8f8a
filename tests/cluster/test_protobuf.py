"""Protocol buffers at the doors of a real master and agent: both forms, mixed, in calls, answers and streams."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from headrace.kernel import recordio
from headrace.kernel.http import ClientStream, HttpClient
from headrace.kernel.protobuf.decoding import decode
from headrace.kernel.protobuf.encoding import encode
from headrace.mesos.messages import agent_operator, executor, operator, operator_answers, operator_common, scheduler
from headrace.mesos.messages.common import (
    AgentCapability,
    Capability,
    CommandInfo,
    DiscoveryInfo,
    ExecutorID,
    ExecutorInfo,
    Filters,
    FrameworkID,
    FrameworkInfo,
    Identifier,
    Label,
    Labels,
    Message,
    TaskID,
    TaskInfo,
    TaskStatus,
)
from headrace.mesos.resources import Resources
from tests.cluster.harness import Cluster, cluster, get, wait_for

HUSH = base64.b64encode(b"\0\xff hush").decode()
JSON, PROTOBUF = "application/json", "application/x-protobuf"
M = TypeVar("M", bound=Message)


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("protobuf")) as running:
        wait_for(lambda: get(running.master.url + "/slaves")["slaves"], "the agent is registered")
        yield running


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient()
    yield client
    client.close()


class Events:
    """The events of a stream, one after the other."""

    def __init__(self, stream: ClientStream, kind: type[Message]) -> None:
        self._chunks = aiter(stream)
        self._kind = kind
        self._records = recordio.Decoder()
        self._ready: list[bytes] = []

    async def next(self) -> Any:
        while not self._ready:
            self._ready = self._records.feed(await anext(self._chunks))
        return decode(self._ready.pop(0), self._kind)

    async def of(self, kind: str) -> Any:
        """The body of the next event of a type."""
        while (event := await self.next()).type != kind:
            pass
        return getattr(event, kind.lower())


@asynccontextmanager
async def subscribed(it: Cluster, http: HttpClient, info: FrameworkInfo) -> AsyncIterator[tuple[Events, str, Any]]:
    """The events of a framework, its stream's id, and what SUBSCRIBED said."""
    call = scheduler.Call("SUBSCRIBE", subscribe=scheduler.Subscribe(info))
    stream = await http.stream(
        "POST",
        it.master.url + "/api/v1/scheduler",
        headers={"Content-Type": PROTOBUF, "Accept": PROTOBUF},
        body=encode(call),
    )
    assert (stream.status, stream.headers["content-type"]) == (200, PROTOBUF)
    events = Events(stream, scheduler.Event)
    first = await events.next()
    assert first.type == "SUBSCRIBED"
    try:
        yield events, stream.headers["mesos-stream-id"], first.subscribed
    finally:
        stream.close()


async def say(it: Cluster, http: HttpClient, stream_id: str, call: scheduler.Call) -> None:
    headers = {"Content-Type": PROTOBUF, "Accept": PROTOBUF, "Mesos-Stream-Id": stream_id}
    answer = await http.request("POST", it.master.url + "/api/v1/scheduler", headers=headers, body=encode(call))
    assert (answer.status, answer.body) == (202, b"")


async def test_a_framework_runs_a_task(it: Cluster, http: HttpClient) -> None:
    info = FrameworkInfo("root", "pb", roles=["test"], capabilities=[Capability("MULTI_ROLE")])
    async with subscribed(it, http, info) as (events, stream_id, begun):
        assert begun.master_info.version == "1.11.0"
        (offer,) = (await events.of("OFFERS")).offers
        task = TaskInfo(
            "t",
            TaskID("t"),
            offer.agent_id,
            Resources.of(cpus=1, mem=32).messages("test"),
            command=CommandInfo('test "$WORD" = "" && exit 3'),
            data=base64.b64encode(b"\0\xff").decode(),
            discovery=DiscoveryInfo("CLUSTER", "found"),
            labels=Labels([Label("k", "v")]),
        )
        launch = scheduler.Operation("LAUNCH", launch=scheduler.Launch([task]))
        framework_id = begun.framework_id
        accept = scheduler.Accept([offer.id], [launch], Filters(0.0))
        await say(it, http, stream_id, scheduler.Call("ACCEPT", framework_id, accept=accept))
        states: list[TaskStatus] = []
        while not states or states[-1].state != "TASK_FAILED":
            status: TaskStatus = (await events.of("UPDATE")).status
            assert status.uuid is not None
            states.append(status)
            known = scheduler.Acknowledge(offer.agent_id, status.task_id, status.uuid)
            await say(it, http, stream_id, scheduler.Call("ACKNOWLEDGE", framework_id, acknowledge=known))
        assert [one.state for one in states] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]
        assert states[-1].source == "SOURCE_EXECUTOR"
        assert states[-1].message == "Command exited with status 3"
        shown = await ask(it, http, "GET_TASKS", PROTOBUF, PROTOBUF)
        assert shown.get_tasks is not None
        (told,) = shown.get_tasks.completed_tasks
        assert (told.discovery, told.labels, told.state) == (task.discovery, task.labels, "TASK_FAILED")
        await say(it, http, stream_id, scheduler.Call("TEARDOWN", framework_id))


async def test_an_executor_speaks_with_its_framework(it: Cluster, http: HttpClient, tmp_path: Path) -> None:
    """The executor is played here; the process that the agent starts for it only tells who it is."""
    told = tmp_path / "told"
    who = f'echo "$MESOS_FRAMEWORK_ID $MESOS_EXECUTOR_ID" > {told}.new && mv {told}.new {told}'
    who += f"; until [ -e {told}.end ]; do sleep 0.1; done"
    async with subscribed(it, http, FrameworkInfo("root", "pb", checkpoint=True)) as (events, stream_id, begun):
        (offer,) = (await events.of("OFFERS")).offers
        own = ExecutorInfo(ExecutorID("e"), "CUSTOM", command=CommandInfo(who), data=HUSH)
        task = TaskInfo("t", TaskID("t"), offer.agent_id, Resources.of(cpus=1, mem=32).messages(), own, data=HUSH)
        launch = scheduler.Operation("LAUNCH", launch=scheduler.Launch([task]))
        framework_id = begun.framework_id
        accept = scheduler.Accept([offer.id], [launch])
        await say(it, http, stream_id, scheduler.Call("ACCEPT", framework_id, accept=accept))
        await asyncio.to_thread(wait_for, told.exists, "the executor is started")
        assert told.read_text().split() == [framework_id.value, "e"]
        url = it.agents[0].url + "/api/v1/executor"

        async def tell(kind: str, **body: Any) -> None:
            call = executor.Call(kind, ExecutorID("e"), framework_id, **body)
            answer = await http.request("POST", url, headers={"Content-Type": PROTOBUF}, body=encode(call))
            assert (answer.status, answer.body) == (202, b"")

        call = executor.Call("SUBSCRIBE", ExecutorID("e"), framework_id, executor.Subscribe())
        headers = {"Content-Type": PROTOBUF, "Accept": PROTOBUF}
        stream = await http.stream("POST", url, headers=headers, body=encode(call))
        assert (stream.status, stream.headers["content-type"]) == (200, PROTOBUF)
        orders = Events(stream, executor.Event)
        begin = await orders.of("SUBSCRIBED")
        assert (begin.executor_info.data, begin.framework_info.name) == (HUSH, "pb")
        assert (await orders.of("LAUNCH")).task.data == HUSH
        uuid = base64.b64encode(bytes(range(16))).decode()
        status = TaskStatus(TaskID("t"), "TASK_FINISHED", source="SOURCE_EXECUTOR", uuid=uuid, data=HUSH)
        await tell("UPDATE", update=executor.Update(status))
        heard = (await events.of("UPDATE")).status
        assert (heard.state, heard.data, heard.source) == ("TASK_FINISHED", HUSH, "SOURCE_EXECUTOR")
        known = scheduler.Acknowledge(offer.agent_id, TaskID("t"), heard.uuid)
        await say(it, http, stream_id, scheduler.Call("ACKNOWLEDGE", framework_id, acknowledge=known))
        assert await orders.of("ACKNOWLEDGED") == executor.Acknowledged(TaskID("t"), uuid)
        await tell("MESSAGE", message=executor.ToFramework(HUSH))
        assert (await events.of("MESSAGE")).data == HUSH
        message = scheduler.ExecutorMessage(offer.agent_id, ExecutorID("e"), HUSH)
        await say(it, http, stream_id, scheduler.Call("MESSAGE", framework_id, message=message))
        assert (await orders.of("MESSAGE")).data == HUSH
        await say(it, http, stream_id, scheduler.Call("TEARDOWN", framework_id))
        assert (await orders.next()).type == "SHUTDOWN"
        told.with_suffix(".end").touch()
        stream.close()


async def ask(it: Cluster, http: HttpClient, kind: str, sends: str, wants: str) -> operator_answers.Response:
    """Ask the master, and read the answer in the form that was wanted."""
    call = operator.Call(kind, get_metrics=operator_common.MetricsTimeout() if kind == "GET_METRICS" else None)
    body = encode(call) if sends == PROTOBUF else msgspec.json.encode(call)
    headers = {"Content-Type": sends, "Accept": wants}
    answer = await http.request("POST", it.master.url + "/api/v1", headers=headers, body=body)
    assert (answer.status, answer.headers["content-type"]) == (200, wants), answer.body
    return _read(answer.body, operator_answers.Response, wants)


def _read(body: bytes, kind: type[M], form: str) -> M:
    return decode(body, kind) if form == PROTOBUF else msgspec.json.decode(body, type=kind)


READS = (
    *("GET_AGENTS", "GET_FLAGS", "GET_FRAMEWORKS", "GET_HEALTH", "GET_LOGGING_LEVEL", "GET_MAINTENANCE_STATUS"),
    *("GET_MASTER", "GET_QUOTA", "GET_ROLES", "GET_STATE", "GET_VERSION", "GET_WEIGHTS", "GET_EXECUTORS"),
    *("GET_MAINTENANCE_SCHEDULE", "GET_OPERATIONS", "GET_TASKS"),
)


async def test_an_answer_says_the_same_in_both_forms_whatever_the_call_came_in(it: Cluster, http: HttpClient) -> None:
    url = it.master.url + "/api/v1"
    weights = operator.UpdateWeights([operator.WeightInfo(2.5, "wr")])
    body = encode(operator.Call("UPDATE_WEIGHTS", update_weights=weights))
    answer = await http.request("POST", url, headers={"Content-Type": PROTOBUF}, body=body)
    assert (answer.status, answer.body) == (200, b"")
    for kind in READS:
        in_json = await ask(it, http, kind, PROTOBUF, JSON)
        assert await ask(it, http, kind, JSON, PROTOBUF) == in_json, kind
    shown = await ask(it, http, "GET_WEIGHTS", PROTOBUF, PROTOBUF)
    assert shown.get_weights == weights
    agents = (await ask(it, http, "GET_AGENTS", PROTOBUF, PROTOBUF)).get_agents
    assert agents is not None
    assert AgentCapability("TASK_RESOURCE_LIMITS") in (agents.agents[0].capabilities or [])
    metrics = (await ask(it, http, "GET_METRICS", PROTOBUF, PROTOBUF)).get_metrics
    assert metrics is not None
    assert next(one.value for one in metrics.metrics if one.name == "master/slaves_active") == 1


async def test_an_operator_watches(it: Cluster, http: HttpClient) -> None:
    headers = {"Content-Type": JSON, "Accept": PROTOBUF}
    stream = await http.stream("POST", it.master.url + "/api/v1", headers=headers, body=b'{"type":"SUBSCRIBE"}')
    assert (stream.status, stream.headers["content-type"]) == (200, PROTOBUF)
    events = Events(stream, operator_answers.Event)
    state = (await events.of("SUBSCRIBED")).get_state
    assert len(state.get_agents.agents) == 1
    async with subscribed(it, http, FrameworkInfo("root", "seen")) as (_, stream_id, begun):
        added = (await events.of("FRAMEWORK_ADDED")).framework
        assert (added.framework_info.name, added.framework_info.id) == ("seen", begun.framework_id)
        await say(it, http, stream_id, scheduler.Call("TEARDOWN", begun.framework_id))
        assert (await events.of("FRAMEWORK_REMOVED")).framework_info.name == "seen"
    stream.close()


async def test_an_agent_answers_its_operators(it: Cluster, http: HttpClient) -> None:
    url = it.agents[0].url + "/api/v1"
    read: dict[str, agent_operator.Response] = {}
    for wants in (JSON, PROTOBUF):
        headers = {"Content-Type": PROTOBUF, "Accept": wants}
        body = encode(agent_operator.Call("GET_AGENT"))
        answer = await http.request("POST", url, headers=headers, body=body)
        assert (answer.status, answer.headers["content-type"]) == (200, wants), answer.body
        read[wants] = _read(answer.body, agent_operator.Response, wants)
    assert read[JSON] == read[PROTOBUF]
    assert read[JSON].get_agent is not None


CALL = encode(scheduler.Call("TEARDOWN", FrameworkID("nobody")))
SUBSCRIBE = encode(scheduler.Call("SUBSCRIBE", subscribe=scheduler.Subscribe(FrameworkInfo("root", "no"))))
MESSAGE = encode(executor.Call("MESSAGE", Identifier("e"), Identifier("f"), message=executor.ToFramework("aGk=")))
OF_CALL = "Failed to parse body into Call protobuf: "
OTHER = "Expecting 'Content-Type' of application/json or application/x-protobuf"
NEITHER = "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'"
REFUSALS = [
    ("master /api/v1/scheduler", CALL, PROTOBUF, "", 400, "Framework cannot be found"),
    ("master /api/v1/scheduler", CALL[:-1], PROTOBUF, "", 400, OF_CALL + "type: it ends within a number"),
    ("master /api/v1/scheduler", b"\x1a\x00", PROTOBUF, "", 400, OF_CALL + "subscribe.framework_info: Missing req"),
    ("master /api/v1/scheduler", CALL, JSON, "", 400, "Failed to parse body into JSON: "),
    ("master /api/v1/scheduler", CALL, "text/xml", "", 415, OTHER),
    ("master /api/v1/scheduler", SUBSCRIBE, PROTOBUF, "text/html", 406, NEITHER),
    ("master /api/v1", b"\x08\x02", PROTOBUF, "text/html", 406, NEITHER),
    ("master /api/v1", b"\x08\x02", "text/plain", "", 415, OTHER),
    ("master /api/v1", b"\xff", PROTOBUF, "", 400, OF_CALL + "it ends within a number"),
    ("master /api/v1", b"\x08\x06", PROTOBUF, "", 400, "Failed to validate master::Call: Expecting 'set_logging_level"),
    ("agent /api/v1/executor", MESSAGE, PROTOBUF, "", 400, "Framework cannot be found"),
    ("agent /api/v1/executor", MESSAGE[:-1], PROTOBUF, "", 400, OF_CALL + "message"),
    ("agent /api/v1/executor", b"\x18\x03", PROTOBUF, "", 400, OF_CALL + "Missing required fields: executor_id, fr"),
    ("agent /api/v1", b"\x08\x02", PROTOBUF, "text/html", 406, "Expecting 'Accept' to allow"),
]


@pytest.mark.parametrize(("where", "body", "sends", "wants", "status", "text"), REFUSALS)
async def test_refusals(
    it: Cluster, http: HttpClient, where: str, body: bytes, sends: str, wants: str, status: int, text: str
) -> None:
    whom, path = where.split()
    url = (it.master if whom == "master" else it.agents[0]).url + path
    headers = {"Content-Type": sends} | ({"Accept": wants} if wants else {})
    answer = await http.request("POST", url, headers=headers, body=body)
    assert answer.status == status, answer.body
    assert answer.body.decode().startswith(text)
