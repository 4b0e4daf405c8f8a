"""What is left of a job cluster's files, by how it ended and what SIGTERM then means."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from headrace.flink import high_availability
from headrace.flink.appmaster.ending import Ending
from headrace.flink.appmaster.events import Finish, Stop
from headrace.flink.appmaster.slots import Owner, Slots
from headrace.flink.appmaster.stopping import Decision
from headrace.flink.appmaster.supervision import Supervision
from headrace.flink.cluster import resolve
from headrace.flink.job import Job


class Says(Supervision):
    """A supervisor that has decided."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    async def decide(self) -> Decision:
        return Decision(self._stop, "test")


class End:
    """The end of a job cluster whose files lie in a directory of its app."""

    def __init__(self, root: Path, stop: Stop, *, idle: bool) -> None:
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
        job = Job("Main", {}, idle=idle)
        self.ending = Ending(cluster, job, self.box, environment, slot, Says(stop))

    @property
    def kept(self) -> list[str]:
        return sorted(path.name for path in self.data.iterdir())


FINISHED = Finish(0, "Flink ended the cluster", gone=True, said="SUCCEEDED")


@pytest.mark.parametrize(
    ("stop", "kept"),
    [(Stop.DESTROY, []), (Stop.SUSPEND, ["a_b.done", "a_b.slot"]), (Stop.RESTART, ["a_b.done", "a_b.slot"])],
)
async def test_a_finished_job_is_run_again_only_if_its_app_was_destroyed(
    tmp_path: Path, stop: Stop, kept: list[str]
) -> None:
    it = End(tmp_path, stop, idle=True)
    result = it.ending.settle(FINISHED, "")
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
    result = it.ending.settle(finish, "")
    assert it.kept == kept
    if result is not None:
        assert await it.ending.leave(result, asyncio.Event()) == 0
        assert msgspec.json.decode((it.box / "job-result.json").read_bytes())["state"] == "FINISHED"
    it.slot.close()
