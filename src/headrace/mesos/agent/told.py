"""What of the agent's stories operators want in its log."""

from __future__ import annotations

import logging

from headrace.kernel.log import StoryLog
from headrace.mesos.messages.common import is_terminal

_SAID_BY_LINK = ("registered", "lost the master")
_TURNS = ("TASK_RUNNING", "refused", "executor accepted", "executor ended")


def story_log() -> StoryLog:
    """The listener: one line when a task or executor starts, one when it ends, and what befalls the agent."""
    return StoryLog(logging.getLogger(__name__), matters)


def matters(subject: str, what: str) -> bool:
    """Whether it is logged at INFO. The connection to the master is the link's to tell of."""
    if subject == "agent":
        return not what.startswith(_SAID_BY_LINK) and what != "refused by the master"
    return what in _TURNS or is_terminal(what)
