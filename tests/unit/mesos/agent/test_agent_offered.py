"""The flags that say what an agent offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.mesos.agent.offered import FlagError, as_text, offered, parse_attributes, parse_resources
from headrace.mesos.resources import Resources

ONE = '"scalar": {"value": 1}'


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
        ("cpus:1\nmem:2", "cpus:1; mem:2"),
        ("cpus(*):1", "cpus:1"),
        ("disk(ops):100;disk:5", "disk:5; disk(reservations: [(STATIC,ops)]):100"),
        ("ports(a/b):[1-2]", "ports(reservations: [(STATIC,a/b)]):[1-2]"),
        (
            '[{"name": "cpus", "scalar": {"value": 4}, "reservations": [{"type": "STATIC", "role": "a"}]}]',
            "cpus(reservations: [(STATIC,a)]):4",
        ),
        ('[{"name": "cpus", "scalar": {"value": 4}, "role": "a"}]', "cpus(reservations: [(STATIC,a)]):4"),
        (
            f'[{{"name": "disk", {ONE}, "disk": {{"source": {{"type": "MOUNT", "mount": {{"root": "/m"}}}}}}}}]',
            "disk[MOUNT]:1",
        ),
    ],
)
def test_resources(text: str, meaning: str) -> None:
    assert str(Resources.parse(parse_resources(text))) == meaning


def test_who_else_is_named_keeps_his_own() -> None:
    given = Resources.parse(parse_resources("cpus:1;mem(b):2;disk(*):3", "a"))
    assert str(given) == "disk:3; cpus(reservations: [(STATIC,a)]):1; mem(reservations: [(STATIC,b)]):2"
    found = offered(parse_resources("cpus:1", "a"), "/", "a")
    assert found.scalar("mem") == 0
    assert {tag.role for tag in found.parts} == {"a"}


def test_flags_from_files(tmp_path: Path) -> None:
    (tmp_path / "r").write_text('[{"name": "cpus", "scalar": {"value": 4}}]\n')
    (tmp_path / "a").write_text("rack:r1\n")
    assert str(Resources.parse(parse_resources(f"file://{tmp_path}/r"))) == "cpus:4"
    assert [one.name for one in parse_attributes(f"file://{tmp_path}/a")] == ["rack"]
    with pytest.raises(FlagError, match=f"--resources: can't read {tmp_path}/nothing: No such file"):
        parse_resources(f"file://{tmp_path}/nothing")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("cpus", "character 1: 'cpus' is not name:value"),
        (":8", "':8' is not name:value"),
        ("mem:1; cpus:eight", "character 8: cpus: 'eight' is neither a number"),
        ("cpus:-1", "it must be 0 or more"),
        ("cpus:1e300", "it must be less than 1e15"),
        ("cpus:0.0001", "resource 'cpus' is 0.0001, which is less than Mesos counts; give 0.001 or more, or 0"),
        ("gpus(a):0.0001", "which is less than Mesos counts"),
        ('[{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.0004}}]', "which is less than Mesos counts"),
        ("cpus:nan", "cpus: 'nan' is neither a number"),
        ("cpus:1_0", "cpus: '1_0' is neither a number"),
        ("ports:[1-2", "lacks the closing ]"),
        ("ports:[1]", "'1' is no range"),
        ("ports:[5-2]", "5-2"),
        ("cpus():8", "'' can't be a role's name"),
        ("cpus(a//b):8", "'a//b' can't be a role's name"),
        ("cpus(-a):8", "'-a' can't be a role's name"),
        ("cpus(a:8", "is not name:value or name(role):value"),
        ('[{"name": 8}]', "not a JSON list of resources: Expected `str`, got `int` - at `$[0].name`"),
        ("[", "not a JSON list of resources"),
        ('{"name": "cpus"}', "not a JSON list of resources"),
        ('[{"name": "cpus"}]', "item 1 ('cpus'): resource 'cpus' has neither"),
        (f'[{{"name": "m", {ONE}, "reservations": [{{"type": "DYNAMIC", "role": "a"}}]}}]', "dynamic reservations"),
        (f'[{{"name": "m", {ONE}, "revocable": {{}}}}]', "revocable and shared"),
        (f'[{{"name": "disk", {ONE}, "disk": {{"persistence": {{"id": "v"}}}}}}]', "persistent volumes"),
        (f'[{{"name": "disk", {ONE}, "disk": {{"source": {{"type": "CLOUD"}}}}}}]', "PATH, MOUNT, BLOCK, RAW"),
        (f'[{{"name": "disk", {ONE}, "disk": {{"source": {{"type": "MOUNT"}}}}}}]', "root is missing"),
    ],
)
def test_resources_that_make_no_sense(text: str, part: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse_resources(text)
    assert str(caught.value).startswith("--resources")
    assert part in str(caught.value)


def test_attributes() -> None:
    rack, slots = parse_attributes("rack:r1; slots:4;")
    assert (rack.name, rack.type, rack.text and rack.text.value) == ("rack", "TEXT", "r1")
    assert (slots.name, slots.type, slots.scalar and slots.scalar.value) == ("slots", "SCALAR", 4.0)
    racks, odd = parse_attributes("racks:[1-4];odd:nan")
    assert racks.ranges is not None
    assert [(span.begin, span.end) for span in racks.ranges.range or ()] == [(1, 4)]
    assert odd.text is not None
    for wrong in ("rack", "rack:", ":r1", "rack:{a,b}", "rack:[1"):
        with pytest.raises(FlagError, match="--attributes, character 1: "):
            parse_attributes(wrong)


def test_attributes_as_text() -> None:
    assert as_text(parse_attributes("rack:r1; slots:4;racks:[1-4,7-8]")) == "rack:r1;slots:4;racks:[1-4,7-8]"


def test_what_is_not_given_is_detected() -> None:
    found = offered([], "/")
    assert found.scalar("cpus") >= 1
    assert found.scalar("mem") > 0
    assert found.scalar("disk") > 0
    assert len(list(found.ports)) == 1001
    given = offered(parse_resources("cpus:0.5;ports:[1-2]"), "/")
    assert (given.scalar("cpus"), list(given.ports)) == (0.5, [1, 2])
    assert given.scalar("mem") == found.scalar("mem")
    none = offered(parse_resources("disk:0;ports:[]"), "/")
    assert (none.scalar("disk"), list(none.ports)) == (0, [])
