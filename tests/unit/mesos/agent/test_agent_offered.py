"""The flags that say what an agent offers."""

from __future__ import annotations

import pytest

from headrace.mesos.agent.offered import FlagError, offered, parse_attributes, parse_resources
from headrace.mesos.resources import Resources


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("", ""),
        ("cpus:8", "cpus:8"),
        (" cpus:1.5 ; mem:8192; ", "cpus:1.5; mem:8192"),
        ("ports:[31000-32000]", "ports:[31000-32000]"),
        ("ports:[3-4, 1-2,9-9]", "ports:[1-4, 9-9]"),
        ("colours:{red, blue}", "colours:{blue, red}"),
        ("gpus:2;cpus:1;cpus:2", "cpus:3; gpus:2"),
        ('[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4}}]', "cpus:4"),
    ],
)
def test_resources(text: str, meaning: str) -> None:
    assert str(parse_resources(text)) == meaning


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cpus", "'cpus' is not name:value"),
        (":8", "':8' is not name:value"),
        ("cpus:eight", "cpus: 'eight' is neither a number"),
        ("cpus:-1", "it must be 0 or more"),
        ("cpus:nan", "it must be 0 or more"),
        ("ports:[1-2", "lacks the closing ]"),
        ("ports:[1]", "'1' is no range"),
        ("ports:[5-2]", "5-2"),
        ("cpus(role):8", "reserved resources are not supported"),
        ('[{"name": 8}]', "not a JSON list of resources"),
        ("[", "not a JSON list of resources"),
    ],
)
def test_resources_that_make_no_sense(text: str, part: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse_resources(text)
    assert str(caught.value).startswith("--resources: ")
    assert part in str(caught.value)


def test_attributes() -> None:
    rack, slots = parse_attributes("rack:r1; slots:4;")
    assert (rack.name, rack.type, rack.text and rack.text.value) == ("rack", "TEXT", "r1")
    assert (slots.name, slots.type, slots.scalar and slots.scalar.value) == ("slots", "SCALAR", 4.0)
    for wrong in ("rack", "rack:", ":r1"):
        with pytest.raises(FlagError):
            parse_attributes(wrong)


def test_what_is_not_given_is_detected() -> None:
    found = offered(Resources(), "/")
    assert found.scalar("cpus") >= 1
    assert found.scalar("mem") > 0
    assert found.scalar("disk") > 0
    assert len(list(found.ports)) == 1001
    given = offered(parse_resources("cpus:0.5;ports:[1-2]"), "/")
    assert (given.scalar("cpus"), list(given.ports)) == (0.5, [1, 2])
    assert given.scalar("mem") == found.scalar("mem")
