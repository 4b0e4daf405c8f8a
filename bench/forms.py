"""JSON beside protocol buffers: what it costs the master to write events and to read calls in each form."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from bench.table import Row
from headrace.mesos.content import JSON, PROTOBUF
from headrace.mesos.master.core.offers_event import OffersEvent, SplicedOffer
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import (
    URL,
    Address,
    Attribute,
    Capability,
    CommandInfo,
    Filters,
    FrameworkInfo,
    Identifier,
    TaskInfo,
    Text,
)
from headrace.mesos.resources import Resources

OFFERS = 100
_ID = "8fb6bb02-211b-4ff1-92de-fb6ce803ae08"


def rows() -> list[Row]:
    """Microseconds and bytes, for each form."""
    found: list[Row] = []
    for form, name in ((JSON, "JSON"), (PROTOBUF, "protobuf")):
        for what, call in (("SUBSCRIBE", _subscribe()), ("ACCEPT of one task", _accept())):
            body = form.write(call)
            found.append(Row(f"{name}: read {what}, {len(body)} bytes", _cost(form.read, body, scheduler.Call), "µs"))
        record = form.write(_offers())
        title = f"{name}: write OFFERS of {OFFERS} agents, {len(record)} bytes"
        found.append(Row(title, _cost(form.write, _offers()), "µs"))
    return found


def _cost(call: Callable[..., Any], *arguments: Any) -> float:
    """Microseconds of one call, the best of some rounds."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(200):
            call(*arguments)
        best = min(best, time.perf_counter() - begin)
    return best / 200 * 1e6


def _subscribe() -> scheduler.Call:
    can = [Capability(name) for name in ("MULTI_ROLE", "RESERVATION_REFINEMENT", "PARTITION_AWARE")]
    info = FrameworkInfo("root", "bench", failover_timeout=3600.0, checkpoint=True, roles=["flink"], capabilities=can)
    return scheduler.Call("SUBSCRIBE", subscribe=scheduler.Subscribe(info))


def _accept() -> scheduler.Call:
    resources = Resources.of(cpus=1, mem=512).messages("flink")
    task = TaskInfo("t", Identifier("t"), Identifier(f"{_ID}-S1"), resources, command=CommandInfo("sleep 60"))
    launch = scheduler.Operation("LAUNCH", launch=scheduler.Launch([task]))
    accept = scheduler.Accept([Identifier(f"{_ID}-O1")], [launch], Filters(0.0))
    return scheduler.Call("ACCEPT", Identifier(f"{_ID}-0001"), accept=accept)


def _offers() -> OffersEvent:
    """As the master makes them: the fields of each offer are encoded already."""
    return OffersEvent([_offer(number) for number in range(OFFERS)])


def _offer(number: int) -> SplicedOffer:
    own = {
        "id": Identifier(f"{_ID}-O{number}"),
        "agent_id": Identifier(f"{_ID}-S{number}"),
        "hostname": "10.0.0.1",
        "url": URL("http", Address("10.0.0.1", "10.0.0.1", 5051), "/slave(1)"),
        "attributes": [Attribute("rack", "TEXT", text=Text("r1"))],
    }
    shared = {
        "framework_id": Identifier(f"{_ID}-0001"),
        "resources": Resources.of(cpus=8, mem=8192, disk=20480).messages("flink"),
    }
    return SplicedOffer(msgspec.json.encode(own)[1:-1], msgspec.json.encode(shared)[1:-1])
