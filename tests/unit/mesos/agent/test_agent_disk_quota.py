"""What containers may take of the disk, and how it is measured."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.mesos.agent.core.containers import Place
from headrace.mesos.agent.core.events import LimitExceeded
from headrace.mesos.agent.flags.units import exact_size
from headrace.mesos.agent.sandbox.disk_quota import MIB, DiskWatch, Quota, Watched, judge, quotas, usage
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import Resource, Scalar

PLACE = Place("S0", "fw", "t", "c")


def disk(amount: float, **more: Any) -> Resource:
    return msgspec.convert({"name": "disk", "type": "SCALAR", "scalar": {"value": amount}, **more}, Resource)


def volume(amount: float, volume_id: str, **source: Any) -> Resource:
    info = {"persistence": {"id": volume_id}, "volume": {"container_path": volume_id, "mode": "RW"}, **source}
    return disk(amount, role="r", disk=info)


def test_a_sandbox_and_its_volumes_have_their_own_bounds(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    resources = [
        disk(10),
        disk(5, reservations=[{"type": "STATIC", "role": "r"}]),
        volume(3, "v"),
        volume(4, "w", source={"type": "PATH", "path": {"root": "/big"}}),
        volume(5, "m", source={"type": "MOUNT", "mount": {"root": "/m"}}),
        Resource("mem", "SCALAR", scalar=Scalar(7)),
    ]
    own, v, w = quotas(layout, Watched(PLACE, resources))
    sandbox = layout.sandbox(PLACE)
    assert (own.directory, own.limit) == (str(sandbox), 15 * MIB)
    assert own.without == (str(sandbox / "v"), str(sandbox / "w"), str(sandbox / "m"))
    assert (v.directory, v.limit) == (str(tmp_path / "volumes/roles/r/v"), 3 * MIB)
    assert (w.directory, w.limit) == ("/big/volumes/roles/r/w", 4 * MIB)
    assert quotas(layout, Watched(PLACE, [])) == []


def test_the_text_is_that_of_mesos() -> None:
    quota = Quota("/s", 1 * MIB, [disk(1)])
    assert judge(quota, MIB) is None
    limitation = judge(quota, 1028 * 1024)
    assert limitation is not None
    assert limitation.reason == "REASON_CONTAINER_LIMITATION_DISK"
    assert limitation.message == "Disk usage (1028KB) exceeds quota (1MB)"
    assert limitation.resources == [disk(1)]


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "0B"), (1, "1B"), (1025, "1025B"), (2048, "2KB"), (3 << 20, "3MB"), (1 << 40, "1TB")]
)
def test_sizes_in_messages_lose_nothing(amount: int, text: str) -> None:
    assert exact_size(amount) == text


def test_what_counts(tmp_path: Path) -> None:
    box, outside = tmp_path / "box", tmp_path / "outside"
    (box / "containers" / "c2").mkdir(parents=True)
    (box / "volume").mkdir()
    outside.mkdir()
    for file in (box / "a", box / "containers" / "c2" / "b", box / "volume" / "v", outside / "o"):
        file.write_bytes(b"x" * 100_000)
    empty = 4 * os.lstat(box).st_blocks * 512
    os.link(box / "a", box / "again")
    (box / "link").symlink_to(outside)
    everything = usage(str(box))
    assert everything == pytest.approx(3 * 102_400, abs=empty + 8192)
    assert everything - usage(str(box), {str(box / "volume")}) >= 102_400
    assert usage(str(tmp_path / "nothing")) == 0
    with (box / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert usage(str(box)) - everything < MIB


async def test_who_takes_too_much_is_told(tmp_path: Path) -> None:
    layout, posted = Layout(tmp_path), list[LimitExceeded]()
    small, large = PLACE, Place("S0", "fw", "t2", "c2")
    for place, size in ((small, 1000), (large, 2 * MIB)):
        (layout.create(place) / "file").write_bytes(b"x" * size)
    watch = DiskWatch(layout, lambda: [Watched(small, [disk(1)]), Watched(large, [disk(1)])], 0.01, posted.append)
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(60):
        while not posted:
            await asyncio.sleep(0.002)
    running.cancel()
    assert {event.container_id for event in posted} == {"c2"}
    assert 0 < watch.used["c"] < MIB < watch.used["c2"]
