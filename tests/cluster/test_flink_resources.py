"""What a worker is made of besides CPUs and memory, on a real master and agent; Flink is only a stub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.harness import Cluster, cluster, get, wait_for
from tests.cluster.stub_flink import StubCluster, StubFlink, task_managers

TASKS = "mesos.resourcemanager.tasks."
RESOURCES = (
    "cpus:1;cpus(analytics):2;mem:2048;disk:4096;gpus:2;bandwidth:100;"
    "ports:[31000-31001];ports(analytics):[31010-31011]"
)


@contextmanager
def stub(directory: Path, mesos: Cluster, **options: object) -> Iterator[StubCluster]:
    it = StubCluster(directory / "session", mesos.master.url, StubFlink(directory / "stub"), **options)
    try:
        yield it
    finally:
        it.terminate()
        it.ended()


def numbers(text: str) -> list[int]:
    """Of port ranges such as [1-2, 4-4]."""
    spans = [span.split("-") for span in text.strip("[]").split(",")]
    return [port for first, last in spans for port in range(int(first), int(last) + 1)]


def test_a_worker_gets_all_that_options_ask_for(tmp_path: Path) -> None:
    """Roles: what is reserved for ours is taken first. GPUs are offered to those who can use them alone."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").write_text("here")
    options = {
        "mesos.resourcemanager.framework.role": "analytics",
        TASKS + "gpus": 1,
        TASKS + "disk": 100,
        TASKS + "network.bandwidth": 10,
        "mesos.resourcemanager.network.resource.name": "bandwidth",
        TASKS + "port-assignments": "metrics.reporter.prom.port",
        TASKS + "container.volumes": f"{tmp_path / 'data'}:data",
    }
    with cluster(tmp_path / "mesos", agents=0) as mesos:
        agent = mesos.add_agent(f"--resources={RESOURCES}")
        with stub(tmp_path, mesos, **options) as it:
            it.wants(1, cpus=2.5, memory_mib=512)
            (worker,) = wait_for(lambda: it.has(1), f"a worker runs; see {it.sandbox}")
            (framework,) = get(mesos.master.url + "/master/state")["frameworks"]
            assert [task["state"] for task in framework["tasks"]] == ["TASK_RUNNING"]
            assert set(framework["capabilities"]) == {
                "GPU_RESOURCES", "MULTI_ROLE", "PARTITION_AWARE", "RESERVATION_REFINEMENT",
            }  # fmt: skip
            held = get(agent.url + "/state")
            own, shared = held["reserved_resources_allocated"]["analytics"], held["unreserved_resources_allocated"]
            ports = [port for text in (own.pop("ports"), shared.pop("ports")) for port in numbers(text)]
            assert len(ports) == 3
            assert {name: amount for name, amount in own.items() if amount} == {"cpus": 2}
            assert shared == {"cpus": 0.5, "mem": 512, "disk": 100, "gpus": 1, "bandwidth": 10}
            (pid,) = wait_for(lambda: task_managers(mesos.directory).get(worker), "its process is there")
            assert (Path(os.readlink(f"/proc/{pid}/cwd")) / "data" / "file").read_text() == "here"
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            assigned = [word.partition("=")[2] for word in words if ".port=" in word]
            assert sorted(map(int, assigned)) == sorted(ports)


def test_what_the_agent_refuses_is_said_with_the_reason(tmp_path: Path) -> None:
    """S0-25: images for type mesos are not for our agents; others take them."""
    options = {TASKS + "container.image.name": "flink:1.20"}
    with cluster(tmp_path / "mesos") as mesos, stub(tmp_path, mesos, **options) as it:
        it.wants(1)
        wait_for(lambda: "is TASK_ERROR" in it.log, f"it is refused; see {it.sandbox}")
        assert "container.mesos.image: images are run by type DOCKER only" in it.log


def test_a_worker_on_an_unreachable_agent_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Partition-aware: it is neither given up nor replaced, and it is there when its agent is."""
    monkeypatch.setenv("MESOS_AGENT_PING_TIMEOUT", "1secs")
    monkeypatch.setenv("MESOS_MAX_AGENT_PING_TIMEOUTS", "1")
    with cluster(tmp_path / "mesos") as mesos, stub(tmp_path, mesos) as it:
        it.wants(1)
        (worker,) = wait_for(lambda: it.has(1), f"a worker runs; see {it.sandbox}")
        pids = wait_for(lambda: task_managers(mesos.directory).get(worker), "its process is there")
        (agent,) = mesos.agents
        agent.kill()
        wait_for(lambda: states(it) == [(worker, "TASK_UNREACHABLE")], "the agent is given up")
        agent.start()
        wait_for(lambda: states(it) == [(worker, "TASK_RUNNING")], "it is back")
        assert it.has(1) == [worker]
        assert task_managers(mesos.directory)[worker] == pids


def states(it: StubCluster) -> list[tuple[str, str]]:
    return [(worker["id"], worker["state"]) for worker in it.state["workers"]]
