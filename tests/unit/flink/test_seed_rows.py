"""One test per row of what the seeds say, as far as it can be told without real processes.

S0 is the Flink-on-Mesos guide, S2 the guide to Marathon and Flink; numbers are those of the reference's §4.
Rows about real processes are in tests/cluster; rows about deployment in the deploy tools' tests.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from headrace.flink import address
from headrace.flink.appmaster import core as core_module
from headrace.flink.appmaster import events
from headrace.flink.appmaster.events import Goal
from headrace.flink.appmaster.placement import place
from headrace.flink.appmaster.records import Recovered
from headrace.flink.appmaster.tasks import task_info
from headrace.flink.jvm import JOB_MANAGER_MAIN, TASK_MANAGER_MAIN
from headrace.flink.memory import MIB
from headrace.flink.options import parse_arguments
from headrace.kernel.core import Reply, TimerFired
from headrace.kernel.daemon import UserError
from headrace.mesos.masters import master_url
from scripts import reference
from tests.unit.flink.appmaster_helpers import calls, drive, make, of, offer, running, status, told, worker
from tests.unit.flink.observing import Built, rich_offer

TASKS = "-Dmesos.resourcemanager.tasks."
MARATHON = {"HOST": "SZV1000265118", "MARATHON_APP_ID": "/flink/flink1", "MARATHON_APP_RESOURCE_MEM": "1024.0"}

SEED_GENERAL = (
    "-Dmesos.master=master.foobar.org:5050 -Djobmanager.heap.size=1024m -Djobmanager.rpc.port=6123 -Drest.port=8081 "
    "-Dmesos.resourcemanager.tasks.mem=4096 -Dtaskmanager.heap.size=3500m -Dtaskmanager.numberOfTaskSlots=2 "
    "-Dparallelism.default=10"
)
SEED_MARATHON = """{
    "id": "flink",
    "cmd": "$FLINK_HOME/bin/mesos-appmaster.sh -Djobmanager.heap.size=1024m -Djobmanager.rpc.port=6123 \
-Drest.port=8081 -Dmesos.resourcemanager.tasks.mem=1024 -Dtaskmanager.heap.mb=1024 \
-Dtaskmanager.numberOfTaskSlots=2 -Dparallelism.default=2 -Dmesos.resourcemanager.tasks.cpus=1",
    "cpus": 1.0,
    "mem": 1024
}"""
FLINK1 = """{
  "id": "/flink/flink1",
  "cmd": "/home/flink-1.2.0/bin/mesos-appmaster.sh -Dmesos.master=10.120.177.85:5050 -Dmesos.initial-tasks=3 \
-Dmesos.resourcemanager.tasks.cpus=1.0 -Dmesos.resourcemanager.tasks.mem=1024 -Djobmanager.web.port=-1",
  "cpus": 1, "mem": 1024, "disk": 2048, "instances": 1
}"""
FLINK2 = FLINK1.replace("flink1", "flink2").replace("web.port=-1", "web.port=-1 -Djobmanager.rpc.port=6124")


def arguments(definition: str) -> list[str]:
    return list(json.loads(definition)["cmd"].split()[1:])


def flinks_uris(built: Built) -> list[str]:
    return [uri.output_file or "" for uri in built.uris if (uri.output_file or "").startswith("flink/")]


# S0, the guide to Flink on Mesos


def test_s0_1_workers_are_plain_task_managers(tmp_path: Path) -> None:
    assert TASK_MANAGER_MAIN == "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    assert TASK_MANAGER_MAIN in Built([], tmp_path).words()


def test_s0_2_scheduler_asks_for_resources_and_launches() -> None:
    core = running()
    assert calls(drive(core, events.WorkerRequested(1, worker(1))), "REVIVE")
    drive(core, TimerFired("gather"))
    effects = drive(core, events.OffersReceived([offer(1)]))
    assert calls(effects, "ACCEPT")
    assert calls(effects, "SUPPRESS")


def test_s0_3_a_broken_subscription_costs_no_worker() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    effects = drive(core, events.MasterDisconnected("broken"), events.MasterConnected("fw"))
    assert not told(effects)
    assert {call.type for call in calls(effects)} <= {"RECONCILE", "SUPPRESS", "UPDATE_FRAMEWORK"}


def test_s0_4_failed_workers_are_told_to_flink_which_replaces_them() -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    effects = drive(core, events.StatusReceived(status(worker(1).id, "TASK_FAILED")))
    assert told(effects) == [("terminated", worker(1).id)]


def test_s0_5_framework_id_and_workers_are_recovered() -> None:
    core = make(Recovered(1, "fw", workers=[worker(1, goal=Goal.LAUNCHED)]))
    (reply,) = of(drive(core, events.Started(job_manager_alive=True), events.StateAsked(1)), Reply)
    assert reply.value["framework_id"] == "fw"
    assert [known["id"] for known in reply.value["workers"]] == [worker(1).id]


def test_s0_6_ends_for_which_a_supervisor_is_needed_are_no_success() -> None:
    assert 0 < core_module.EXIT_FAILED < 128
    assert 0 < core_module.EXIT_JOB_MANAGER < 128


def test_s0_7_reconciliation_follows_registration() -> None:
    core = make(Recovered(1, "fw", workers=[worker(1, goal=Goal.LAUNCHED)]))
    drive(core, events.Started(job_manager_alive=True))
    asked = [call.reconcile for call in calls(drive(core, events.MasterConnected("fw")), "RECONCILE")]
    names = [[task.task_id.value for task in (one.tasks if one else None) or ()] for one in asked]
    assert sorted(names) == [[], [worker(1).id]]  # what is known, and whatever else there is


@pytest.mark.parametrize(
    ("stored", "state", "killed", "terminated", "left"),
    [
        (Goal.LAUNCHED, "TASK_RUNNING", False, False, True),
        (Goal.LAUNCHED, "TASK_LOST", False, True, False),
        (Goal.LAUNCHED, "TASK_FINISHED", False, True, False),
        (Goal.RELEASED, "TASK_RUNNING", True, False, True),
        (Goal.RELEASED, "TASK_LOST", False, False, False),
        (Goal.RELEASED, "TASK_FINISHED", False, False, False),
        (None, "TASK_RUNNING", True, False, False),
        (None, "TASK_LOST", False, False, False),
        (None, "TASK_FINISHED", False, False, False),
    ],
)
def test_s0_8_what_runs_is_matched_with_what_is_stored(
    stored: Goal | None, state: str, killed: bool, terminated: bool, left: bool
) -> None:
    core = running([worker(1, goal=stored)] if stored else [])
    effects = drive(core, events.StatusReceived(status(worker(1).id, state)), events.StateAsked(1))
    assert bool(calls(effects, "KILL")) is killed
    assert [kind for kind, _ in told(effects) if kind == "terminated"] == ["terminated"] * terminated
    assert bool(of(effects, Reply)[0].value["workers"]) is left


def test_s0_9_artifacts_are_binaries_configuration_and_secrets(tmp_path: Path) -> None:
    keytab = tmp_path / "k"
    keytab.touch()
    kerberos = [f"-Dsecurity.kerberos.login.keytab={keytab}", "-Dsecurity.kerberos.login.principal=flink"]
    built = Built(kerberos, tmp_path)
    assert {uri.output_file for uri in built.uris} == {
        "flink/lib/flink-csv.jar",
        "flink/lib/flink-dist-1.20.5.jar",
        "secrets/krb5.keytab",
    }


def test_s0_10_flink_is_shipped_unless_the_image_has_it(tmp_path: Path) -> None:
    assert len(flinks_uris(Built([], tmp_path))) == 2
    image = TASKS + "container.image.name=flink:1.20"
    assert not flinks_uris(Built([image], tmp_path))
    assert "/opt/flink" in Built([image], tmp_path).words()
    assert len(flinks_uris(Built([image, "-Dheadrace.taskmanager.flink-home="], tmp_path))) == 2


def test_s0_11_dashboard_is_shown_in_mesos() -> None:
    effects = drive(running(), events.MasterConnected("fw"))
    assert of(effects, events.ShowWebUi)[0].url == "http://127.0.0.1:8081"


def test_s0_12_configuration_is_inherited_by_workers(tmp_path: Path) -> None:
    built = Built(["-Dstate.backend.type=rocksdb"], tmp_path)
    assert built.task_manager_options["state.backend.type"] == "rocksdb"
    assert not any("rocksdb" in word for word in built.words())


def test_s0_13_overlays_say_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"security\.ssl\.internal\.keystore: /no/where"):
        Built(["-Dsecurity.ssl.internal.keystore=/no/where"], tmp_path)


def test_s0_14_marathons_environment_is_honoured(tmp_path: Path) -> None:
    cluster = Built([], tmp_path, {**MARATHON, "PORT0": "31007"}).cluster
    assert (cluster.host, cluster.rest_port, cluster.cluster_id) == ("szv1000265118", 31007, "/flink/flink1")


def test_s0_20_the_native_library_is_not_needed(tmp_path: Path) -> None:
    environment = {"MESOS_NATIVE_JAVA_LIBRARY": "/no/libmesos.so"}
    assert Built([], tmp_path, environment).observed() == Built([], tmp_path).observed()


def test_s0_23_flink_may_be_installed_on_agents(tmp_path: Path) -> None:
    built = Built(["-Dheadrace.taskmanager.flink-home=/opt/flink-1.20"], tmp_path)
    assert not built.uris
    assert "/opt/flink-1.20" in built.words()
    command = "/opt/flink-1.20/bin/taskmanager.sh start-foreground"
    own = Built([TASKS + f"taskmanager-cmd={command}", "-Dheadrace.taskmanager.flink-home=/opt/flink-1.20"], tmp_path)
    assert command in own.words()
    assert TASK_MANAGER_MAIN not in own.words()
    assert "taskmanager.rpc.port=31000" in own.words()


def test_s0_24_flink_may_come_from_an_archive(tmp_path: Path) -> None:
    built = Built(
        [
            TASKS + "uris=https://h/flink-1.20.5-bin.tgz, http://h/x.jar",
            TASKS + "bootstrap-cmd=sed -i s/a/b/ flink-1.20.5/conf/config.yaml",
            "-Dheadrace.taskmanager.flink-home=flink-1.20.5",
        ],
        tmp_path,
    )
    assert [(uri.value, uri.extract) for uri in built.uris] == [
        ("https://h/flink-1.20.5-bin.tgz", None),
        ("http://h/x.jar", None),
    ]
    assert "sed -i s/a/b/ flink-1.20.5/conf/config.yaml" in built.words()


@pytest.mark.parametrize("kind", ["mesos", "docker"])
def test_s0_25_containers(tmp_path: Path, kind: str) -> None:
    built = Built([TASKS + f"container.type={kind}", TASKS + "container.image.name=flink:1.20"], tmp_path)
    container, command = built.task().container, built.task().command
    assert container is not None
    assert command is not None
    assert container.type == kind.upper()
    assert (command.shell is False) is (kind == "mesos")
    assert TASK_MANAGER_MAIN in built.words()
    assert built.words()[:2] == (["exec", "/bin/sh"] if kind == "docker" else ["sh", "-c"])


def test_s0_25_no_container_without_an_image(tmp_path: Path) -> None:
    assert Built([], tmp_path).task().container is None


def test_s0_25_in_a_docker_network_the_task_manager_listens_everywhere_and_its_ports_are_mapped(tmp_path: Path) -> None:
    image = [TASKS + "container.type=docker", TASKS + "container.image.name=flink:1.20"]
    bridged, hosted = Built([*image, "-Dheadrace.container.docker.network=bridge"], tmp_path), Built(image, tmp_path)
    for word in ("taskmanager.host=host-1", "taskmanager.bind-host=0.0.0.0", "taskmanager.data.port=31001"):
        assert word in bridged.words()
    container = bridged.task().container
    assert container is not None
    assert container.docker is not None
    assert [mapping.host_port for mapping in container.docker.port_mappings or ()] == [31000, 31001, 31002]
    assert "metrics.internal.query-service.port=31002" in bridged.words()
    assert "taskmanager.bind-host=host-1" in hosted.words()


def test_s0_25_java_of_this_machine_is_not_that_of_an_image(tmp_path: Path) -> None:
    assert "/jdk" in Built(["-Denv.java.home=/jdk"], tmp_path).words()
    assert "/jdk" not in Built(["-Denv.java.home=/jdk", TASKS + "container.image.name=i"], tmp_path).words()


def test_s0_26_docker_needs_an_image(tmp_path: Path) -> None:
    expected = "mesos.resourcemanager.tasks.container.image.name must be specified for docker container type"
    with pytest.raises(UserError) as error:
        Built([TASKS + "container.type=docker"], tmp_path)
    assert str(error.value) == expected


def test_s0_27_idle_task_managers_are_kept_for_the_next_job(tmp_path: Path) -> None:
    assert Built([], tmp_path).job_manager_options["resourcemanager.taskmanager-timeout"] == "30 s"


def test_s0_28_grammar_of_the_command_line() -> None:
    given = ["-Dmesos.master=h:1", "-Da", "-Db=c=d", "-D", "e=f", "-Dg="]
    assert parse_arguments(given) == {"mesos.master": "h:1", "a": "true", "b": "c=d", "e": "f", "g": ""}


def test_s0_29_the_workers_entry_point_is_launched_automatically(tmp_path: Path) -> None:
    originals = Built([TASKS + "taskmanager-cmd=$FLINK_HOME/bin/mesos-taskmanager.sh"], tmp_path)
    assert originals.task() == Built([], tmp_path).task()
    assert "-Dlog.file=taskmanager.log" in originals.words()


def test_s0_30_master_must_be_configured(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mesos\.master must be configured"):
        Built(["-Dmesos.master="], tmp_path)
    (tmp_path / "master").write_text("h:5050\n")
    assert Built([f"-Dmesos.master=file://{tmp_path}/master"], tmp_path).cluster.master == "h:5050"
    (tmp_path / "flink-conf.yaml").write_text("mesos.master: of-file:5050\n")
    environment = {"FLINK_CONF_DIR": str(tmp_path)}
    assert Built([], tmp_path, environment).cluster.master == "m:5050"
    assert [master_url(text) for text in ("h:1", "http://h:1")] == ["http://h:1"] * 2


def test_s0_31_the_job_manager_is_started_here(tmp_path: Path) -> None:
    assert of(drive(make(), events.Started(job_manager_alive=False)), events.StartJobManager)
    assert JOB_MANAGER_MAIN in Built([], tmp_path).job_manager_command


def test_s0_33_misspelling_of_the_guide_gets_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it is spelt internal\.jobgraph-path"):
        Built(["-Dinterval.jobgraph-path=job.graph"], tmp_path)


def test_s0_36_user_code_goes_everywhere(tmp_path: Path) -> None:
    for name in ("lib", "usrlib"):
        (tmp_path / "flink" / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "flink/usrlib/job.jar").touch()
    assert "usrlib/job.jar" in {uri.output_file for uri in Built([], tmp_path).uris}


def test_s0_37_nine_options_of_the_guide(tmp_path: Path) -> None:
    built = Built(SEED_GENERAL.split(), tmp_path)
    cluster = built.cluster
    assert (cluster.master, cluster.rpc_port, cluster.rest_port) == ("master.foobar.org:5050", 6123, 8081)
    assert cluster.job_manager_memory.process == 1024 * MIB
    manager = built.job_manager_options
    assert manager["taskmanager.memory.process.size"] == f"{4096 * MIB}b"
    assert manager["taskmanager.numberOfTaskSlots"] == "2"
    assert manager["parallelism.default"] == "10"
    assert "headrace.taskmanager.cpus" not in manager  # one per slot
    (seat,) = place([worker(1, cpus=2, mem=4096)], [offer(1)], {}, built.terms).seats
    assert [(one.name, one.scalar and one.scalar.value) for one in seat.resources][:3] == [
        ("ports", None),
        ("cpus", 2.0),
        ("mem", 4096.0),
    ]
    assert len(seat.ports) == 2


def test_s0_37_contradictions_name_both_numbers(tmp_path: Path) -> None:
    contradiction = SEED_GENERAL.replace("3500m", "5000m").split()
    with pytest.raises(UserError, match=r"taskmanager\.heap\.size is 5000 MiB, more than the 4096 MiB"):
        Built(contradiction, tmp_path)


def test_s0_37_the_command_line_wins_over_flinks_own_files(tmp_path: Path) -> None:
    """A Flink distribution's config.yaml says 1728m and 1600m."""
    (tmp_path / "config.yaml").write_text(
        "jobmanager:\n  memory:\n    process:\n      size: 1600m\n"
        "taskmanager:\n  memory:\n    process:\n      size: 1728m\n  numberOfTaskSlots: 1\n"
    )
    built = Built(SEED_GENERAL.split(), tmp_path, {"FLINK_CONF_DIR": str(tmp_path)})
    assert built.cluster.job_manager_memory.process == 1024 * MIB
    assert built.cluster.flink["taskmanager.memory.process.size"] == f"{4096 * MIB}b"


