"""What an agent finds when it starts again: other resources, volumes left behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from headrace.kernel.daemon import UserError
from headrace.kernel.ids import numbered_ids
from headrace.mesos.agent.core.events import KeepVolumes, MakeVolume, RemoveVolume
from headrace.mesos.agent.core.records import load
from headrace.mesos.agent.offered import parse_attributes
from headrace.mesos.agent.restart import compare
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.sandbox.volumes import Volumes
from headrace.mesos.messages.agent_link import ApplyOperation
from headrace.mesos.messages.common import AgentInfo, ReservationInfo, Resource, Scalar
from headrace.mesos.messages.scheduler import Operation, Reserve
from headrace.mesos.resources import Resources
from tests.unit.mesos.agent.agent_world import World, default, delivered, task

RESERVED = Resource("cpus", "SCALAR", scalar=Scalar(2), reservations=[ReservationInfo("DYNAMIC", "ours", "p")])


@pytest.fixture
def world() -> World:
    world = World()
    world.register()
    return world


def start(world: World, cpus: float) -> Resources | None:
    """Start again with so many cpus; what the agent has then."""
    saved, resources = load(world.store), Resources.of(cpus=cpus)
    compare(saved, AgentInfo("host", 5051, resources.messages()), resources)
    return None if saved.total is None else Resources.parse(saved.total)


def test_more_is_always_fine_and_less_unless_it_is_in_use(world: World) -> None:
    assert start(world, 9) is None
    world.run(task("t"), delivered("d"))
    world.run_group(default(), task("g"))
    assert start(world, 1.05) is None
    with pytest.raises(UserError, match=r"hold cpus:1\.05, which is more than cpus:1;"):
        start(world, 1)


def test_other_attributes_are_told_as_they_are_given(world: World, caplog: pytest.LogCaptureFixture) -> None:
    saved, resources = load(world.store), Resources.of(cpus=8)
    assert saved.agent is not None
    saved.agent = msgspec.structs.replace(saved.agent, attributes=parse_attributes("rack:r1;slots:4"))
    compare(saved, AgentInfo("host", 5051, resources.messages()), resources)
    assert "attributes were rack:r1;slots:4 before this start" in caplog.messages


def test_reservations_stay_and_must_fit(world: World) -> None:
    world.handle(ApplyOperation(Operation("RESERVE", reserve=Reserve([RESERVED]))))
    reserved = Resources.parse([RESERVED])
    assert start(world, 8) == Resources.of(cpus=6) + reserved
    assert start(world, 3) == Resources.of(cpus=1) + reserved
    with pytest.raises(UserError, match=r"cpus\(reservations: \[\(DYNAMIC,ours,p\)\]\):2 is in use"):
        start(world, 1)


def volumes(data: Path) -> tuple[Volumes, list[tuple[Callable[..., object], Path]]]:
    later: list[tuple[Callable[..., object], Path]] = []
    return Volumes(Layout(data), lambda do, path: later.append((do, path)), numbered_ids("x")), later


def test_a_volume_that_is_made_anew_is_empty_at_once(tmp_path: Path) -> None:
    carry, later = volumes(tmp_path)
    path = tmp_path / "volumes/roles/ours/v"
    carry.perform(MakeVolume("ours", "v"))
    (path / "old").touch()
    carry.perform(RemoveVolume("ours", "v"))
    assert not path.exists()
    carry.perform(MakeVolume("ours", "v"))
    assert list(path.iterdir()) == []
    for do, aside in later:
        do(aside)
    assert list((tmp_path / "volumes/.removed").iterdir()) == []
    carry.perform(RemoveVolume("ours", "never made"))


def test_after_a_crash_volumes_are_as_the_store_says(tmp_path: Path) -> None:
    carry, later = volumes(tmp_path)
    for name in ("kept", "destroyed"):
        carry.perform(MakeVolume("ours", name))
        (tmp_path / "volumes/roles/ours" / name / "file").touch()
    again, later = volumes(tmp_path)
    again.perform(KeepVolumes([MakeVolume("ours", "kept"), MakeVolume("ours", "lost")]))
    found = sorted(str(p.relative_to(tmp_path / "volumes/roles")) for p in tmp_path.glob("volumes/roles/*/**/*"))
    assert found == ["ours/kept", "ours/kept/file", "ours/lost"]
    assert len(later) == 1


def test_a_volume_on_a_disk_of_its_own_lies_there(tmp_path: Path) -> None:
    carry, _ = volumes(tmp_path / "data")
    source = b'{"type": "PATH", "path": {"root": "%s"}}' % str(tmp_path / "disk").encode()
    carry.perform(MakeVolume("ours", "v", source))
    assert (tmp_path / "disk/volumes/roles/ours/v").is_dir()
