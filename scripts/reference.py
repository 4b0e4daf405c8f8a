"""Rewrites the generated parts of docs/reference.md: the daemons' flags, the options of the Flink application master.

python scripts/reference.py            # rewrites the page if it is stale
python scripts/reference.py --check    # changes nothing; exit status 1 if the page is stale
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from headrace.flink.options import TABLE, Option
from headrace.marathon import flags as marathon
from headrace.mesos.agent.flags import agent as agent
from headrace.mesos.master import flags as master

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
_SAID = re.compile(r" \(default:? ([^)]*)\)$|; default: (.*)$")
"""What a flag's help says of its default."""


def options_part(table: Iterable[Option] = TABLE) -> str:
    """The options of the application master: what is supported with defaults, then what is refused."""
    options = list(table)
    lines = ["", "| option | default | meaning |", "|---|---|---|"]
    lines += [f"| {_name(o)} | {_default(o)} | {_cell(o.about)} |" for o in options if o.supported]
    lines += ["", "Known but not supported: the application master refuses to start with one of these.", ""]
    lines += ["| option | what it is in Flink | why not |", "|---|---|---|"]
    lines += [f"| {_name(o)} | {_cell(o.about)} | {_cell(o.refused)} |" for o in options if not o.supported]
    return "\n".join([*lines, "", ""])


def flags_part(parser: argparse.ArgumentParser) -> str:
    """The flags that a daemon's parser reads."""
    shown = [a for a in parser._actions if a.option_strings and a.help != argparse.SUPPRESS]
    lines = ["", "| flag | default | meaning |", "|---|---|---|"]
    lines += [_flag_row(action) for action in shown if not isinstance(action, argparse._HelpAction)]
    return "\n".join([*lines, "", ""])


PARTS: Mapping[str, Callable[[], str]] = {
    "master-flags": lambda: flags_part(master.parser()),
    "agent-flags": lambda: flags_part(agent.parser()),
    "marathon-flags": lambda: flags_part(marathon.parser()),
    "options": options_part,
}
"""What makes each part, by the name in its markers."""


def begin(name: str) -> str:
    """The line before the part ``name``."""
    return f"<!-- {name}:begin -->"


def end(name: str) -> str:
    """The line behind the part ``name``."""
    return f"<!-- {name}:end -->"


def rewritten(page: str, parts: Mapping[str, Callable[[], str]] = PARTS) -> str:
    """The page with its generated parts made anew. Raises ValueError if markers are not there, once and in order."""
    for name, make in parts.items():
        page = _with_part(page, name, make())
    return page


def _with_part(page: str, name: str, part: str) -> str:
    head, found_begin, rest = page.partition(begin(name))
    _, found_end, tail = rest.partition(end(name))
    if not found_begin or not found_end or begin(name) in rest or end(name) in head + tail:
        raise ValueError(f"the page must hold {begin(name)} and then {end(name)}, each once")
    return head + begin(name) + "\n" + part + end(name) + tail


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


def _flag_row(action: argparse.Action) -> str:
    spellings: dict[str, str] = {}
    for option in action.option_strings:
        spellings.setdefault(option.replace("_", "-"), option)
    names = ", ".join(f"`{name}`" for name in spellings.values())
    about = _SAID.sub("", action.help or "")
    if action.choices:
        about += ": " + ", ".join(map(str, action.choices))
    if action.metavar == "MS":
        about += ", in ms"
    if action.nargs == "?":
        about += "; `true` or `false`, alone: `true`"
    return f"| {names} | {_flag_default(action)} | {_cell(about)} |"


def _flag_default(action: argparse.Action) -> str:
    if action.required:
        return "required"
    value = f"{action.default:g}" if isinstance(action.default, float) else str(action.default or "")
    match = _SAID.search(action.help or "")
    said = (match[1] or match[2]) if match is not None else ""
    if not value:
        return _cell(said)
    return f"`{_cell(value)}`" + (_cell(said.removeprefix(value)) if said.startswith(value + ":") else "")


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
