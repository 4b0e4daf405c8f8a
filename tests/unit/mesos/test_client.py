"""The scheduler client against a master that the test plays, over real HTTP."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import msgspec
import pytest

from headrace.kernel import recordio
from headrace.kernel.backoff import Backoff
from headrace.kernel.clock import SystemClock
from headrace.kernel.daemon import UserError
from headrace.kernel.http import EventStream, HttpClient, HttpServer, Request, Response
from headrace.mesos import client as client_module
from headrace.mesos.client import ClientEvent, Connected, Disconnected, Received, SchedulerClient
from headrace.mesos.masters import master_url
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import FrameworkID, FrameworkInfo, TaskID


class PlayedMaster:
    """Accepts every SUBSCRIBE and keeps what it was told."""

    def __init__(self) -> None:
        self.calls: list[scheduler.Call] = []
        self.streams: list[EventStream] = []
        self.refuse_calls_with = 0
        self._server = HttpServer(self._handle)

    async def start(self) -> str:
        await self._server.start()
        return f"127.0.0.1:{self._server.port}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def stop(self) -> None:
        await self._server.stop()

    def send(self, event: scheduler.Event) -> None:
        self.streams[-1].send(recordio.encode(msgspec.json.encode(event)))

    def _handle(self, request: Request) -> Response:
        call = msgspec.json.decode(request.body, type=scheduler.Call)
        self.calls.append(call)
        if call.subscribe is None:
            assert request.headers["mesos-stream-id"] == f"stream-{len(self.streams)}"
            return Response(self.refuse_calls_with or 202)
        self.streams.append(EventStream())
        framework_id = call.framework_id or FrameworkID("new-id")
        self.send(scheduler.Event("SUBSCRIBED", subscribed=scheduler.Subscribed(framework_id, 15.0)))
        self.send(scheduler.Event("HEARTBEAT"))
        headers = {"Mesos-Stream-Id": f"stream-{len(self.streams)}"}
        return Response(200, self.streams[-1], "application/json", headers)


@pytest.fixture
async def master() -> AsyncIterator[PlayedMaster]:
    played = PlayedMaster()
    yield played
    await played.stop()


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


async def _client(master: PlayedMaster) -> tuple[SchedulerClient, list[ClientEvent], asyncio.Task[None]]:
    events: list[ClientEvent] = []
    info = FrameworkInfo(user="u", name="n")
    client = SchedulerClient(await master.start(), info, events.append, http=HttpClient(), clock=SystemClock())
    return client, events, asyncio.create_task(client.run())


async def test_events_come_and_calls_go_in_order_with_their_ids(master: PlayedMaster) -> None:
    client, events, task = await _client(master)
    assert client.leader == ""
    client.call(scheduler.Call("REVIVE"))
    await _until(lambda: events)
    assert client.leader == master.url
    assert events == [Connected("new-id", None)]
    for kind in ("SUPPRESS", "REVIVE", "TEARDOWN"):
        client.call(scheduler.Call(kind))
    master.send(scheduler.Event("ERROR", error=scheduler.Error("no")))
    await _until(lambda: len(master.calls) == 4 and len(events) == 2)
    assert [call.type for call in master.calls] == ["SUBSCRIBE", "SUPPRESS", "REVIVE", "TEARDOWN"]
    assert all(call.framework_id == FrameworkID("new-id") for call in master.calls[1:])
    assert isinstance(events[1], Received)
    task.cancel()


async def test_many_calls_do_not_wait_for_each_other_s_answers(
    master: PlayedMaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    inner = HttpClient.request_all

    async def counted(self: HttpClient, *arguments: Any, bodies: Sequence[bytes], **more: Any) -> Any:
        sent.append(len(bodies))
        return await inner(self, *arguments, bodies=bodies, **more)

    monkeypatch.setattr(HttpClient, "request_all", counted)
    client, events, task = await _client(master)
    await _until(lambda: events)
    kills = [scheduler.Call("KILL", kill=scheduler.Kill(TaskID(f"task-{n}"))) for n in range(250)]
    for call in kills:
        client.call(call)
    await _until(lambda: len(master.calls) == 251)
    assert [one.kill for one in master.calls[1:]] == [one.kill for one in kills]
    assert sent == [100, 100, 50]
    large = scheduler.Call("KILL", kill=scheduler.Kill(TaskID("x" * 60_000)))
    for _ in range(5):
        client.call(large)
    await _until(lambda: len(master.calls) == 256)
    assert sent[3:] == [2, 2, 1]
    task.cancel()


async def test_it_subscribes_again_with_its_id_when_the_stream_ends(master: PlayedMaster) -> None:
    _, events, task = await _client(master)
    await _until(lambda: events)
    master.streams[0].close()
    await _until(lambda: len(events) == 3)
    assert [type(event) for event in events] == [Connected, Disconnected, Connected]
    again = master.calls[-1]
    assert again.framework_id == FrameworkID("new-id")
    assert again.subscribe is not None
    assert again.subscribe.framework_info.id == FrameworkID("new-id")
    task.cancel()


async def test_it_does_not_subscribe_before_it_may(master: PlayedMaster) -> None:
    """Twice: at the start, and when the stream has ended."""
    events: list[ClientEvent] = []
    allowed = asyncio.Semaphore(0)

    async def before() -> None:
        await allowed.acquire()

    info = FrameworkInfo(user="u", name="n")
    client = SchedulerClient(
        await master.start(), info, events.append, http=HttpClient(), clock=SystemClock(), before=before
    )
    task = asyncio.create_task(client.run())
    for expected in (1, 3):
        await asyncio.sleep(0.1)
        assert len(master.calls) == expected // 2
        allowed.release()
        await _until(lambda expected=expected: len(events) == expected)  # type: ignore[misc]
        master.streams[-1].close()
    task.cancel()


async def test_a_master_that_falls_silent_is_left(master: PlayedMaster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MISSED_HEARTBEATS", 0.001)
    _, events, task = await _client(master)
    await _until(lambda: len(events) >= 2)
    assert events[1] == Disconnected("no heartbeat for 0.015 s")
    task.cancel()


async def test_it_waits_for_a_master_that_is_not_there_yet() -> None:
    events: list[ClientEvent] = []
    probe = PlayedMaster()
    address = await probe.start()
    await probe.stop()
    info = FrameworkInfo(user="u", name="n")
    client = SchedulerClient(address, info, events.append, http=HttpClient(), clock=SystemClock())
    task = asyncio.create_task(client.run())
    await asyncio.sleep(0)
    late = HttpServer(probe._handle, port=int(address.partition(":")[2]))
    await late.start()
    await _until(lambda: events)
    assert events == [Connected("new-id", None)]
    task.cancel()
    await late.stop()


async def test_a_call_that_can_not_be_sent_ends_the_subscription(
    master: PlayedMaster, caplog: pytest.LogCaptureFixture
) -> None:
    client, events, task = await _client(master)
    await _until(lambda: events)
    client.call(scheduler.Call(cast("str", object())))
    await _until(lambda: len(events) == 3)
    assert [type(event) for event in events] == [Connected, Disconnected, Connected]
    client.call(scheduler.Call("REVIVE"))
    await _until(lambda: master.calls[-1].type == "REVIVE")
    assert "could not be sent" in caplog.text
    task.cancel()


async def test_a_refusal_without_end_is_not_read_to_its_end() -> None:
    attempts: list[EventStream] = []

    def refuse(_: Request) -> Response:
        attempts.append(EventStream())
        attempts[-1].send(b"no" * 1000)
        return Response(503, attempts[-1])

    server = HttpServer(refuse)
    await server.start()
    info = FrameworkInfo(user="u", name="n")
    address = f"127.0.0.1:{server.port}"
    client = SchedulerClient(address, info, lambda _: None, http=HttpClient(), clock=SystemClock())
    task = asyncio.create_task(client.run())
    await _until(lambda: len(attempts) == 2)
    task.cancel()
    await server.stop()


def test_backoff_doubles_to_its_limit_and_resets() -> None:
    backoff = Backoff(1, 5, lambda: 1.0)
    assert [backoff.next() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert Backoff(4, 5, lambda: 0.0).next() == 2
    assert backoff.next() == 1


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("h:5050", "http://h:5050"),
        ("http://h:1/", "http://h:1"),
        ("https://h:1", "https://h:1"),
        ("http://[::1]:5050", "http://[::1]:5050"),
    ],
)
def test_forms_of_the_masters_address(given: str, url: str) -> None:
    assert master_url(given) == url


@pytest.mark.parametrize(
    "given", ["", "host", "host:", ":5050", "host:port", "ftp://h:1", "zk://a:1/mesos", "http://h:1/x"]
)
def test_an_address_that_makes_no_sense_is_the_users_mistake(given: str) -> None:
    with pytest.raises(UserError, match="give host:port"):
        master_url(given)


async def test_a_master_that_does_not_lead_names_the_one_that_does(master: PlayedMaster) -> None:
    leader = await master.start()

    def redirect(_: Request) -> Response:
        return Response(307, headers={"Location": f"//{leader}/api/v1/scheduler"})

    standby = HttpServer(redirect)
    await standby.start()
    events: list[ClientEvent] = []
    info = FrameworkInfo(user="u", name="n")
    address = f"127.0.0.1:{standby.port}"
    client = SchedulerClient(address, info, events.append, http=HttpClient(), clock=SystemClock())
    task = asyncio.create_task(client.run())
    await _until(lambda: events)
    client.call(scheduler.Call("REVIVE"))
    await _until(lambda: [call.type for call in master.calls] == ["SUBSCRIBE", "REVIVE"])
    task.cancel()
    await standby.stop()


class Moving:
    """Masters of which another leads when ``now`` is changed."""

    def __init__(self, now: str) -> None:
        self.now = now

    async def leader(self) -> str:
        return self.now

    async def moved(self, url: str) -> str:
        await _until(lambda: self.now != url)
        return f"the master at {self.now} leads now"

    async def close(self) -> None:
        self.now = "closed"


async def test_the_leader_is_followed(master: PlayedMaster, monkeypatch: pytest.MonkeyPatch) -> None:
    successor = PlayedMaster()
    moving = Moving(f"http://{await master.start()}")
    monkeypatch.setattr(client_module, "masters", lambda _: moving)
    events: list[ClientEvent] = []
    info = FrameworkInfo(user="u", name="n")
    client = SchedulerClient("zk://h/mesos", info, events.append, http=HttpClient(), clock=SystemClock())
    task = asyncio.create_task(client.run())
    await _until(lambda: events)
    moving.now = f"http://{await successor.start()}"
    await _until(lambda: len(events) == 3)
    assert events[1:] == [Disconnected(f"the master at {moving.now} leads now"), Connected("new-id", None)]
    assert successor.calls[0].framework_id == FrameworkID("new-id")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert moving.now == "closed"
    await successor.stop()


async def test_a_master_that_is_not_there_is_warned_of_now_and_then(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(client_module, "LAST_DELAY", 0.0001)
    monkeypatch.setattr(client_module, "FIRST_DELAY", 0.0001)
    probe = PlayedMaster()
    address = await probe.start()
    await probe.stop()
    caplog.set_level(logging.INFO)
    info = FrameworkInfo(user="u", name="n")
    client = SchedulerClient(address, info, lambda event: None, http=HttpClient(), clock=SystemClock())
    task = asyncio.create_task(client.run())
    await _until(lambda: len(caplog.records) >= 24)
    assert [at for at, record in enumerate(caplog.records[:24], 1) if record.levelno == logging.WARNING] == [8, 24]
    assert f"not subscribed to http://{address}" in caplog.records[7].getMessage()
    assert "look whether the master runs there" in caplog.records[7].getMessage()
    task.cancel()
