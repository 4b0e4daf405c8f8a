"""Twenty Flink clusters in one Mesos: what they want is shared by DRF, nobody hoards offers, they come and go cleanly.

Master and application masters are real processes; agents are simulated, in place of JVMs are stubs. An agent holds
one worker of the larger kinds or several of the smaller, so that no offer is worth more than one large worker.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bench.framework import Launcher
from headrace.mesos.messages.common import CommandInfo
from headrace.mesos.resources import Resources
from tests.cluster.harness import Cluster, cluster, get, wait_for
from tests.cluster.simulated_agents import SimulatedAgents, simulated_agents
from tests.cluster.stub_flink import StubCluster, StubFlink, task_managers

CLUSTERS = 20
GREEDY = 60
"""More workers than a cluster can get."""
CPUS, MEM = 4.2, 4224
"""Of an agent: a little is always left that is too small for any worker."""
KINDS: list[tuple[float, int]] = [(4, 512), (0.5, 4096), (2, 2048), (1, 512)]
"""CPUs and memory of workers: some want mainly CPUs, some mainly memory."""
ALL = range(CLUSTERS)
GIVERS = [number for number in ALL if number % len(KINDS) < 2]
"""Those with a whole agent for each worker: what they give back is good for everybody."""
TAKERS = [number for number in ALL if number not in GIVERS]
LARGEST = max(4 / CPUS, 4096 / MEM)
"""The dominant share of a large worker, in agents."""
AFTERWARDS = 2 * LARGEST
"""When workers have come and gone: what comes back comes in pieces, which not everybody can use."""

TURNS = 8
"""So often workers may end until the pieces that they leave have come to those with least."""


class Sea:
    """The clusters, and what the master knows of them."""

    def __init__(self, directory: Path, master: str, agents: SimulatedAgents, roles: list[str]) -> None:
        flink = StubFlink(directory / "stub")
        self._master = master
        self.agents = agents
        self.clusters: list[StubCluster] = []
        self._wanted: dict[int, int] = {}
        try:
            for number, role in enumerate(roles):
                options = {"mesos.resourcemanager.framework.role": role, "high-availability.cluster-id": f"c-{number}"}
                self.clusters.append(StubCluster(directory / f"sandbox-{number}", master, flink, **options))
        except BaseException:
            self.close()
            raise

    def want(self, workers: int, which: Iterable[int]) -> None:
        """So many workers are wanted by each of some clusters."""
        for number in which:
            cpus, mem = KINDS[number % len(KINDS)]
            self.clusters[number].wants(workers, cpus=cpus, memory_mib=mem, names="taskmanager")
            self._wanted[number] = workers

    def frameworks(self) -> list[Any]:
        return list(get(self._master + "/master/state")["frameworks"])

    def offers(self) -> int:
        """How many are out."""
        return int(get(self._master + "/metrics/snapshot")["master/outstanding_offers"])

    def settled(self, pause: float = 0.5, patience: float = 120.0) -> None:
        """Wait until all know of all, no offer is out, and nothing changes for ``pause`` seconds."""
        seen: list[tuple[str, str]] = []
        since = time.monotonic()

        def quiet() -> bool:
            nonlocal seen, since
            offers, now = self.offers(), sorted(self.agents.tasks())
            if offers or now != seen or not self._all_know(len(now)):
                seen, since = now, time.monotonic()
            return time.monotonic() - since >= pause

        wait_for(quiet, "no offer is out and nothing changes", patience, pause=0.05)

    def _all_know(self, tasks: int) -> bool:
        """Whether each cluster has asked for what it wants, and lives with what runs."""
        known = [self.clusters[number].knows for number in self._wanted]
        asked = [len(one["live"]) + len(one["pending"]) for one in known]
        return asked == list(self._wanted.values()) and sum(len(one["live"]) for one in known) == tasks

    def shares(self) -> dict[str, float]:
        """Dominant shares, in agents, by the id of the cluster."""
        found = {}
        for framework in self.frameworks():
            used = framework["used_resources"]
            found[_cluster_id(framework)] = max(used["cpus"] / CPUS, used["mem"] / MEM)
        return found

    def spread(self, weights: dict[str, float], which: Iterable[int] = ALL) -> float:
        """The difference between the largest and the smallest weighted share of some clusters."""
        shares, ids = self.shares(), [f"c-{number}" for number in which]
        weighted = [shares[name] / weights.get(name, 1.0) for name in ids]
        return max(weighted) - min(weighted)

    def end_some(self, turn: int) -> None:
        """Every other task ends."""
        self.agents.end_all(slice(turn % 2, None, 2))
        self.settled()

    def even_out(self, weights: dict[str, float], which: Iterable[int] = ALL) -> None:
        """As soon as enough workers have come and gone, the shares of some clusters are within two workers."""
        for turn in range(1, TURNS):
            if self.spread(weights, which) <= AFTERWARDS:
                break
            self.end_some(turn)
        assert self.spread(weights, which) <= AFTERWARDS

    def close(self) -> None:
        """SIGTERM to all at once."""
        for it in self.clusters:
            it.terminate()
        for it in self.clusters:
            it.ended()


def _cluster_id(framework: Any) -> str:
    return str(next(label["value"] for label in framework["labels"] if label["key"] == "headrace.cluster"))


@contextmanager
def sea(directory: Path, roles: list[str], weights: dict[str, float]) -> Iterator[Sea]:
    with cluster(directory / "mesos", agents=0) as mesos, simulated_agents(mesos.master.url) as agents:
        if weights:
            body = json.dumps([{"role": role, "weight": weight} for role, weight in weights.items()])
            request = urllib.request.Request(mesos.master.url + "/weights", body.encode(), method="PUT")  # noqa: S310
            urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
        it = Sea(directory, mesos.master.url, agents, roles)
        try:
            yield it
        finally:
            it.close()


def take_what_is_left(master: str, agents: int) -> float:
    """Seconds until another framework has tasks on so many agents; they are gone at the end."""

    async def take() -> float:
        async with Launcher(master) as launcher:
            began = time.monotonic()
            offers = await launcher.offered(agents)
            for number, of_agent in enumerate(offers):
                task = launcher.task(f"small-{number}", of_agent[0], command=CommandInfo(value="true"))
                launcher.accept(of_agent, [task])
            await launcher.all_run(agents)
            return time.monotonic() - began

    return asyncio.run(take())


OWN_ROLES = [f"role-{number}" for number in range(CLUSTERS)]


@pytest.mark.parametrize(("roles", "weights"), [(OWN_ROLES, {"role-0": 2.0}), (["flink"] * CLUSTERS, {})])
def test_s2_9_twenty_clusters_get_equal_weighted_shares_and_go(
    roles: list[str], weights: dict[str, float], tmp_path: Path
) -> None:
    of_cluster = {f"c-{roles.index(role)}": weight for role, weight in weights.items()}
    with sea(tmp_path, roles, weights) as it:
        began = time.monotonic()
        it.want(GREEDY, ALL)
        wait_for(lambda: all(c.knows and len(c.knows["pending"]) == GREEDY for c in it.clusters), "all are up", 120)
        up = time.monotonic() - began
        assert len({f["id"] for f in it.frameworks()}) == CLUSTERS

        # all are hungry when agents come
        count = 5 * (CLUSTERS + len(weights))
        it.agents.add(count, Resources.of(cpus=CPUS, mem=MEM).with_ports(range(31000, 31020)))
        began = time.monotonic()
        it.settled()
        full = time.monotonic() - began
        assert it.spread(of_cluster) <= LARGEST
        assert sum(it.shares().values()) >= 0.9 * count
        print(f"{up:.1f} s until all are up, {full:.1f} s until the cluster is full, shares {it.shares()}")

        # what no cluster can use is there for others at once
        took = take_what_is_left(it.agents.master, count)
        print(f"{took:.1f} s until another framework has tasks on all agents")

        # half of them give up everything; the others get it
        it.want(0, GIVERS)
        wait_for(lambda: all(it.clusters[number].has(0) for number in GIVERS), "half have no workers", 120)
        it.settled()
        shares = it.shares()
        assert not any(shares[f"c-{number}"] for number in GIVERS)
        it.even_out(of_cluster, TAKERS)
        shares = it.shares()
        assert sum(shares.values()) >= 0.9 * count

        # they want it back: nothing is taken from others, but what ends goes to who has least
        it.want(GREEDY, GIVERS)
        it.settled()
        assert it.shares() == shares
        it.end_some(0)
        it.even_out(of_cluster)
        assert sum(it.shares().values()) >= 0.9 * count
        _all_end(it)


def _all_end(it: Sea) -> None:
    assert len(it.agents.tasks()) >= CLUSTERS
    began = time.monotonic()
    for one in it.clusters:
        one.terminate()
    assert [one.ended() for one in it.clusters] == [0] * CLUSTERS
    wait_for(lambda: not it.frameworks() and not it.offers(), "the master has forgotten them")
    wait_for(lambda: not it.agents.tasks(), "no task is left")
    wait_for(lambda: not any(one.processes() for one in it.clusters), "no process is left")
    print(f"{time.monotonic() - began:.1f} s until all have ended")


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Cluster, list[StubCluster]]]:
    with cluster(tmp_path / "mesos") as mesos:
        flink = StubFlink(tmp_path / "stub")
        them = [StubCluster(tmp_path / name, mesos.master.url, flink) for name in ("flink1", "flink2")]
        try:
            yield mesos, them
        finally:
            for one in them:
                one.terminate()
            for one in them:
                one.ended()


def test_s2_14_task_ids_are_those_of_a_framework(two: tuple[Cluster, list[StubCluster]], tmp_path: Path) -> None:
    """Both clusters have a taskmanager-00001, on the same agent."""
    mesos, (first, second) = two
    ids = ["taskmanager-00001", "taskmanager-00002"]
    for one in (first, second):
        one.wants(2, names="taskmanager")
    for one in (first, second):
        assert wait_for(lambda: one.has(2), "both workers") == ids  # noqa: B023 - called here
    agent = tmp_path / "mesos"
    wait_for(lambda: {name: len(pids) for name, pids in task_managers(agent).items()} == dict.fromkeys(ids, 2), "four")
    before = task_managers(agent)
    first.wants(0)
    wait_for(lambda: [len(pids) for pids in task_managers(agent).values()] == [1, 1], "those of one are gone")
    for name, pids in task_managers(agent).items():
        assert set(pids) < set(before[name])
    assert second.has(2) == ids
    of_second = [(second.state["framework_id"], name) for name in ids]

    def running() -> list[tuple[str, str]]:
        tasks = get(mesos.master.url + "/master/tasks?limit=1000")["tasks"]
        return sorted((task["framework_id"], task["id"]) for task in tasks if task["state"] == "TASK_RUNNING")

    wait_for(lambda: running() == of_second, "the master knows that they are gone")
