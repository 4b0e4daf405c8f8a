"""Every option of the table that is supported changes something that others can see.

An option that is accepted but has no effect would be a lie; this is where it is found out. Options that are
read before a cluster is made (where Flink, Java and the store are) have their own tests, named here.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headrace.flink import distribution
from headrace.flink.appmaster import daemon, events, records
from headrace.flink.appmaster.events import Finish
from headrace.flink.appmaster.placement import place
from headrace.flink.appmaster.plan import Plan
from headrace.flink.options import TABLE, Option, check_names
from headrace.kernel.core import TimerFired
from headrace.kernel.daemon import UserError
from headrace.kernel.store import StoreError
from tests.unit.flink import appmaster_helpers as helpers
from tests.unit.flink.observing import Built, rich_offer

RM = "mesos.resourcemanager."
TASKS = RM + "tasks."
DOCKER = {TASKS + "container.type": "docker", TASKS + "container.image.name": "flink:1.20"}
SERVER = "headrace.artifactserver."
CERTIFICATE = {SERVER + "ssl.certificate": "/c.pem"}

# what is tried: the option's value, and options that it needs; FILE is a file that exists, DIRECTORY one of Hadoop's
EFFECTS: dict[str, tuple[str, dict[str, str]]] = {
    "mesos.master": ("other:5050", {}),
    "mesos.initial-tasks": ("3", {}),
    "mesos.maximum-failed-tasks": ("2", {}),
    "mesos.failover-timeout": ("77", {}),
    RM + "framework.name": ("mine", {}),
    RM + "framework.role": ("analytics", {}),
    RM + "framework.user": ("nobody", {}),
    RM + "framework.principal": ("flink", {}),
    RM + "framework.secret": ("s3cret", {RM + "framework.principal": "flink"}),
    "headrace.framework.secret-file": ("FILE", {RM + "framework.principal": "flink"}),
    RM + "artifactserver.port": ("7001", {}),
    RM + "artifactserver.ssl.enabled": ("false", CERTIFICATE),
    SERVER + "ssl.certificate": ("/c.pem", {}),
    SERVER + "ssl.key": ("/k.pem", CERTIFICATE),
    SERVER + "bind-host": ("0.0.0.0", {}),
    SERVER + "address": ("nat.example:7002", {}),
    RM + "declined-offer-refuse-duration": ("5000", {}),
    TASKS + "cpus": ("2.5", {}),
    TASKS + "mem": ("2048", {}),
    TASKS + "disk": ("100", {}),
    TASKS + "gpus": ("1", {}),
    TASKS + "network.bandwidth": ("10", {}),
    RM + "network.resource.name": ("bandwidth", {TASKS + "network.bandwidth": "10"}),
    TASKS + "hostname": ("_TASK_.flink.mesos", {}),
    TASKS + "port-assignments": ("metrics.reporter.prom.port", {}),
    TASKS + "bootstrap-cmd": ("ulimit -n 1000", {}),
    TASKS + "taskmanager-cmd": ("/opt/flink/bin/taskmanager.sh start-foreground", {}),
    TASKS + "uris": ("http://h/a.tgz", {}),
    TASKS + "user": ("nobody", {}),
    TASKS + "labels": ("team:data", {}),
    "headrace.taskmanager.flink-home": ("/usr/lib/flink", {}),
    TASKS + "container.type": ("docker", {TASKS + "container.image.name": "flink:1.20"}),
    TASKS + "container.image.name": ("flink:1.20", {}),
    TASKS + "container.volumes": ("/data:/data:RO", {}),
    TASKS + "container.docker.parameters": ("cap-add=SYS_PTRACE", DOCKER),
    TASKS + "container.docker.force-pull-image": ("true", DOCKER),
    "headrace.container.docker.network": ("bridge", DOCKER),
    "mesos.constraints.hard.hostattribute": ("rack:a", {}),
    "headrace.constraints.soft.hostattribute": ("rack:a", {}),
    "headrace.constraints.unique": ("HOSTNAME", {}),
    "headrace.constraints.spread": ("rack", {}),
    "jobmanager.rpc.address": ("jm.example", {}),
    "jobmanager.bind-host": ("0.0.0.0", {}),
    "jobmanager.rpc.port": ("6123", {}),
    "rest.port": ("8081", {}),
    "jobmanager.memory.process.size": ("2g", {}),
    "jobmanager.heap.size": ("2g", {}),
    "jobmanager.heap.mb": ("2048", {}),
    "taskmanager.memory.process.size": ("2g", {}),
    "taskmanager.heap.size": ("2g", {}),
    "taskmanager.heap.mb": ("2048", {}),
    "taskmanager.cpu.cores": ("2", {}),
    "taskmanager.numberOfTaskSlots": ("2", {}),
    "taskmanager.registration.timeout": ("7 min", {}),
    "resourcemanager.taskmanager-timeout": ("7 min", {}),
    "high-availability.type": ("zookeeper", {"high-availability.cluster-id": "/one"}),
    "high-availability.cluster-id": ("/two", {}),
    "high-availability.storageDir": ("file:///shared", {}),
    "containerized.taskmanager.env.<NAME>": ("a $b", {}),
    "containerized.master.env.<NAME>": ("a $b", {}),
    "env.java.home": ("/jdk", {}),
    "env.java.opts.all": ("-Dx=y", {}),
    "env.java.opts": ("-Dx=y", {}),
    "env.java.opts.jobmanager": ("-Dx=y", {}),
    "env.java.opts.taskmanager": ("-Dx=y", {}),
    "fs.hdfs.hadoopconf": ("DIRECTORY", {}),
    "security.kerberos.login.keytab": ("FILE", {"security.kerberos.login.principal": "flink"}),
    "security.kerberos.krb5-conf.path": ("FILE", {}),
    **{
        f"security.ssl.{side}{kind}": ("FILE", {})
        for side in ("", "internal.", "rest.")
        for kind in ("keystore", "truststore")
    },
    "headrace.appmaster.on-stop": ("suspend", {}),
    "headrace.sql.warm-up": ("false", {}),
}
JOBS = {"internal.jobgraph-path", "headrace.cluster.type"} | {
    f"headrace.job.{name}" for name in ("jar", "class", "arguments", "sql", "python", "when-done")
}
"""Of job clusters; ``test_job`` has a test for each."""
ZOOKEEPER = {"headrace.appmaster.session-timeout"} | {
    f"high-availability.zookeeper.{name}"
    for name in ("quorum", "path.root", "path.mesos-workers", "client.session-timeout", "client.acl")
}
"""``test_zookeeper_ha`` has a test for each."""
BEFORE = (
    {"headrace.flink.home", "headrace.flink.version", "headrace.appmaster.store", "headrace.jvm.archive"}
    | JOBS
    | ZOOKEEPER
)
"""Read before there is a cluster; each has a test below, in ``test_distribution`` or in ``test_archives``."""
FLINKS_OWN = {
    "taskmanager.registration.timeout",
    "resourcemanager.taskmanager-timeout",
    "taskmanager.numberOfTaskSlots",
    "taskmanager.cpu.cores",
    "high-availability.cluster-id",
    "high-availability.storageDir",
    "jobmanager.bind-host",
    "headrace.sql.warm-up",  # the driver's
}
"""What Flink does with these is their effect; handing on others is none."""


SUPPORTED = [option for option in TABLE if option.supported]


def test_every_supported_option_is_tried() -> None:
    assert set(EFFECTS) | BEFORE == {option.name for option in SUPPORTED}


def test_every_other_option_says_why_not() -> None:
    for option in TABLE:
        if not option.supported:
            for name in (option.name, *option.aliases):
                with pytest.raises(UserError, match=f"{name} is not supported: ") as error:
                    check_names({name: "1"})
                assert option.refused in str(error.value)


def real(value: str, directory: Path) -> str:
    """The value with a file or directory that exists."""
    if value == "DIRECTORY":
        for name in ("core-site.xml", "hdfs-site.xml"):
            (directory / name).write_text("<configuration/>")
        return str(directory)
    if value == "FILE":
        (directory / "file").write_text("content")
        return str(directory / "file")
    return value


def built(options: dict[str, str], directory: Path) -> Built:
    return Built(
        [f"-D{key.replace('<NAME>', 'N')}={real(value, directory)}" for key, value in options.items()], directory
    )


@pytest.mark.parametrize(
    ("name", "tried"),
    [(name, option.name) for option in SUPPORTED if option.name in EFFECTS for name in (option.name, *option.aliases)],
)
def test_it_changes_something(name: str, tried: str, tmp_path: Path) -> None:
    value, needs = EFFECTS[tried]
    without, with_it = built(needs, tmp_path).observed(), built({**needs, name: value}, tmp_path).observed()
    if tried not in FLINKS_OWN:
        for seen in (without, with_it):
            for process in ("job manager", "task manager"):
                for key in (tried, tried.replace("<NAME>", "N")):
                    seen[process].pop(key, None)
    assert [what for what in without if without[what] != with_it[what]], f"{name} is accepted but changes nothing"


@pytest.mark.parametrize("option", SUPPORTED, ids=lambda option: option.name)
def test_it_is_kept_from_task_managers_if_it_is_ours(option: Option, tmp_path: Path) -> None:
    if option.name in EFFECTS:
        value, needs = EFFECTS[option.name]
        shipped = built({**needs, option.name: value}, tmp_path).task_manager_options
        assert not any(key.startswith(("mesos.", "headrace.")) for key in shipped)


def test_flink_home(tmp_path: Path) -> None:
    lib = tmp_path / "f" / "lib"
    lib.mkdir(parents=True)
    (lib / "flink-dist-1.20.5.jar").touch()
    found = distribution.find_flink({"headrace.flink.home": str(tmp_path / "f")}, {}, lambda name: None)
    assert found.home == tmp_path / "f"


async def test_store(tmp_path: Path) -> None:
    """Its scheme is not known: that is said, so it was asked."""
    it = built({"headrace.appmaster.store": "nonsense://x"}, tmp_path)
    plan = Plan(it.cluster, it.flink, tmp_path, it.shipment)
    with pytest.raises(StoreError, match="nonsense://x"):
        await daemon.serve(asyncio.Event(), plan, tmp_path, {})


# what the core does with them


@pytest.mark.parametrize(("limit", "failures", "ends"), [(1, 1, False), (1, 2, True), (0, 1, True), (-1, 9, False)])
def test_maximum_failed_tasks(tmp_path: Path, limit: int, failures: int, ends: bool) -> None:
    core = built({"mesos.maximum-failed-tasks": str(limit)}, tmp_path).core()
    content: dict[str, bytes] = {}
    effects = helpers.drive(core, events.Started(job_manager_alive=True), events.MasterConnected("fw"))
    for number in range(failures):
        name = helpers.worker(number).id
        effects += helpers.drive(
            core,
            events.WorkerRequested(1, helpers.worker(number)),
            TimerFired("gather"),
            events.OffersReceived([helpers.offer(number)]),
            events.StatusReceived(helpers.status(name, "TASK_FAILED")),
        )
    helpers.apply(effects, content)
    assert bool(helpers.calls(effects, "TEARDOWN")) is ends
    assert records.recover(content).failed == (failures if limit >= 0 else 0)
    done = helpers.drive(core, TimerFired("stop")) if ends else []
    assert [finish.status for finish in helpers.of(done, Finish)] == ([3] if ends else [])


def test_failures_outlive_the_application_master() -> None:
    assert records.recover({"failed": b"4"}).failed == 4


def test_hard_constraint_is_told_as_the_reason(tmp_path: Path) -> None:
    terms = built({"mesos.constraints.hard.hostattribute": "rack:b,HOSTNAME:h9"}, tmp_path).terms
    refusals = helpers.reasons(place([helpers.worker(1)], [rich_offer()], {}, terms))
    assert refusals == {helpers.worker(1).id: {"host-1": "attribute rack is a, not b; is not host h9"}}
