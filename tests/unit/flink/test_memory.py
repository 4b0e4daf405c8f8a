"""Sizes of JobManager and TaskManagers."""

import pytest

from headrace.flink import memory
from headrace.flink.memory import MIB
from headrace.kernel.daemon import UserError


def test_job_manager_fits_its_task() -> None:
    sizes = memory.job_manager({}, 1024 * MIB)
    assert sizes.process == 1024 * MIB - memory.OWN_SHARE
    assert (sizes.overhead, sizes.metaspace, sizes.off_heap) == (192 * MIB, 256 * MIB, 128 * MIB)
    assert sizes.heap == 384 * MIB


def test_flinks_own_arithmetic() -> None:
    """Flink 1.20's tool printed these for jobmanager.memory.process.size: 1600m."""
    sizes = memory.job_manager({"jobmanager.memory.process.size": "1600m"}, None)
    assert sizes.jvm_arguments() == ["-Xmx1073741824", "-Xms1073741824", "-XX:MaxMetaspaceSize=268435456"]
    assert sizes.options()["jobmanager.memory.jvm-overhead.max"] == "201326592b"


def test_parts_decide_if_given() -> None:
    sizes = memory.job_manager({"jobmanager.memory.heap.size": "512m", "jobmanager.memory.off-heap.size": "64m"}, None)
    assert (sizes.heap, sizes.off_heap, sizes.overhead) == (512 * MIB, 64 * MIB, 192 * MIB)


@pytest.mark.parametrize("limit", [512, 600, 800, 1024, 2048, 8192])
def test_small_and_large_limits_hold(limit: int) -> None:
    sizes = memory.job_manager({}, limit * MIB)
    assert sizes.process == limit * MIB - memory.OWN_SHARE
    assert sizes.heap >= 96 * MIB


