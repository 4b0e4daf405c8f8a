"""The -D grammar, names, and typed reading."""

import pytest

from headrace.flink import options
from headrace.kernel.daemon import UserError


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-Dmesos.master=a:5050"], {"mesos.master": "a:5050"}),
        (["-D", "k=v"], {"k": "v"}),
        (["-Dk"], {"k": "true"}),
        (["-Dk="], {"k": ""}),
        (["-Denv.java.opts=-Da=b -Dc=d"], {"env.java.opts": "-Da=b -Dc=d"}),
        (["-Dk=1", "-Dk=2"], {"k": "2"}),
        ([], {}),
    ],
)
def test_arguments(arguments: list[str], expected: dict[str, str]) -> None:
    assert options.parse_arguments(arguments) == expected


@pytest.mark.parametrize("arguments", [["mesos.master=a"], ["-D"], ["-D=v"], ["--help"]])
def test_arguments_that_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UserError, match="-Dkey=value"):
        options.parse_arguments(arguments)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("interval.jobgraph-path", "internal.jobgraph-path"),
        ("mesos.inital-tasks", "did you mean mesos.initial-tasks"),
        ("headrace.nonsense", "does not exist"),
        ("mesos.resourcemanager.unused-offer-expiration", "never kept"),
    ],
)
def test_names_that_are_refused(key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        options.check_names({key: "x"})


def test_flinks_own_names_pass() -> None:
    options.check_names({"state.backend.type": "rocksdb", "mesos.initial-tasks": "1"})


def test_older_names_are_read() -> None:
    given = {"jobmanager.web.port": "-1", "taskmanager.maxRegistrationDuration": "5 min", "a": "b"}
    assert options.with_present_names(given) == {
        "rest.port": "-1",
        "taskmanager.registration.timeout": "5 min",
        "a": "b",
    }


def test_an_older_name_may_say_the_same_but_nothing_else() -> None:
    assert options.with_present_names({"rest.port": "1", "jobmanager.web.port": "1"}) == {"rest.port": "1"}
    with pytest.raises(UserError, match=r"rest\.port is 1, but jobmanager\.web\.port is 2"):
        options.with_present_names({"jobmanager.web.port": "2", "rest.port": "1"})
    with pytest.raises(UserError, match=r"high-availability is a, but recovery\.mode is b"):
        options.with_present_names({"high-availability": "a", "recovery.mode": "b"})


@pytest.mark.parametrize(
    ("file", "command_line", "expected"),
    [
        ({"a": "1", "b": "2"}, {"a": "3"}, {"a": "3", "b": "2"}),
        ({"rest.port": "8081"}, {"jobmanager.web.port": "-1"}, {"rest.port": "-1"}),
        ({"jobmanager.web.port": "-1"}, {"rest.port": "8081"}, {"rest.port": "8081"}),
        (
            {"taskmanager.memory.process.size": "1728m", "jobmanager.memory.process.size": "1600m"},
            {"mesos.resourcemanager.tasks.mem": "4096"},
            {"mesos.resourcemanager.tasks.mem": "4096", "jobmanager.memory.process.size": "1600m"},
        ),
        (
            {"taskmanager.cpu.cores": "4"},
            {"mesos.resourcemanager.tasks.cpus": "1"},
            {"mesos.resourcemanager.tasks.cpus": "1"},
        ),
    ],
)
def test_the_command_line_wins(file: dict[str, str], command_line: dict[str, str], expected: dict[str, str]) -> None:
    assert options.over(file, command_line) == expected


def test_table_has_each_name_once() -> None:
    names = [name for option in options.TABLE for name in (option.name, *option.aliases)]
    assert len(names) == len(set(names))
    assert all(option.about for option in options.TABLE)
