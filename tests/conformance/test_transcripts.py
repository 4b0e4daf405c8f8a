"""The recorded traffic of the real Mesos, replayed against a real master with two real agents."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from headrace.kernel.http import HttpClient
from tests.cluster.harness import Cluster, Daemon, get, wait_for
from tests.conformance.differences import DIFFERENCES
from tests.conformance.transcripts import Replay

TRANSCRIPTS = (
    "sched_01_basic_launch",
    "sched_05_decline_revive_suppress",
    "sched_07_update_framework",
    "sched_08_failover",
    "sched_09_invalid",
)
RESOURCES = "cpus:8;mem:8192;disk:20480;ports:[31000-32000]"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    it = Cluster(tmp_path_factory.mktemp("transcripts"))
    arguments = ["--port", "0", "--data", str(it.directory / "master"), "--allocation-interval", "20ms"]
    it.master = Daemon("master", "headrace.mesos.master", arguments, it.directory).start()
    try:
        for rack in ("r1", "r2"):
            it.add_agent("--resources", RESOURCES, "--attributes", f"rack:{rack};zone:z", "--hostname", "127.0.0.1")
        wait_for(lambda: len(get(it.master.url + "/slaves")["slaves"]) == 2, "both agents register")
        yield it
    finally:
        for agent in it.agents:
            agent.stop(signal.SIGUSR1)
        it.master.stop()


@pytest.mark.parametrize("name", TRANSCRIPTS)
async def test_transcript(name: str, cluster: Cluster) -> None:
    http = HttpClient()
    replay = Replay(name, cluster.master.url, http)
    try:
        await replay.run()
    finally:
        http.close()
    assert replay.compared > 10


def test_every_meant_difference_has_a_reason_and_a_place() -> None:
    for (name, where), difference in DIFFERENCES.items():
        assert name in TRANSCRIPTS, name
        assert where, name
        assert len(difference.reason) > 20, (name, where)
