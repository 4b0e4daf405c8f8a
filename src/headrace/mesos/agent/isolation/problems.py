"""What isolation can't do for one container."""

from __future__ import annotations


class IsolationProblem(Exception):  # noqa: N818 - an answer to a task, not an error of the agent
    """The container can't be set up as it asks; says which field is at fault and what to do."""