def test_s0_38_high_availability_reaches_the_job_manager_and_keeps_workers(tmp_path: Path) -> None:
    built = Built(["-Dhigh-availability=zookeeper"], tmp_path, MARATHON)
    assert built.job_manager_options["high-availability.type"] == "zookeeper"
    assert built.job_manager_options["high-availability.cluster-id"] == "/flink/flink1"
    assert built.cluster.highly_available


def test_s0_39_marathons_definition_is_understood(tmp_path: Path) -> None:
    cluster = Built(arguments(SEED_MARATHON), tmp_path, MARATHON).cluster
    assert (cluster.rpc_port, cluster.rest_port) == (6123, 8081)


def test_s0_40_the_job_manager_fits_into_the_tasks_memory(tmp_path: Path) -> None:
    cluster = Built(arguments(SEED_MARATHON), tmp_path, MARATHON).cluster
    assert cluster.job_manager_memory.process < 1024 * MIB
    with pytest.raises(UserError, match=r"1600 MiB.*1024 MiB"):
        Built(["-Djobmanager.memory.process.size=1600m"], tmp_path, MARATHON)


def test_s0_41_the_address_is_that_of_the_agent(tmp_path: Path) -> None:
    options = Built([], tmp_path, MARATHON).job_manager_options
    assert options["jobmanager.rpc.address"] == "szv1000265118"
    assert options["rest.address"] == "szv1000265118"


