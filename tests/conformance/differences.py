"""Where our master means to differ from the recordings, and why."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """What comes instead of what was recorded; ``skip`` leaves the entry out."""

    reason: str
    status: int | None = None
    body: str | None = None
    skip: bool = False


SAME = Difference("no difference is meant")

DIFFERENCES: dict[tuple[str, str], Difference] = {}
