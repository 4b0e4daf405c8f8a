"""Rewrites the generated part of docs/reference.md: the options of the Flink application master.

python scripts/reference.py            # rewrites the page if it is stale
python scripts/reference.py --check    # changes nothing; exit status 1 if the page is stale
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from headrace.flink.options import TABLE, Option

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
BEGIN, END = "<!-- options:begin -->", "<!-- options:end -->"


def options_part(table: Iterable[Option] = TABLE) -> str:
    """The text between the markers: what is supported with defaults, then what is refused."""
    options = list(table)
    lines = ["", "| option | default | meaning |", "|---|---|---|"]
    lines += [f"| {_name(o)} | {_default(o)} | {_cell(o.about)} |" for o in options if o.supported]
    lines += ["", "Known but not supported: the application master refuses to start with one of these.", ""]
    lines += ["| option | what it is in Flink |", "|---|---|"]
    lines += [f"| {_name(o)} | {_cell(o.about)} |" for o in options if not o.supported]
    return "\n".join([*lines, "", ""])


def rewritten(page: str) -> str:
    """The page with its generated part made anew. Raises ValueError if the markers are not there, once and in order."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in head + tail:
        raise ValueError(f"the page must hold {BEGIN} and then {END}, each once")
    return head + BEGIN + "\n" + options_part() + END + tail


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: python scripts/reference.py [--check]\n")
        return 2
    page = PAGE.read_text()
    try:
        fresh = rewritten(page)
    except ValueError as error:
        sys.stderr.write(f"{PAGE}: {error}\n")
        return 2
    if fresh == page:
        return 0
    if arguments:
        sys.stderr.write(f"{PAGE} is stale: run python scripts/reference.py\n")
        return 1
    PAGE.write_text(fresh)
    print(f"{PAGE} rewritten")
    return 0


def _name(option: Option) -> str:
    older = "".join(f", older `{alias}`" for alias in option.aliases)
    return f"`{option.name}`{older}"


def _default(option: Option) -> str:
    if option.default is None:
        return ""
    return f"`{_cell(option.default)}`" if option.default else "empty"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
