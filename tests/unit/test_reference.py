"""docs/reference.md says what the daemons' parsers and src/headrace/flink/options.py say."""

import argparse
from pathlib import Path

import pytest

from headrace.flink.options import TABLE, Option
from headrace.marathon import flags as marathon
from headrace.marathon.flags.table import TABLE as MARATHON_TABLE
from headrace.mesos.agent.flags import agent as agent
from headrace.mesos.master import flags as master
from scripts import reference


@pytest.mark.parametrize("path", reference.PAGES, ids=lambda path: path.name)
def test_a_page_is_up_to_date(path: Path) -> None:
    page = path.read_text()
    assert page == reference.rewritten(page, reference.PAGES[path]), "run python scripts/reference.py"


def test_every_flag_of_marathon_is_on_the_page() -> None:
    part = reference.marathon_part()
    assert [flag.name for flag in MARATHON_TABLE if f"`--{flag.name}`" not in part] == []
    assert "| `--http_compression`, `--disable_http_compression` | on | " in part
    assert "| `--https_address` | that of HTTP | address to listen on for HTTPS |" in part
    places = [part.index(one) for one in ("`--master`", "`--zk`", "`--launch_tokens`", "Refused", "`--plugin_dir`")]
    assert places == sorted(places)


def test_every_option_is_on_the_page() -> None:
    part = reference.options_part()
    assert [option.name for option in TABLE if f"| `{option.name}`" not in part] == []


def test_an_option_shows_its_default_and_its_older_name() -> None:
    part = reference.options_part(
        [Option("a.b", "One | two.", "3", aliases=("old.b",)), Option("c", "Text.", ""), Option("d", "Free.")]
    )
    assert "| `a.b`, older `old.b` | `3` | One \\| two. |" in part
    assert "| `c` | empty | Text. |" in part
    assert "| `d` |  | Free. |" in part


def test_what_is_not_supported_stands_apart() -> None:
    part = reference.options_part([Option("a", "Refused.", refused="not | here"), Option("b", "Read.", "1")])
    assert part.index("`b`") < part.index("not supported") < part.index("| `a` | Refused. | not \\| here |")


@pytest.mark.parametrize("parser", [master.parser(), agent.parser(), marathon.parser()])
def test_every_flag_is_explained(parser: argparse.ArgumentParser) -> None:
    rows = [row for row in reference.flags_part(parser).splitlines() if row.startswith("| `--")]
    assert len(rows) > 20
    assert [row for row in rows if not row.split(" | ")[2].strip(" |")] == []


def test_a_flag_shows_its_spellings_its_default_and_its_values() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--a_b", "--a-b", "--other", default="x|y", help="one (default x|y)")
    parser.add_argument("--must", required=True, help="two")
    parser.add_argument("--size", default="0B", help="three (default 0B: never)")
    parser.add_argument("--place", default="", help="four (default: below the data)")
    parser.add_argument("--name", help="five; default: the address")
    parser.add_argument("--seconds", type=float, default=604800.0, help="six")
    parser.add_argument("--least", default=100, metavar="MS", help="seven")
    parser.add_argument("--level", default="a", choices=["a", "b"], help="eight")
    parser.add_argument("--switch", nargs="?", const="true", default="false", help="nine")
    parser.add_argument("--no-switch", action="store_const", const="false", dest="switch", help=argparse.SUPPRESS)
    assert reference.flags_part(parser).splitlines()[3:] == [
        "| `--a_b`, `--other` | `x\\|y` | one |",
        "| `--must` | required | two |",
        "| `--size` | `0B`: never | three |",
        "| `--place` | below the data | four |",
        "| `--name` | the address | five |",
        "| `--seconds` | `604800` | six |",
        "| `--least` | `100` | seven, in ms |",
        "| `--level` | `a` | eight: a, b |",
        "| `--switch` | `false` | nine; `true` or `false`, alone: `true` |",
        "",
    ]


BEGIN, END = reference.begin("one"), reference.end("one")


def test_changed_parts_are_rewritten_and_the_rest_stays() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n{reference.begin('two')}{reference.end('two')}"
    parts = {"two": lambda: "2\n", "one": lambda: "1\n"}
    fresh = reference.rewritten(page, parts)
    assert fresh == f"before\n{BEGIN}\n1\n{END}\nafter\n{reference.begin('two')}\n2\n{reference.end('two')}"
    assert reference.rewritten(fresh, parts) == fresh


@pytest.mark.parametrize(
    "page",
    ["no markers", f"{BEGIN} alone", f"{END} {BEGIN}", f"{BEGIN}{END}{END}", f"{BEGIN}{BEGIN}{END}"],
)
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="each once"):
        reference.rewritten(page, {"one": lambda: "1\n"})
