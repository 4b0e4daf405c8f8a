"""Typed reading of options."""

import pytest

from headrace.flink import reading
from headrace.kernel.daemon import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1024m", 1 << 30), ("1g", 1 << 30), ("2 GB", 2 << 30), ("77", 77), ("3 kb", 3072), ("512 mebibytes", 1 << 29)],
)
def test_memory(text: str, expected: int) -> None:
    assert reading.memory({"k": text}, "k") == expected


def test_bare_number_takes_the_unit_of_its_option() -> None:
    assert reading.memory({"k": "1024"}, "k", bare="m") == 1 << 30


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (lambda o: reading.integer(o, "k", 0), "three", "whole number"),
        (lambda o: reading.integer(o, "k", 0), "-1", "from 0"),
        (lambda o: reading.integer(o, "k", 0, at_most=65535), "70000", "to 65535"),
        (lambda o: reading.number(o, "k", 0), "-0.5", "0 or more"),
        (lambda o: reading.number(o, "k", 0), "nan", "0 or more"),
        (lambda o: reading.flag(o, "k"), "yes", "true or false"),
        (lambda o: reading.memory(o, "k"), "12 parsecs", "size such as"),
        (lambda o: reading.memory(o, "k"), "-5m", "size such as"),
    ],
)
def test_values_that_are_refused(read, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UserError, match=message) as error:
        read({"k": text})
    assert "option k" in str(error.value)
