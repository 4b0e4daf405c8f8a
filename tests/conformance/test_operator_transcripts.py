"""The recorded traffic of operators with the real Mesos master, replayed against ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.kernel.http import HttpClient
from tests.conformance.replay.operator_replay import OperatorReplay
from tests.conformance.replay.stage import Stage, stage

TRANSCRIPTS = (
    "oper_01_master_gets",
    "oper_02_master_weights_quota_roles",
    "oper_03_master_subscribe",
    "oper_04_master_reserve_etc",
    "oper_99_unknown_type",
)


ALONE = "oper_08_v0_master"
"""Shows all completed frameworks and tasks, so there must be no others."""


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("operators"), ("r1", "r2"), "--cluster", "anchor") as it:
        yield it


async def replay(name: str, on: Stage) -> None:
    http = HttpClient()
    it = OperatorReplay(name, on, http)
    try:
        await it.run()
    finally:
        http.close()
    assert it.verdict.compared > 1


@pytest.mark.parametrize("name", TRANSCRIPTS)
async def test_transcript(name: str, operated: Stage) -> None:
    await replay(name, operated)


async def test_v0_endpoints(tmp_path_factory: pytest.TempPathFactory) -> None:
    with stage(tmp_path_factory.mktemp(ALONE), ("r1", "r2"), "--cluster", "anchor") as its:
        await replay(ALONE, its)
