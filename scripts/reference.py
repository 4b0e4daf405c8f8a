"""Rewrites the generated parts of the documentation: the daemons' flags and the options of the Flink application
master in docs/reference.md, Marathon's endpoints and events in docs/api/marathon.md.

python scripts/reference.py            # rewrites the pages that are stale
python scripts/reference.py --check    # changes nothing; exit status 1 if a page is stale
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from headrace.flink.options import TABLE, Option
from headrace.marathon.api.endpoints import ENDPOINTS
from headrace.marathon.api.events import KINDS
from headrace.marathon.flags.flag import Fate, Flag, Kind
from headrace.marathon.flags.table import TABLE as MARATHON_TABLE
from headrace.mesos.agent.flags import agent as agent
from headrace.mesos.master import flags as master

PAGE = Path(__file__).parent.parent / "docs" / "reference.md"
MARATHON_PAGE = PAGE.parent / "api" / "marathon.md"
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


def marathon_part(table: Iterable[Flag] = MARATHON_TABLE) -> str:
    """Marathon's flags: what is honoured with defaults, what is accepted without effect, what is refused."""
    flags = list(table)
    lines = ["", "| flag | default | meaning |", "|---|---|---|"]
    lines += [_marathon_row(one) for one in flags if one.fate is Fate.HONOURED]
    lines += ["", "Accepted, because scripts give them, and without effect:", ""]
    lines += ["| flag | what it is in Marathon | why it has none |", "|---|---|---|"]
    lines += [
        f"| {_flag_names(one)} | {_cell(one.about)} | {_cell(one.why)} |" for one in flags if one.fate is Fate.IDLE
    ]
    lines += ["", "Refused:", "", "| flag | what it is in Marathon | what to do instead |", "|---|---|---|"]
    refused = [one for one in flags if one.fate is Fate.REFUSED]
    lines += [f"| {_flag_names(one)} | {_cell(one.about)} | {_cell(one.why)} |" for one in refused]
    return "\n".join([*lines, "", ""])


def endpoints_part() -> str:
    """Marathon's endpoints."""
    lines = ["", "| | path | query | answer | |", "|---|---|---|---|---|"]
    lines += [
        f"| {one.method} | `{one.path}` | {_cell(one.query)} | {_cell(one.answer)} | {_cell(one.about)} |"
        for one in ENDPOINTS
    ]
    return "\n".join([*lines, "", ""])


def events_part() -> str:
    """The types of Marathon's events."""
    return "\n" + ", ".join(f"`{kind}`" for kind in KINDS) + "\n\n"


PARTS: Mapping[str, Callable[[], str]] = {
    "master-flags": lambda: flags_part(master.parser()),
    "agent-flags": lambda: flags_part(agent.parser()),
    "marathon-flags": marathon_part,
    "options": options_part,
}
"""What makes each part, by the name in its markers."""
MARATHON_PARTS: Mapping[str, Callable[[], str]] = {"endpoints": endpoints_part, "events": events_part}
PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {PAGE: PARTS, MARATHON_PAGE: MARATHON_PARTS}


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
    return max(_renew(path, parts, check=bool(arguments)) for path, parts in PAGES.items())


def _renew(path: Path, parts: Mapping[str, Callable[[], str]], *, check: bool) -> int:
    page = path.read_text()
    try:
        fresh = rewritten(page, parts)
    except ValueError as error:
        sys.stderr.write(f"{path}: {error}\n")
        return 2
    if fresh == page:
        return 0
    if check:
        sys.stderr.write(f"{path} is stale: run python scripts/reference.py\n")
        return 1
    path.write_text(fresh)
    print(f"{path} rewritten")
    return 0


def _marathon_row(flag: Flag) -> str:
    about = _SAID.sub("", flag.about) + (": " + ", ".join(flag.choices) if flag.choices else "")
    about += ", in ms" if flag.kind is Kind.MILLISECONDS else ""
    said = _SAID.search(flag.about)
    default = "required" if flag.required else _marathon_default(flag) or _cell(said[2] if said is not None else "")
    return f"| {_flag_names(flag)} | {default} | {_cell(about)} |"


def _flag_names(flag: Flag) -> str:
    names = [f"--{flag.name}", *(f"--{one}" for one in flag.older)]
    if flag.kind is Kind.TOGGLE:
        names.append(f"--disable_{flag.name}")
    return ", ".join(f"`{name}`" for name in names)


def _marathon_default(flag: Flag) -> str:
    if not flag.takes_value and flag.default is not None:
        return "on" if flag.default else "off"
    value = f"{flag.default:g}" if isinstance(flag.default, float) else str(flag.default or "")
    return f"`{_cell(value)}`" if value else ""


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
