"""docs/reference.md says what src/headrace/flink/options.py says."""

import pytest

from headrace.flink.options import TABLE, Option
from scripts import reference


def test_the_page_is_up_to_date() -> None:
    page = reference.PAGE.read_text()
    assert page == reference.rewritten(page), "docs/reference.md is stale: run python scripts/reference.py"


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
    part = reference.options_part([Option("a", "Refused.", supported=False), Option("b", "Read.", "1")])
    assert part.index("`b`") < part.index("not supported") < part.index("`a`")


def test_a_changed_part_is_rewritten_and_the_rest_stays() -> None:
    page = f"before\n{reference.BEGIN}\nold\n{reference.END}\nafter\n"
    fresh = reference.rewritten(page)
    assert fresh != page
    assert fresh == f"before\n{reference.BEGIN}\n{reference.options_part()}{reference.END}\nafter\n"
    assert reference.rewritten(fresh) == fresh


@pytest.mark.parametrize(
    "page",
    [
        "no markers",
        f"{reference.BEGIN} alone",
        f"{reference.END} {reference.BEGIN}",
        f"{reference.BEGIN}{reference.END}{reference.END}",
        f"{reference.BEGIN}{reference.BEGIN}{reference.END}",
    ],
)
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="each once"):
        reference.rewritten(page)
