"""Stories for people."""

from __future__ import annotations

from headrace.kernel.clock import iso8601
from headrace.kernel.core import StoryLine


def why(lines: list[StoryLine]) -> list[dict[str, str]]:
    """A story for people: when, what, why."""
    return [{"at": iso8601(one.at), "what": one.what, "why": one.why} for one in lines]
