"""The recorded traffic of the real Mesos, replayed against real daemons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from headrace.kernel.http import HttpClient
from tests.conformance.differences import DIFFERENCES
from tests.conformance.replay import verdict
from tests.conformance.replay.executors import Executor, ExecutorReplay, Executors, improvise
from tests.conformance.replay.names import Names
from tests.conformance.replay.recording import DATA, Entry, Recording
from tests.conformance.replay.replay import Replay
from tests.conformance.replay.stage import LOSING, QUICK, Stage, stage
from tests.conformance.test_agent_transcripts import GETS, NESTED
from tests.conformance.test_drain_transcript import DRAINING
from tests.conformance.test_operator_transcripts import ALONE, TRANSCRIPTS

SHARED = (
    "sched_01_basic_launch",
    "sched_02_task_outcomes",
    "sched_03_launch_group",
    "sched_04_reserve_volumes",
    "sched_05_decline_revive_suppress",
    "sched_07_update_framework",
    "sched_08_failover",
    "sched_09_invalid",
    "sched_10_protobuf",
)
"""Transcripts that leave the daemons as they were."""
LOSSES = {
    "loss_01_agent_recovery": (),
    "loss_02_agent_unreachable": LOSING,
    "loss_03_agent_shutdown": (),
    "loss_04_master_restart": (),
    "sched_12_machine_down": (),
}
"""Transcripts that need daemons of their own, and the master's flags."""
EXECUTOR = "exec_01"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("transcripts"), ("r1", "r2"), *QUICK) as it:
        yield it


async def replay(name: str, on: Stage) -> None:
    http = HttpClient()
    it = Replay(name, on, http)
    try:
        await it.run()
    finally:
        http.close()
    assert it.verdict.compared > 1


@pytest.mark.parametrize("name", SHARED)
async def test_transcript(name: str, shared: Stage) -> None:
    await replay(name, shared)


@pytest.mark.parametrize("name", LOSSES)
async def test_loss(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    racks = sorted(set(Recording(name).racks.values()))
    with stage(tmp_path_factory.mktemp(name), racks, *LOSSES[name]) as its:
        await replay(name, its)


async def test_executor(shared: Stage, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both sides of one transcript at the same time."""
    http, names = HttpClient(), Names()

    async def play(side: str, executor: Executor) -> None:
        if (DATA / f"{side}.json").exists():
            its = ExecutorReplay(side, shared, http, names, executor)
            await its.run()
        else:
            await improvise(executor, http)

    with TemporaryDirectory() as directory:
        executors = Executors(Path(directory), names, play)
        await executors.start([f"{EXECUTOR}_executor_side", "exec_02_executor_crash", "exec_03_executor_teardown"])
        try:
            await Replay(f"{EXECUTOR}_scheduler_side", shared, http, names).run()
        finally:
            await executors.stop()
            http.close()


def _other_text(entries: list[Entry]) -> None:
    entries[13]["response"]["body"] = "another text"


def _other_status(entries: list[Entry]) -> None:
    entries[4]["response"]["status"] = 202


def _other_offer(entries: list[Entry]) -> None:
    entries[8]["event"]["offers"]["offers"][0]["attributes"].append({"name": "more", "type": "TEXT"})


def _no_subscribed(entries: list[Entry]) -> None:
    del entries[1]


@pytest.mark.parametrize(
    ("change", "patience", "shown"),
    [
        (_other_text, verdict.PATIENCE, "body is \"Supplied FrameworkInfo is not valid: Suppressed role 'nope'"),
        (_other_status, verdict.PATIENCE, "status is 200, not 202"),
        (_other_offer, 3.0, 'attributes: ours [{"name": "rack"'),
        (_no_subscribed, 0.5, "not within 0.5 s: [3] UPDATE_FRAMEWORK: the framework's id"),
    ],
)
async def test_a_replay_finds_what_is_unlike(
    change: Callable[[list[Entry]], None],
    patience: float,
    shown: str,
    shared: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """``patience``: what does not come is waited for no longer; all that comes before it must."""
    monkeypatch.setattr(verdict, "PATIENCE", patience)
    monkeypatch.setattr(verdict, "IMPATIENCE", 0.2)
    http = HttpClient()
    it = Replay("sched_07_update_framework", shared, http)
    change(it.recording.entries)
    with pytest.raises(AssertionError) as error:
        await it.run()
    assert shown in str(error.value)
    http.close()


def test_every_difference_has_a_place_and_a_reason() -> None:
    known = {*SHARED, *LOSSES, *TRANSCRIPTS, ALONE, DRAINING, GETS, NESTED}
    known |= {f"{EXECUTOR}_scheduler_side", f"{EXECUTOR}_executor_side"}
    for (name, where), difference in DIFFERENCES.items():
        assert name in known, name
        assert difference.row is not None, (name, where)
        assert len(difference.row.why) > 10, (name, where)


async def test_an_event_that_nobody_recorded_is_found(shared: Stage) -> None:
    http = HttpClient()
    it = Replay("sched_12_machine_down", shared, http)
    it.recording.entries[:] = it.recording.entries[:4]
    reconcile = {"type": "RECONCILE", "reconcile": {"tasks": [{"task_id": {"value": "who"}}]}}
    framework_id = it.recording.entries[1]["event"]["subscribed"]["framework_id"]
    request = {**it.recording.entries[0]["request"], "body": {**reconcile, "framework_id": framework_id}}
    request["headers"] = {
        **request["headers"],
        "Mesos-Stream-Id": it.recording.entries[0]["response"]["headers"]["Mesos-Stream-Id"],
    }
    answer = {"status": 202, "headers": {}, "body": ""}
    it.recording.entries.append({"t": 1.0, "kind": "http", "request": request, "response": answer})
    it.recording.entries.append({"t": 2.0, "kind": "http", "request": request, "response": answer})
    with pytest.raises(AssertionError, match="came what was not recorded"):
        await it.run()
    http.close()
