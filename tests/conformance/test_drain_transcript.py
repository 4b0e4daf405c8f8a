"""Deactivation, draining and the end of an agent, as the real Mesos does it, replayed against ours."""

from __future__ import annotations

import pytest

from headrace.kernel.http import HttpClient
from tests.conformance.replay.operator_replay import OperatorReplay
from tests.conformance.replay.stage import QUICK, stage

DRAINING = "oper_09_drain_gone"


async def test_draining(tmp_path_factory: pytest.TempPathFactory) -> None:
    with stage(tmp_path_factory.mktemp("draining"), ("r1", "r2"), *QUICK) as its:
        http = HttpClient()
        it = OperatorReplay(DRAINING, its, http)
        try:
            await it.run()
        finally:
            http.close()
        assert it.verdict.compared > 20
