"""TaskManagers in Docker containers on a real engine: with Flink in the image or shipped, in two networks.

The image holds Java of this machine; where it is to hold Flink, a volume puts it there.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.docker_harness import TestEngine, running_engine
from tests.cluster.flink_counting import CountingJob, numbers
from tests.cluster.flink_harness import JVM_WAIT, AppMaster, app_master, flink, task_manager_pids
from tests.cluster.harness import RESOURCES, Cluster, cluster, get, wait_for
from tests.cluster.house import HEADRACE

JAVA = "headrace/java:1"
CONTAINER = "mesos.resourcemanager.tasks.container."
IN_DOCKER = {
    CONTAINER + "type": "docker",
    CONTAINER + "image.name": JAVA,
    "mesos.initial-tasks": 1,
}


@pytest.fixture(scope="module")
def engine() -> Iterator[TestEngine]:
    with running_engine() as it:
        asyncio.run(it.import_java(JAVA))
        yield it


@pytest.fixture(scope="module")
def mesos(engine: TestEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Its agent is known by an address that containers can reach."""
    with cluster(tmp_path_factory.mktemp("containers"), agents=0) as it:
        it.add_agent(
            f"--resources={RESOURCES}",
            "--containerizers=mesos,docker",
            f"--docker_socket={engine.socket}",
            f"--hostname={engine.address}",
        )
        yield it


@pytest.fixture(scope="module")
def bridged(mesos: Cluster, engine: TestEngine) -> Iterator[AppMaster]:
    """Two TaskManagers in a network of their own, with a Flink that is shipped."""
    options = {
        **IN_DOCKER,
        "mesos.initial-tasks": 2,
        "headrace.container.docker.network": "bridge",
        "headrace.taskmanager.flink-home": "",
        "high-availability.cluster-id": "bridged",
        "jobmanager.rpc.address": engine.address,
    }
    with app_master(mesos.directory / "bridged", mesos.master.url, **options) as it:
        yield it


@pytest.fixture(scope="module")
def session(mesos: Cluster, engine: TestEngine, bridged: AppMaster) -> Iterator[AppMaster]:
    """One TaskManager in the machine's network, with a Flink that is there. ``bridged`` starts meanwhile."""
    home = flink().home
    options = {
        **IN_DOCKER,
        CONTAINER + "volumes": f"{home}:/opt/flink:RO,{mesos.directory}:{mesos.directory}",
        CONTAINER + "docker.parameters": "label=team=data,env=GREETING=a=b",
        "jobmanager.rpc.address": engine.address,
    }
    with app_master(mesos.directory / "session", mesos.master.url, **options) as it:
        it.wait_for_task_managers(1)
        yield it


def containers(engine: TestEngine) -> dict[str, Any]:
    """What the engine says of running containers, by task."""
    found = asyncio.run(engine.call("GET", "/containers/json"))
    return {f"{it['Labels']['headrace.framework']}/{it['Labels']['headrace.task']}": it for it in found}


def container(engine: TestEngine, it: AppMaster, worker: str) -> Any:
    (key,) = [key for key in containers(engine) if key == f"{it.state['framework_id']}/{worker}"]
    return asyncio.run(engine.call("GET", f"/containers/{containers(engine)[key]['Id']}/json"))


def test_s0_10_nothing_is_shipped_where_the_image_holds_flink(engine: TestEngine, session: AppMaster) -> None:
    (worker,) = session.wait_for_task_managers(1)
    inside = container(engine, session, worker)
    (sandbox,) = [Path(it["Source"]) for it in inside["Mounts"] if it["Destination"] == "/mnt/mesos/sandbox"]
    assert not (sandbox / "flink").exists()
    assert {path.name for path in (sandbox / "conf").iterdir()} >= {"config.yaml"}
    assert inside["HostConfig"]["NetworkMode"] == "host"
    assert inside["HostConfig"]["Memory"] == 800 * 1024 * 1024
    assert inside["Config"]["Labels"]["team"] == "data"
    assert "GREETING=a=b" in inside["Config"]["Env"]
    (pid,) = task_manager_pids(worker)[:1]
    assert Path(f"/proc/{pid}/exe").readlink() == Path("/opt/java/bin/java")


def test_s0_25_a_job_goes_on_when_its_container_is_killed(
    mesos: Cluster, engine: TestEngine, session: AppMaster
) -> None:
    job = CountingJob(session, mesos.master.url, mesos.directory)
    (worker,) = session.wait_for_task_managers(1)
    killed = container(engine, session, worker)["Id"]
    asyncio.run(engine.call("POST", f"/containers/{killed}/kill"))
    wait_for(lambda: worker not in [w["id"] for w in session.workers()], "its end is known")
    (other,) = session.wait_for_task_managers(1)
    assert other > worker
    wait_for(job.runs, "the job runs again", JVM_WAIT)
    job.wait_until_it_goes_on()
    written = numbers(job.directory)
    assert written == list(range(len(written)))


def test_s0_25_shipped_flink_in_a_bridged_network(mesos: Cluster, engine: TestEngine, bridged: AppMaster) -> None:
    """TaskManagers reach each other, and the JobManager their metrics, by mapped ports."""
    workers = bridged.wait_for_task_managers(2)
    inside = [container(engine, bridged, worker) for worker in workers]
    addresses = {it["NetworkSettings"]["IPAddress"] for it in inside}
    assert len(addresses) == 2
    assert all(address.startswith("10.213.") for address in addresses)
    sql = """
    SET 'parallelism.default' = '2';
    CREATE TABLE a (n BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '1000');
    CREATE TABLE b (m BIGINT, c BIGINT) WITH ('connector' = 'blackhole');
    INSERT INTO b SELECT MOD(n, 10), COUNT(*) FROM a GROUP BY MOD(n, 10);
    """
    command = [str(HEADRACE), "flink", "sql", "--master", mesos.master.url, "--cluster", "bridged", "-e", sql]
    subprocess.run(command, check=True, timeout=JVM_WAIT, stdout=subprocess.DEVNULL)
    (job,) = wait_for(lambda: get(bridged.web + "/jobs/overview")["jobs"], "there is the job")
    overview = f"{bridged.web}/jobs/{job['jid']}"
    wait_for(lambda: get(overview)["state"] == "FINISHED", f"it finishes; see {bridged.sandbox}", JVM_WAIT)
    metrics = f"{bridged.web}/taskmanagers/{workers[0]}/metrics?get=Status.JVM.Threads.Count"
    wait_for(lambda: get(metrics), "its metrics are known")


def test_s0_25_containers_end_with_their_cluster(engine: TestEngine, session: AppMaster, bridged: AppMaster) -> None:
    session.wait_for_task_managers(1)
    bridged.wait_for_task_managers(2)
    assert len(containers(engine)) == 3
    for it in (session, bridged):
        assert it.stop() == 0
    wait_for(lambda: not containers(engine), "no container runs")
