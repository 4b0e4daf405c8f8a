"""What is left of a job cluster's files, by how it ended and what SIGTERM then means."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.flink import high_availability
from headrace.flink.appmaster import daemon, leadership
from headrace.flink.appmaster.ending import Ending
from headrace.flink.appmaster.events import Finish, Stop
from headrace.flink.appmaster.plan import Plan
from headrace.flink.appmaster.slots import SCRIPT_VARIABLE, Owner, Slot, Slots
from headrace.flink.appmaster.stopping import Decision
from headrace.flink.appmaster.supervision import Supervision
from headrace.flink.cluster import resolve
from headrace.flink.distribution import Distribution
from headrace.flink.job import Job
from headrace.flink.job_result import JobResult
from headrace.flink.overlays.shipment import Shipment
from headrace.kernel.daemon import UserError


class Says(Supervision):
    """A supervisor that has decided."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    async def decide(self, leader: str = "", patience: float = 0.0) -> Decision:
        return Decision(self._stop, "test")


class End:
    """The end of a job cluster whose files lie in a directory of its app."""

    def __init__(self, root: Path, stop: Stop, *, idle: bool, digest: str = "") -> None:
        environment = {"MARATHON_APP_ID": "/a/b", "HEADRACE_DATA": str(root)}
        options = high_availability.with_defaults({"mesos.master": "m:5050"}, environment, root)
        cluster = resolve(options, environment, "me")
        self.data = root / "flink"
        slot = Slots(self.data / "a_b", Owner("/box")).take(1)
        assert slot is not None
        self.slot = slot
        self.box = root / "box"
        for path in (self.data / "a_b", self.box):
            path.mkdir(exist_ok=True)
        (self.data / "a_b" / "flink-version").write_text("1.20.5\n")
        job = Job("Main", {}, idle=idle)
        self.ending = Ending(cluster, job, self.box, environment, slot, Says(stop), digest)

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in self.data.iterdir())


FINISHED = Finish(0, "Flink ended the cluster", gone=True, said="SUCCEEDED")


async def end(it: End, finish: Finish) -> JobResult | None:
    """As ``daemon`` does it; returns the result."""
    result = it.ending.note(finish, "")
    if finish.gone:
        await it.ending.clear()
    it.ending.let_go(finish, result)
    return result


@pytest.mark.parametrize(
    ("stop", "kept"),
    [(Stop.DESTROY, []), (Stop.SUSPEND, ["a_b.done", "a_b.slot"]), (Stop.RESTART, ["a_b.done", "a_b.slot"])],
)
async def test_a_finished_job_is_run_again_only_if_its_app_was_destroyed(
    tmp_path: Path, stop: Stop, kept: list[str]
) -> None:
    it = End(tmp_path, stop, idle=True)
    result = await end(it, FINISHED)
    assert result is not None
    asked = asyncio.Event()
    leaving = asyncio.create_task(it.ending.leave(result, asked))
    await asyncio.sleep(0)
    assert it.kept == ["a_b.done", "a_b.slot"]
    asked.set()
    assert await leaving == 0
    assert it.kept == kept
    it.slot.close()
    again = End(tmp_path, stop, idle=True)
    assert (again.ending.before() is None) is (stop is Stop.DESTROY)
    again.slot.close()


@pytest.mark.parametrize(
    ("finish", "kept"),
    [
        (Finish(0, "asked to stop", gone=True), []),
        (Finish(0, "asked to stop"), ["a_b", "a_b.slot"]),
        (Finish(0, "asked to stop", kept=True), ["a_b", "a_b.slot"]),
        (FINISHED, ["a_b.done"]),
    ],
)
async def test_what_an_end_leaves(tmp_path: Path, finish: Finish, kept: list[str]) -> None:
    it = End(tmp_path, Stop.RESTART, idle=False)
    result = await end(it, finish)
    assert it.kept == kept
    if result is not None:
        assert await it.ending.leave(result, asyncio.Event()) == 0
        assert msgspec.json.decode((it.box / "job-result.json").read_bytes())["state"] == "FINISHED"
    it.slot.close()


async def test_the_result_is_noted_before_anything_is_removed(tmp_path: Path) -> None:
    """Killed in between, the next process finds both."""
    it = End(tmp_path, Stop.RESTART, idle=True)
    result = it.ending.note(FINISHED, "")
    assert it.kept == ["a_b", "a_b.done", "a_b.slot"]
    assert it.ending.before() == result
    it.slot.close()


