"""Application masters that stand by for each other, with a real ZooKeeper and a cluster that is only played."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.flink import zookeeper_ha
from headrace.flink.appmaster import leadership
from headrace.flink.appmaster.events import Finish
from headrace.flink.appmaster.leadership import Leadership
from headrace.flink.appmaster.own_address import EXIT_TRY_AGAIN
from headrace.flink.cluster import Cluster, resolve
from headrace.flink.job_result import JobResult
from headrace.kernel.core import Delete, Put
from headrace.kernel.store import Store, StoreError
from headrace.kernel.zookeeper import Session
from tests.cluster.zookeeper_harness import ZooKeeper, tree, zookeeper

HA = "high-availability."
ANOTHER = Finish(0, "another one goes on", kept=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    with zookeeper(tmp_path_factory.mktemp("zookeeper")) as it:
        yield it


class Instance:
    """One application master; ``play`` is what its cluster does, which ends when ``finish`` is told.

    ``job``: what it has to run; then ``stays``, the result that it leaves is for whoever comes.
    """

    def __init__(self, cluster: Cluster, sandbox: Path, job: str = "") -> None:
        (sandbox / ".headrace").mkdir(parents=True, exist_ok=True)
        address = zookeeper_ha.store_address(cluster.given)
        assert address is not None
        self.stop = asyncio.Event()
        self.sandbox = sandbox
        self.content: dict[str, bytes] | None = None
        self.store: Store | None = None
        self.finish: asyncio.Future[Finish] = asyncio.get_running_loop().create_future()
        self.result = JobResult("abc", "FINISHED", 0) if job else None
        self.told: list[JobResult] = []
        self.leadership = Leadership(
            address, cluster, sandbox, job=job, stays=bool(job), on_told=self.told.append, clear=self._clear
        )
        self.cleared: list[str] = []
        self.outcome: asyncio.Task[Finish | None] = asyncio.create_task(self._run())

    async def _run(self) -> Finish | None:
        try:
            return await self.leadership.run(self.stop, self._play)
        except SystemExit as end:  # would end the loop of the tests
            return Finish(int(end.code or 0), "exit")

    async def _play(self, store: Store, port: int) -> Finish:
        self.content, self.store = store.load(), store
        finish = await self.finish
        writes = await self.leadership.farewell(finish, self.result)
        if finish.gone:
            await store.commit([*map(Delete, store.load()), *writes])
        return finish

    async def _clear(self) -> None:
        self.cleared.append("before" if self.leadership._session.connected else "after the session's end")

    @property
    def leads(self) -> bool:
        return self.content is not None


class Instances:
    """Those of one test, in directories of their own."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self._cluster, self._directory = cluster, directory
        self._all: list[Instance] = []

    def start(self, sandbox: str, job: str = "") -> Instance:
        self._all.append(Instance(self._cluster, self._directory / sandbox, job))
        return self._all[-1]

    async def pair(self, job: str = "") -> tuple[Instance, Instance]:
        """A leader and a standby."""
        leader = self.start("leader", job)
        await until(lambda: leader.leads)
        standby = self.start("standby", job)
        await until(lambda: (standby.sandbox / ".headrace" / "zookeeper-session").exists())
        election = standby.leadership._election
        await until(election.leader)
        assert not standby.leads
        return leader, standby

    async def close(self) -> None:
        for one in self._all:
            one.outcome.cancel()
            await asyncio.gather(one.outcome, return_exceptions=True)
            await one.leadership._session.close()


@pytest.fixture
def cluster(server: ZooKeeper, tmp_path: Path) -> Cluster:
    options = {
        "mesos.master": "127.0.0.1:1",
        HA + "type": "zookeeper",
        HA + "zookeeper.quorum": server.hosts,
        HA + "cluster-id": f"/{tmp_path.name}",
        HA + "storageDir": f"file://{tmp_path}/ha",
        zookeeper_ha.TIMEOUT: "30 s",  # no session ends because a busy machine lets somebody wait
    }
    return resolve(options, {}, "me")


@pytest.fixture
async def instances(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Instances]:
    monkeypatch.setattr(leadership, "LEAVING", 60.0)
    it = Instances(cluster, tmp_path)
    yield it
    await it.close()


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_s2_11_a_standby_finds_what_the_leader_has_left(instances: Instances) -> None:
    leader, standby = await instances.pair()
    assert leader.store is not None
    await leader.store.commit([Put("framework", b"f"), Put("workers/1", b"w")])
    leader.finish.set_result(ANOTHER)
    assert await leader.outcome == ANOTHER
    await until(lambda: standby.leads)
    assert standby.content == {"framework": b"f", "workers/1": b"w"}


async def test_s2_17_an_end_for_good_is_everybodys_and_leaves_nothing(
    instances: Instances, server: ZooKeeper, cluster: Cluster, tmp_path: Path
) -> None:
    leader, standby = await instances.pair()
    flinks = zookeeper_ha.flinks_address(cluster.given)
    assert flinks is not None
    await leader.leadership._session.call("create", f"{flinks.path}/jobgraphs/x", b"", makepath=True)
    (tmp_path / "ha" / tmp_path.name / "blob").mkdir(parents=True)
    leader.finish.set_result(Finish(3, "its job has failed", gone=True, said="FAILED"))
    await leader.outcome
    assert await standby.outcome == Finish(3, "its job has failed", gone=True, said="FAILED")
    assert not standby.leads
    assert await tree(server, flinks.path) == []
    assert await tree(server, f"/flink/mesos-workers/{tmp_path.name}") == []
    assert list((tmp_path / "ha").iterdir()) == []