def test_s0_42_options_are_documented() -> None:
    assert reference.PAGE.read_text() == reference.rewritten(reference.PAGE.read_text())


# S2, the guide to Marathon and Flink


def test_s2_7_a_minimal_command_is_enough(tmp_path: Path) -> None:
    assert Built([], tmp_path).cluster.host == "127.0.0.1"
    assert address.local_address("127.0.0.1:5050") == "127.0.0.1"


@pytest.mark.parametrize("slots", [1, 2])
def test_s2_8_initial_tasks_are_a_floor(tmp_path: Path, slots: int) -> None:
    built = Built(["-Dmesos.initial-tasks=3", f"-Dtaskmanager.numberOfTaskSlots={slots}"], tmp_path)
    assert built.job_manager_options["slotmanager.number-of-slots.min"] == str(3 * slots)


def test_s2_9_what_is_not_used_is_given_back_at_once() -> None:
    core = running()
    (call,) = calls(drive(core, events.OffersReceived([offer(1), offer(2, agent=2)])), "DECLINE")
    assert call.decline is not None
    assert len(call.decline.offer_ids or ()) == 2


def test_s2_10_first_definition(tmp_path: Path) -> None:
    built = Built(arguments(FLINK1), tmp_path, MARATHON)
    cluster = built.cluster
    assert (cluster.cluster_id, cluster.web_ui, cluster.rest_port) == ("/flink/flink1", False, 0)
    assert built.job_manager_options["headrace.taskmanager.cpus"] == "1"
    assert built.job_manager_options["slotmanager.number-of-slots.min"] == "3"
    assert built.job_manager_options["taskmanager.memory.process.size"] == f"{1024 * MIB}b"
    core = built.core()
    attached = events.DriverAttached(1, events.Driver("one", "http://h:1", "h:2"))
    effects = drive(core, events.Started(job_manager_alive=True), events.MasterConnected("fw"), attached)
    assert not of(effects, events.ShowWebUi)