async def test_another_job_of_the_same_app_runs(tmp_path: Path) -> None:
    it = End(tmp_path, Stop.RESTART, idle=True, digest="one")
    it.ending.note(FINISHED, "")
    it.slot.close()
    other = End(tmp_path, Stop.RESTART, idle=True, digest="two")
    assert other.ending.before() is None
    assert await other.ending.begin()
    assert other.kept == ["a_b.slot"]  # and what a killed one has left of the first is gone
    other.slot.close()


async def test_whoever_comes_to_stop_a_job_that_is_done_does_not_wait(tmp_path: Path) -> None:
    it = End(tmp_path, Stop.DESTROY, idle=True)
    result = await end(it, FINISHED)
    assert result is not None
    told: list[int] = []

    async def forget() -> None:
        told.append(1)

    assert await it.ending.leave(result, asyncio.Event(), at_once=True, forget=forget) == 0
    assert (it.kept, told) == ([], [1])
    it.slot.close()


ZOOKEEPER = {
    "high-availability.type": "zookeeper",
    "high-availability.zookeeper.quorum": "z:1",
    "high-availability.storageDir": "file:///nowhere",
}


@pytest.mark.parametrize("options", [{}, {"high-availability.type": "NONE"}, ZOOKEEPER])
@pytest.mark.parametrize("environment", [{"MARATHON_APP_ID": "/a"}, {"MARATHON_APP_ID": "/a", "MESOS_TASK_ID": "t"}])
async def test_an_app_without_a_place_for_files_finds_its_result_in_the_sandbox(
    tmp_path: Path, options: dict[str, str], environment: dict[str, str]
) -> None:
    assert ending_of(tmp_path, options, environment, idle=True).note(FINISHED, "") is not None
    found = ending_of(tmp_path, options, environment, idle=True).before()
    assert found is not None
    assert found.state == "FINISHED"
    assert ending_of(tmp_path / "another", options, environment, idle=True).before() is None


async def test_by_hand_a_second_start_in_a_directory_is_a_second_run(tmp_path: Path) -> None:
    script = {SCRIPT_VARIABLE: str(os.getppid())}
    first = ending_of(tmp_path, {}, script, idle=False)
    first.note(FINISHED, "")
    assert ending_of(tmp_path, {}, script, idle=False).before() is not None  # its script started it again
    second = ending_of(tmp_path, {}, {}, idle=False)
    assert second.before() is None
    assert await second.begin()
    assert not second.has_records


def test_a_result_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    ending = ending_of(tmp_path, {}, {}, idle=True)
    record = tmp_path / ".headrace" / "job-result.json"
    record.parent.mkdir()
    record.write_bytes(b"")
    with pytest.raises(UserError, match=r"job-result.json says how .* can't be read .* remove it"):
        ending.before()


async def test_a_standby_that_is_told_how_the_job_ended_stays_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told:
        """Leadership of a cluster that has ended."""

        def __init__(self, *arguments: Any, on_told: Callable[[JobResult], None], **options: Any) -> None:
            self._on_told = on_told

        async def run(self, *arguments: Any, **options: Any) -> Finish:
            self._on_told(JobResult("abc", "FINISHED", 0))
            return FINISHED

        async def forget(self) -> None:
            """Nobody asks for it."""

    monkeypatch.setattr(leadership, "Leadership", Told)
    environment = {"MARATHON_APP_ID": "/a", "MESOS_TASK_ID": "t"}
    options = {"headrace.appmaster.on-stop": "suspend", **ZOOKEEPER}
    options = high_availability.with_defaults({"mesos.master": "m:5050", **options}, environment, tmp_path)
    cluster = resolve(options, environment, "me")
    flink = Distribution(tmp_path, "1.20.5", ())
    plan = Plan(cluster, flink, tmp_path, Shipment(), Job("Main", {}, idle=True))
    stop = asyncio.Event()
    serving = asyncio.create_task(daemon.serve(stop, plan, tmp_path, environment))
    async with asyncio.timeout(60):
        while not (tmp_path / "job-result.json").exists():
            await asyncio.sleep(0)
    assert not serving.done()
    stop.set()
    await serving


def ending_of(sandbox: Path, options: dict[str, str], environment: dict[str, str], *, idle: bool) -> Ending:
    options = high_availability.with_defaults({"mesos.master": "m:5050", **options}, environment, sandbox)
    cluster = resolve(options, environment, "me")
    return Ending(cluster, Job("Main", {}, idle=idle), sandbox, environment, Slot(), Says(Stop.RESTART))
