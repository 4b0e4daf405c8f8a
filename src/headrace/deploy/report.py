"""What a machine tells of its daemon: one line of JSON on stdout, which the other end of ssh looks for."""

from __future__ import annotations

import msgspec

_MARK = "headrace-deploy "


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """``state``: started, stopped, running, "not running", watched. ``problem``: why that is not as asked."""

    state: str
    pid: int = 0
    url: str = ""
    problem: str = ""
    notes: list[str] = []


def encode(report: Report) -> str:
    """The line."""
    return _MARK + msgspec.json.encode(report).decode()


def decode(output: str) -> Report | None:
    """The report in a machine's output, if there is one."""
    for line in reversed(output.splitlines()):
        if line.startswith(_MARK):
            try:
                return msgspec.json.decode(line[len(_MARK) :], type=Report)
            except msgspec.DecodeError:
                return None
    return None