def test_s2_11_instances_are_frameworks_of_their_own(tmp_path: Path) -> None:
    """Nothing names a framework id but the store of each instance's own sandbox."""
    assert Built(arguments(FLINK1), tmp_path, MARATHON).cluster.framework.id is None


def test_s2_12_a_taken_port_is_said_at_once() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"jobmanager\.rpc\.port {port}"):
            address.check_port_free("jobmanager.rpc.port", "127.0.0.1", port)


def test_s2_13_ports_are_free_unless_they_are_given(tmp_path: Path) -> None:
    first, second = (Built(arguments(definition), tmp_path, MARATHON).cluster for definition in (FLINK1, FLINK2))
    assert (first.rpc_port, second.rpc_port) == (0, 6124)
    both = Built(["-Djobmanager.web.port=8082", "-Djobmanager.rpc.port=6124"], tmp_path).cluster
    assert (both.rest_port, both.rpc_port) == (8082, 6124)


def test_s2_13_a_port_given_twice_must_be_the_same(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rest\.port is 8081, but jobmanager\.web\.port is 8082"):
        Built(["-Drest.port=8081", "-Djobmanager.web.port=8082"], tmp_path)


def test_s2_15_host_names_have_one_form(tmp_path: Path) -> None:
    built = Built([], tmp_path, MARATHON)
    assert built.cluster.host == built.cluster.framework.hostname == "szv1000265118"
    (seat,) = place([worker(1)], [offer(1, host="SZV1000265118")], {}, built.terms).seats
    words = task_info(built.template, seat).command
    assert words is not None
    assert "taskmanager.host=szv1000265118" in (words.arguments or ())


def test_s2_16_an_address_nobody_else_can_reach_is_refused() -> None:
    names = {"szv": ["127.0.1.1"], "master": ["10.0.0.2"]}
    with pytest.raises(UserError, match=r"127\.0\.1\.1, a loopback address.*jobmanager\.rpc\.address"):
        address.check("szv", "master:5050", resolve=names.__getitem__, local=lambda ip: ip.startswith("127."))


def test_s2_17_workers_go_with_the_cluster(tmp_path: Path) -> None:
    core = running([worker(1, goal=Goal.LAUNCHED)])
    assert calls(drive(core, events.StopAsked(), events.StopDecided(events.Stop.DESTROY, "")), "TEARDOWN")


def test_s2_17_the_failover_timeout_is_short_where_nobody_could_use_the_workers(tmp_path: Path) -> None:
    for options, seconds in (([], 60), (["-Dhigh-availability.type=zookeeper"], 300)):
        built = Built([*options, "-Dhigh-availability.cluster-id=one"], tmp_path)
        assert built.cluster.framework.failover_timeout == seconds
        timeout = built.task_manager_options["taskmanager.registration.timeout"]
        assert timeout == ("60 s" if seconds == 60 else "120 s")


@pytest.mark.parametrize("name", ["taskmanager.registration.timeout", "taskmanager.maxRegistrationDuration"])
def test_s2_17_the_timeout_of_registration_is_an_option(tmp_path: Path, name: str) -> None:
    assert Built([], tmp_path).task_manager_options["taskmanager.registration.timeout"] == "60 s"
    changed = Built([f"-D{name}=7 min"], tmp_path)
    for options in (changed.task_manager_options, changed.job_manager_options):
        assert options["taskmanager.registration.timeout"] == "7 min"
    assert changed.job_manager_options["resourcemanager.taskmanager-registration.timeout"] == "5 min"


def test_agents_with_gpus_are_offered(tmp_path: Path) -> None:
    """§5: without the capability no GPU is ever offered, which the original had lost."""
    built = Built([TASKS + "gpus=1"], tmp_path)
    capabilities = {capability.type for capability in built.cluster.framework.capabilities or ()}
    assert "GPU_RESOURCES" in capabilities
    (seat,) = place([worker(1)], [rich_offer()], {}, built.terms).seats
    assert ("gpus", 1.0) in [(one.name, one.scalar.value) for one in seat.resources if one.scalar]
