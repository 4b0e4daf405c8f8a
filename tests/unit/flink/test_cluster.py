"""A cluster from its options and environment."""

import pytest

from headrace.flink.cluster import resolve
from headrace.flink.options import parse_arguments
from headrace.kernel.daemon import UserError

MARATHON = {
    "HOST": "Agent1.Example.ORG",
    "PORT0": "31007",
    "MARATHON_APP_ID": "/flink/flink1",
    "MARATHON_APP_RESOURCE_MEM": "1024.0",
}


def arguments_of(command: str) -> list[str]:
    return command.split()


SEED_1 = arguments_of(
    "-Dmesos.master=10.120.177.85:5050 -Dmesos.initial-tasks=3 -Dmesos.resourcemanager.tasks.cpus=1.0 "
    "-Dmesos.resourcemanager.tasks.mem=1024 -Djobmanager.web.port=-1"
)
SEED_2 = [*SEED_1, "-Djobmanager.rpc.port=6124"]
SEED_GENERAL = arguments_of(
    "-Dmesos.master=master.foobar.org:5050 -Djobmanager.heap.size=1024m -Djobmanager.rpc.port=6123 -Drest.port=8081 "
    "-Dmesos.resourcemanager.tasks.mem=4096 -Dtaskmanager.heap.size=3500m -Dtaskmanager.numberOfTaskSlots=2 "
    "-Dparallelism.default=10"
)
SEED_MARATHON = arguments_of(
    "-Dmesos.master=m:5050 -Djobmanager.heap.size=1024m -Djobmanager.rpc.port=6123 -Drest.port=8081 "
    "-Dmesos.resourcemanager.tasks.mem=1024 -Dtaskmanager.heap.mb=1024 -Dtaskmanager.numberOfTaskSlots=2 "
    "-Dparallelism.default=2 -Dmesos.resourcemanager.tasks.cpus=1"
)


def job_manager_options(arguments: list[str], environment: dict[str, str]) -> dict[str, str]:
    cluster = resolve(parse_arguments(arguments), environment, "me")
    return cluster.job_manager_options(driver_url="http://x/driver/v1", token_file="/t", tmp="/t/tmp")


def test_first_seed() -> None:
    cluster = resolve(parse_arguments(SEED_1), MARATHON, "me")
    assert (cluster.host, cluster.rpc_port, cluster.rest_port, cluster.web_ui) == ("agent1.example.org", 0, 0, False)
    assert cluster.cluster_id == "/flink/flink1"
    assert cluster.framework.name == "Flink"
    assert cluster.framework.user == "me"
    options = job_manager_options(SEED_1, MARATHON)
    assert options["slotmanager.number-of-slots.min"] == "3"
    assert options["headrace.taskmanager.cpus"] == "1"
    assert options["taskmanager.memory.process.size"] == f"{1 << 30}b"
    assert not any(key.startswith("mesos.") for key in options)


def test_second_seed_takes_its_port() -> None:
    assert resolve(parse_arguments(SEED_2), MARATHON, "me").rpc_port == 6124


def test_general_seed() -> None:
    cluster = resolve(parse_arguments(SEED_GENERAL), {}, "me")
    assert (cluster.rpc_port, cluster.rest_port) == (6123, 8081)
    assert cluster.job_manager_memory.process == 1 << 30
    assert cluster.flink["parallelism.default"] == "10"
    assert cluster.flink["taskmanager.memory.process.size"] == f"{4 << 30}b"


def test_marathon_seed_fits_its_task() -> None:
    cluster = resolve(parse_arguments(SEED_MARATHON), MARATHON, "me")
    assert cluster.job_manager_memory.process < 1 << 30


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, False),
        ({"high-availability.type": "NONE"}, False),
        ({"high-availability.type": "zookeeper"}, True),
        ({"high-availability": "zookeeper"}, True),
    ],
)
def test_high_availability(given: dict[str, str], expected: bool) -> None:
    assert resolve({"mesos.master": "m:1", **given}, MARATHON, "me").highly_available is expected


