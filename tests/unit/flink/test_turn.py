"""Waiting for a slot: answers health checks meanwhile, goes on when one is free, ends when asked to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.flink import high_availability
from headrace.flink.appmaster import daemon, turn
from headrace.flink.appmaster.plan import Plan
from headrace.flink.appmaster.slots import Owner, Slot, Slots
from headrace.flink.cluster import Cluster, resolve
from headrace.kernel.daemon import UserError
from headrace.kernel.http import HttpClient, HttpClientError
from tests.unit.flink.observing import Built


@pytest.fixture
def named(tmp_path: Path) -> dict[str, str]:
    return {
        "mesos.master": "127.0.0.1:1",
        "high-availability.storageDir": str(tmp_path),
        "high-availability.cluster-id": "one",
    }


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Slot]:
    slot = Slots(tmp_path / "one", Owner("/other")).take(1)
    assert slot is not None
    yield slot
    slot.close()


def cluster(given: dict[str, str]) -> Cluster:
    return resolve(high_availability.with_defaults(given, {}, Path("/box")), {}, "me")


async def wait(given: dict[str, str], stop: asyncio.Event, *, at_once: bool = False) -> Slot | None:
    return await turn.wait_for_slot(cluster(given), {}, Path("/box"), stop, at_once=at_once)


async def test_what_lies_in_the_sandbox_is_shared_with_nobody() -> None:
    slot = await wait({"mesos.master": "m:5050"}, asyncio.Event())
    assert slot is not None
    assert slot.number == 1


@pytest.fixture
def port() -> Iterator[int]:
    """A free one, which is nobody else's until the test ends."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def test_it_shows_life_until_it_is_its_turn(
    named: dict[str, str], holder: Slot, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.setattr(turn, "_LOOK", 0.01)
    url = f"http://127.0.0.1:{port}/overview"
    waiting = asyncio.create_task(wait({**named, "rest.port": str(port)}, asyncio.Event()))
    http, status = HttpClient(max_idle=0), 0
    while not status:
        try:
            status = (await http.request("GET", url, timeout=60)).status
        except HttpClientError:
            await asyncio.sleep(0.005)
    assert status == 200
    holder.close()
    slot = await waiting
    assert slot is not None
    slot.close()
    with pytest.raises(HttpClientError):  # the port is the JobManager's now
        await http.request("GET", url, timeout=60)


async def test_asked_to_stop_it_stops_waiting(named: dict[str, str], holder: Slot) -> None:
    stop = asyncio.Event()
    waiting = asyncio.create_task(wait(named, stop))
    await asyncio.sleep(0)
    stop.set()
    assert await waiting is None


async def test_only_to_stop_it_does_not_wait(named: dict[str, str], holder: Slot) -> None:
    assert await wait(named, asyncio.Event(), at_once=True) is None


async def test_with_a_store_in_zookeeper_there_are_no_slots(named: dict[str, str], holder: Slot) -> None:
    """It is one cluster, whose instances stand for election."""
    slot = await wait({**named, "headrace.appmaster.store": "zk://zk:2181/one"}, asyncio.Event())
    assert slot is not None


def test_one_file_is_not_the_store_of_several_clusters(tmp_path: Path) -> None:
    it = Built([f"-Dheadrace.appmaster.store=sqlite://{tmp_path}/x.db"], tmp_path)
    with pytest.raises(UserError, match=r"option headrace\.appmaster\.store names one store"):
        daemon._check_store(Plan(it.cluster, it.flink, tmp_path, it.shipment))
