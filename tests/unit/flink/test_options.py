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


def test_table_has_each_name_once() -> None:
    names = [name for option in options.TABLE for name in (option.name, *option.aliases)]
    assert len(names) == len(set(names))
    assert all(option.about for option in options.TABLE)