def test_cluster_id_of_high_availability_is_the_apps() -> None:
    options = {"mesos.master": "m:1", "high-availability": "zookeeper"}
    assert resolve(options, MARATHON, "me").flink["high-availability.cluster-id"] == "/flink/flink1"
    named = {**options, "high-availability.zookeeper.path.namespace": "/mine"}
    assert resolve(named, MARATHON, "me").flink["high-availability.cluster-id"] == "/mine"
    with pytest.raises(UserError, match="high-availability.cluster-id"):
        resolve(options, {}, "me")


def test_marathons_port_is_taken_for_rest() -> None:
    assert resolve({"mesos.master": "m:1"}, MARATHON, "me").rest_port == 31007


def test_floor_counts_slots() -> None:
    arguments = [*SEED_1, "-Dtaskmanager.numberOfTaskSlots=2"]
    assert job_manager_options(arguments, {})["slotmanager.number-of-slots.min"] == "6"


def test_users_options_win_over_defaults() -> None:
    options = job_manager_options([*SEED_1, "-Dtaskmanager.registration.timeout=7 min"], {})
    assert options["taskmanager.registration.timeout"] == "7 min"
    assert options["resourcemanager.taskmanager-registration.timeout"] == "5 min"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "127.0.0.1"),
        ({"jobmanager.rpc.address": "10.0.0.2"}, "0.0.0.0"),
        ({"jobmanager.rpc.address": "127.0.0.2"}, "0.0.0.0"),
        ({"jobmanager.rpc.address": "10.0.0.2", "jobmanager.bind-host": "10.0.0.2"}, "10.0.0.2"),
    ],
)
def test_jobs_submitted_by_rest_find_the_blob_server_as_localhost(given: dict[str, str], expected: str) -> None:
    arguments = [*SEED_1, *(f"-D{key}={value}" for key, value in given.items())]
    assert job_manager_options(arguments, {})["jobmanager.bind-host"] == expected


def test_what_the_user_wants_for_jvms() -> None:
    given = {
        "mesos.master": "m:1",
        "env.java.opts.all": "-Da='b c'",
        "env.java.opts.taskmanager": "-Dd",
    }
    cluster = resolve(given, {}, "me")
    assert cluster.job_manager_arguments == ["-Da=b c"]
    assert cluster.task_manager_arguments == ["-Da=b c", "-Dd"]


def test_task_managers_get_what_concerns_them() -> None:
    given = {"mesos.master": "m:1", "state.backend.type": "rocksdb", "rest.port": "1", "metrics.x": "y"}
    options = resolve(given, {}, "me").task_manager_options()
    assert options["state.backend.type"] == "rocksdb"
    assert "metrics.x" in options
    assert not any(key.startswith(("rest.", "mesos.", "headrace.", "jobmanager.memory.")) for key in options)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "mesos.master must be configured"),
        ({"mesos.master": "m:1", "mesos.initial-tasks": "-1"}, "mesos.initial-tasks"),
        ({"mesos.master": "m:1", "taskmanager.numberOfTaskSlots": "0"}, "numberOfTaskSlots"),
        ({"mesos.master": "m:1", "rest.port": "x"}, "rest.port"),
        ({"mesos.master": "m:1", "env.java.opts.taskmanager": "-Da='b"}, "env.java.opts.taskmanager"),
        ({"mesos.master": "m:1", "headrace.sql.warm-up": "perhaps"}, "headrace.sql.warm-up"),
        ({"mesos.master": "m:1", "mesos.maximum-failed-tasks": "-2"}, "mesos.maximum-failed-tasks"),
        (
            {"mesos.master": "m:1", "mesos.resourcemanager.tasks.cpus": "1", "taskmanager.cpu.cores": "2"},
            "tasks.cpus is 1, but taskmanager.cpu.cores is 2",
        ),
    ],
)
def test_mistakes(given: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve(given, {}, "me")
