"""The event stream: who gets what, who is cut off; and the events of a change's life."""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

import pytest

from headrace.kernel.clock import ManualClock
from headrace.marathon.api.counts import Counts
from headrace.marathon.api.events import KINDS, EventBus
from headrace.marathon.core.core import MarathonCore
from headrace.mesos.client import Received
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import AgentID, ExecutorID
from tests.unit.marathon.simulation import Cluster

CHECK = {"protocol": "COMMAND", "command": {"value": "true"}}


class Socket:
    """A connection whose other side reads when it is told to."""

    def __init__(self) -> None:
        self.unread = b""
        self.read = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.unread += data

    def get_write_buffer_size(self) -> int:
        return len(self.unread)

    def take(self, size: int) -> None:
        self.read += self.unread[:size]
        self.unread = self.unread[size:]

    def abort(self) -> None:
        self.aborted = True

    def kinds(self) -> list[str]:
        text = self.read + self.unread
        return [line.removeprefix(b"event: ").decode() for line in text.splitlines() if line.startswith(b"event: ")]


def attached(bus: EventBus, *kinds: str) -> Socket:
    socket = Socket()
    bus.attach("1.2.3.4:5", frozenset(kinds)).attach(cast("asyncio.WriteTransport", socket))
    return socket


def bus(limit: int = 1024) -> tuple[EventBus, Counts]:
    counts = Counts(ManualClock(1_000_000.0))
    return EventBus(counts, limit), counts


def test_everybody_gets_what_they_asked_for() -> None:
    it, counts = bus()
    everything, some = attached(it), attached(it, "deployment_success", "app_terminated_event")
    for kind in ("deployment_info", "deployment_success"):
        it.publish(kind, {"id": "x"})
    assert everything.kinds() == [
        "event_stream_attached",
        "event_stream_attached",
        "deployment_info",
        "deployment_success",
    ]
    assert some.kinds() == ["deployment_success"]
    data = next(line for line in some.unread.splitlines() if line.startswith(b"data: "))
    assert json.loads(data[6:]) == {
        "eventType": "deployment_success",
        "timestamp": "1970-01-12T13:46:40.000Z",
        "id": "x",
    }
    assert counts.event_streams == 2


def test_a_slow_reader_is_cut_off_and_nobody_else() -> None:
    it, counts = bus(10)
    slow, brisk = attached(it), attached(it)
    for number in range(30):
        it.publish("instance_changed_event", {"number": number, "text": "x" * number})
        brisk.take(len(brisk.unread))
    assert (slow.aborted, brisk.aborted) == (True, False)
    assert brisk.kinds().count("instance_changed_event") == 30
    assert brisk.kinds().count("event_stream_detached") == 1
    assert slow.kinds().count("instance_changed_event") <= 10
    assert counts.event_streams == 1


def test_a_reader_that_keeps_up_a_little_is_kept() -> None:
    it, _ = bus(10)
    reader = attached(it)
    for _ in range(100):
        it.publish("instance_changed_event", {"text": "x" * 50})
        if len(reader.unread) > 800:
            reader.take(400)
    assert not reader.aborted


# what the core publishes


def kinds(cluster: Cluster) -> list[str]:
    return [kind for kind, _ in cluster.events]


def fields(cluster: Cluster, kind: str) -> dict[str, Any]:
    return next(fields for one, fields in reversed(cluster.events) if one == kind)


def test_a_refused_change() -> None:
    cluster = Cluster()
    cluster.create("/g/a")
    cluster.events.clear()
    assert cluster.update("/g/a", mem=17).status == 409
    assert kinds(cluster) == ["group_change_failed"]
    failed = fields(cluster, "group_change_failed")
    assert (failed["groupId"], failed["reason"].startswith("App is locked")) == ("/g", True)
    assert failed["version"] > cluster.core.books.apps["/g/a"].version


def test_health_checks_are_told_of() -> None:
    cluster = Cluster()
    cluster.create("/a", healthChecks=[CHECK])
    added = fields(cluster, "add_health_check_event")
    assert (added["appId"], added["version"]) == ("/a", cluster.core.books.apps["/a"].version)
    assert added["healthCheck"]["protocol"] == "COMMAND"
    cluster.events.clear()
    cluster.update("/a", force=True, instances=2)
    assert not {"add_health_check_event", "remove_health_check_event"} & set(kinds(cluster))
    cluster.update("/a", force=True, healthChecks=[{**CHECK, "intervalSeconds": 7}])
    assert fields(cluster, "add_health_check_event")["healthCheck"]["intervalSeconds"] == 7
    cluster.delete("/a")
    assert fields(cluster, "remove_health_check_event") == {"appId": "/a"}


def test_what_an_executor_says() -> None:
    cluster = Cluster()
    message = scheduler.ExecutorMessage(AgentID("s"), ExecutorID("e"), "aGk=")
    cluster.post(Received(scheduler.Event("MESSAGE", message=message)))
    assert fields(cluster, "framework_message_event") == {"slaveId": "s", "executorId": "e", "message": [104, 105]}


@pytest.mark.parametrize("data", ["abc", "a", "\u00e4"])
def test_what_an_executor_says_that_is_no_base64(data: str) -> None:
    cluster = Cluster()
    message = scheduler.ExecutorMessage(AgentID("s"), ExecutorID("e"), data)
    cluster.post(Received(scheduler.Event("MESSAGE", message=message)))
    assert "framework_message_event" not in kinds(cluster)
    last = cluster.core.books.stories.of("marathon")[-1]
    assert (last.what, "is not base64" in last.why) == ("a message of executor e is not told", True)


def test_all_kinds_are_listed() -> None:
    cluster = Cluster()
    cluster.create("/a", healthChecks=[CHECK])
    cluster.offer()
    cluster.delete("/a")
    assert set(kinds(cluster)) <= set(KINDS)
    assert len(set(kinds(cluster))) > 8


def test_all_apps_are_looked_at_now_and_then() -> None:
    cluster = Cluster()
    cluster.create("/a", instances=1)
    core: MarathonCore = cluster.core
    timer = next(key for key in cluster.timers if "all apps" in key)
    assert cluster.timers[timer] == 1_000_000.0 + 15.0
    (instance,) = list(core.books.of_app("/a"))
    core.books.forget(instance)  # a defect
    core.books.touched.clear()
    cluster.advance(20.0)
    assert core.books.size("/a") == 1
    assert cluster.timers[timer] == 1_000_000.0 + 15.0 + 300.0 or cluster.timers[timer] > cluster.now