async def test_who_comes_after_an_end_begins_a_new_cluster(instances: Instances) -> None:
    leader, standby = await instances.pair()
    later = instances.start("later")
    await until(later.leadership._election.leader)
    leader.finish.set_result(Finish(0, "gone", gone=True))
    await asyncio.gather(leader.outcome, standby.outcome, later.outcome)
    again = instances.start("leader")
    await until(lambda: again.leads)
    assert again.content == {}
    again.finish.set_result(Finish(0, "gone", gone=True))
    assert await again.outcome == Finish(0, "gone", gone=True)


JOB_DONE = Finish(0, "its job has finished", gone=True, said="SUCCEEDED")


async def test_a_job_that_has_ended_is_not_begun_by_a_standby_nor_by_a_later_task(
    instances: Instances, server: ZooKeeper, cluster: Cluster
) -> None:
    leader, standby = await instances.pair("job 1")
    leader.finish.set_result(JOB_DONE)
    assert await leader.outcome == JOB_DONE
    assert await standby.outcome == JOB_DONE
    later = instances.start("later", "job 1")
    assert await later.outcome == JOB_DONE
    assert [one.told for one in (standby, later)] == [[leader.result]] * 2
    assert not standby.leads
    assert not later.leads
    assert [one.cleared for one in (leader, standby, later)] == [["before"]] * 3
    await later.leadership.forget()  # its app is destroyed
    await standby.leadership.forget()
    address = zookeeper_ha.store_address(cluster.given)
    assert address is not None
    assert await tree(server, address.path) == []


async def test_another_job_of_the_same_name_runs(instances: Instances) -> None:
    first = instances.start("first", "job 1")
    await until(lambda: first.leads)
    first.finish.set_result(JOB_DONE)
    await first.outcome
    second = instances.start("second", "job 2")
    await until(lambda: second.leads)
    assert (second.content, second.told) == ({}, [])
    await first.leadership.forget()  # it comes late, and this is not its own any more
    second.finish.set_result(ANOTHER)
    assert await second.outcome == ANOTHER


async def test_a_leader_that_dies_when_all_is_said_leaves_no_job_to_begin(
    instances: Instances, server: ZooKeeper, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither Flink's znodes nor the store's are removed by it; the standby does that."""
    leader, standby = await instances.pair("job 1")
    flinks = zookeeper_ha.flinks_address(cluster.given)
    assert flinks is not None
    await leader.leadership._session.call("create", f"{flinks.path}/jobgraphs/x", b"", makepath=True)

    async def dies(finish: Finish) -> None:
        await leader.leadership._session.close()

    monkeypatch.setattr(leader.leadership, "_leave", dies)
    leader.finish.set_result(JOB_DONE)
    assert await standby.outcome == JOB_DONE
    assert standby.told == [leader.result]
    assert await tree(server, flinks.path) == []


async def test_sigterm_to_a_standby_is_its_own_end_alone(instances: Instances) -> None:
    leader, standby = await instances.pair()
    standby.stop.set()
    assert await standby.outcome is None
    assert not leader.outcome.done()
    assert not standby.leads


async def test_killed_and_started_again_it_leads_still(instances: Instances) -> None:
    leader, standby = await instances.pair()
    session = leader.leadership._session
    session._client._stopped.set()  # its connection breaks, its session stays: as after SIGKILL
    session._client._connection._socket.shutdown(socket.SHUT_RDWR)
    leader.outcome.cancel()
    again = instances.start("leader")
    await until(lambda: again.leads)
    assert again.leadership._election.node == leader.leadership._election.node
    assert not standby.leads
    await until(session._client._connection.connection_stopped.is_set)
    session._client.handler.stop()


async def test_a_lost_session_ends_the_process_for_a_new_start(
    instances: Instances, caplog: pytest.LogCaptureFixture
) -> None:
    leader, standby = await instances.pair()
    session = leader.leadership._session
    thief = Session(session.address, timeout=30, resume=session.id)
    await thief.open()
    await thief.close()  # ends the session under its owner
    assert await leader.outcome == Finish(EXIT_TRY_AGAIN, "exit")
    assert "begins again as a standby" in caplog.text
    await until(lambda: standby.leads)


async def test_s2_4_a_store_of_something_else_is_refused_at_the_door(
    instances: Instances, server: ZooKeeper, cluster: Cluster, tmp_path: Path
) -> None:
    address = zookeeper_ha.store_address(cluster.given)
    assert address is not None
    session = Session(address, timeout=30)
    await session.open()
    await session.call("create", f"{address.path}/frameworkId", os.urandom(8), makepath=True)
    await session.close()
    with pytest.raises(StoreError, match=f"znode {address.path} holds frameworkId, which no Headrace has put there"):
        await instances.start("a").outcome
    assert await tree(server, address.path) == [address.path, f"{address.path}/frameworkId"]