@pytest.mark.parametrize(
    ("options", "limit", "words"),
    [
        ({"jobmanager.memory.process.size": "1600m"}, 1024, ("1600 MiB", "1024 MiB")),
        ({"jobmanager.memory.heap.size": "900m"}, 1024, ("1024 MiB",)),
        ({"jobmanager.heap.size": "700m", "jobmanager.memory.process.size": "800m"}, 1024, ("700 MiB", "800 MiB")),
        ({"jobmanager.heap.size": "700m", "jobmanager.heap.mb": "800"}, 1024, ("700 MiB", "800 MiB")),
        ({"jobmanager.heap.size": "2048m"}, 1024, ("2048 MiB", "1024 MiB", "jobmanager.heap.size")),
        ({}, 256, ("192 MiB", "too little")),
    ],
)
def test_contradictions_name_both_numbers(options: dict[str, str], limit: int, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        memory.job_manager(options, limit * MIB)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("option", ["jobmanager.heap.size", "jobmanager.heap.mb"])
def test_older_heap_option_as_large_as_the_task_is_fitted(option: str) -> None:
    value = "1024" if option.endswith("mb") else "1024m"
    assert memory.job_manager({option: value}, 1024 * MIB).process == 1024 * MIB - memory.OWN_SHARE


def test_task_manager_gets_the_tasks_memory() -> None:
    extra = memory.task_manager({"mesos.resourcemanager.tasks.mem": "4096"})
    assert extra == {"taskmanager.memory.process.size": f"{4096 * MIB}b"}


def test_small_task_manager_gets_smaller_parts() -> None:
    extra = memory.task_manager({"mesos.resourcemanager.tasks.mem": "900"})
    assert extra["taskmanager.memory.jvm-metaspace.size"] == "160m"


def test_users_parts_are_left_alone() -> None:
    given = {"mesos.resourcemanager.tasks.mem": "1024", "taskmanager.memory.managed.fraction": "0.1"}
    assert set(memory.task_manager(given)) == {"taskmanager.memory.process.size"}


def test_seeds_memory_options() -> None:
    """The seed gives tasks.mem and taskmanager.heap.mb both as 1024: the whole task counts."""
    extra = memory.task_manager({"mesos.resourcemanager.tasks.mem": "1024", "taskmanager.heap.mb": "1024"})
    assert extra["taskmanager.memory.process.size"] == f"{1024 * MIB}b"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"mesos.resourcemanager.tasks.mem": "1024", "taskmanager.memory.process.size": "2g"},
            ("1024 MiB", "2048 MiB"),
        ),
        ({"mesos.resourcemanager.tasks.mem": "1024", "taskmanager.heap.size": "2g"}, ("1024 MiB", "2048 MiB")),
        ({"taskmanager.memory.process.size": "1g", "taskmanager.heap.size": "2g"}, ("1024 MiB", "2048 MiB")),
        ({"taskmanager.heap.size": "1g", "taskmanager.heap.mb": "2048"}, ("1024 MiB", "2048 MiB")),
        ({"mesos.resourcemanager.tasks.mem": "300"}, ("300 MiB", "too small")),
    ],
)
def test_task_manager_contradictions(options: dict[str, str], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        memory.task_manager(options)
    assert all(word in str(error.value) for word in words)


TASK = "mesos.resourcemanager.tasks.mem"
TM = "taskmanager.memory."
JM = "jobmanager.memory."


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({TASK: "1024", TM + "task.heap.size": "2g"}, ("1024 MiB", "task.heap.size 2048 MiB", "raise " + TASK)),
        ({TASK: "2048", TM + "managed.size": "1900m"}, ("2048 MiB", "managed.size 1900 MiB")),
        ({TASK: "2048", TM + "network.min": "1900m"}, ("2048 MiB", "network.min 1900 MiB")),
        ({TASK: "2048", TM + "framework.heap.size": "1g", TM + "framework.off-heap.size": "1g"}, ("2048 MiB", "heap")),
        ({TASK: "2048", TM + "task.off-heap.size": "2g"}, ("2048 MiB", "task.off-heap.size 2048 MiB")),
        ({TASK: "2048", TM + "jvm-metaspace.size": "1900m"}, ("2048 MiB", "jvm-metaspace.size 1900 MiB")),
        ({TASK: "2048", TM + "jvm-overhead.min": "1900m"}, ("2048 MiB", "jvm-overhead.min 1900 MiB")),
        ({TASK: "2048", TM + "flink.size": "2g"}, ("2048 MiB", "flink.size 2048 MiB")),
        ({TM + "flink.size": "1g", TM + "task.heap.size": "2g"}, ("flink.size is 1024 MiB", "2048 MiB")),
        ({TASK: "2048", TM + "task.heap.size": "1g", TM + "managed.size": "1g"}, ("task.heap.size", "managed.size")),
        (
            {TASK: "8192", TM + "task.heap.size": "2g", TM + "managed.size": "512m"},
            ("4807 MiB", "jvm-overhead.max is 1024"),
        ),
        ({TASK: "4096", TM + "flink.size": "1g"}, ("2816 MiB", "jvm-overhead.max is 1024 MiB")),
        (
            {TASK: "4096", TM + "task.heap.size": "1g", TM + "network.max": "64m"},
            ("778.2 MiB", "network.max is 64 MiB"),
        ),
        ({TM + "task.heap.size": "2g"}, ("task.heap.size 2048 MiB", TASK)),
        *(
            ({TASK: "2048", TM + key + ".fraction": "2"}, (TM + key + ".fraction is 2", "less than 1"))
            for key in ("managed", "network", "jvm-overhead")
        ),
    ],
)
def test_parts_of_a_task_manager_that_do_not_fit(options: dict[str, str], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        memory.task_manager(options)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {TASK: "4096", TM + "task.heap.size": "1g"},
        {TASK: "4096", TM + "task.heap.size": "2g", TM + "managed.size": "512m"},
        {TM + "task.heap.size": "2g", TM + "managed.size": "0"},
        {TASK: "2048", TM + "flink.size": "1500m"},
        {TM + "flink.size": "1500m", TM + "managed.fraction": "0"},
        {TASK: "1728", TM + "network.max": "64m"},
    ],
)
def test_parts_of_a_task_manager_that_fit(options: dict[str, str]) -> None:
    memory.task_manager(options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({JM + "process.size": "1g", JM + "heap.size": "2g"}, ("1024 MiB", "2048 MiB")),
        ({JM + "process.size": "1g", JM + "flink.size": "1g"}, ("process.size is 1024 MiB", "heap.size 896 MiB")),
        ({JM + "jvm-metaspace.size": "2g"}, ("too little", "jvm-metaspace.size 2048 MiB")),
        ({JM + "jvm-overhead.fraction": "2"}, ("jvm-overhead.fraction is 2",)),
    ],
)
def test_parts_of_the_job_manager_that_do_not_fit(options: dict[str, str], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        memory.job_manager(options, None)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_the_job_managers_heap_counts_beside_its_process_size() -> None:
    sizes = memory.job_manager({JM + "process.size": "2g", JM + "heap.size": "1g"}, None)
    assert (sizes.heap, sizes.process) == (1024 * MIB, 2048 * MIB)
