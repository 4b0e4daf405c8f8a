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
        ("mesos.constraints.hard.hostattribute", "not supported"),
    ],
)
def test_names_that_are_refused(key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        options.check_names({key: "x"})


def test_flinks_own_names_pass() -> None:
    options.check_names({"state.backend.type": "rocksdb", "mesos.initial-tasks": "1"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1024m", 1 << 30), ("1g", 1 << 30), ("2 GB", 2 << 30), ("77", 77), ("3 kb", 3072), ("512 mebibytes", 1 << 29)],
)
def test_memory(text: str, expected: int) -> None:
    assert options.memory({"k": text}, "k") == expected


def test_bare_number_takes_the_unit_of_its_option() -> None:
    assert options.memory({"k": "1024"}, "k", bare="m") == 1 << 30


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (lambda o: options.integer(o, "k", 0), "three", "whole number"),
        (lambda o: options.integer(o, "k", 0), "-1", "from 0"),
        (lambda o: options.integer(o, "k", 0, at_most=65535), "70000", "to 65535"),
        (lambda o: options.number(o, "k", 0), "-0.5", "0 or more"),
        (lambda o: options.number(o, "k", 0), "nan", "0 or more"),
        (lambda o: options.flag(o, "k"), "yes", "true or false"),
        (lambda o: options.memory(o, "k"), "12 parsecs", "size such as"),
        (lambda o: options.memory(o, "k"), "-5m", "size such as"),
    ],
)
def test_values_that_are_refused(read, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=message) as error:
        read({"k": text})
    assert "option k" in str(error.value)


def test_table_has_each_name_once() -> None:
    names = [name for option in options.TABLE for name in (option.name, *option.aliases)]
    assert len(names) == len(set(names))
    assert all(option.about for option in options.TABLE)
