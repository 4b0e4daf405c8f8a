"""What the master does beside storing and setting timers: it sends events and closes streams."""

from __future__ import annotations

import msgspec

from headrace.kernel.core import Effect
from headrace.mesos.master.core.offers_event import OffersEvent
from headrace.mesos.messages import operator_answers, scheduler
from headrace.mesos.messages.agent_link import AgentEvent


class SendToFramework(Effect, frozen=True):
    """Send an event to a framework; nothing happens if its stream has ended."""

    stream: str
    event: scheduler.Event | OffersEvent


class CloseFramework(Effect, frozen=True):
    """End a framework's stream after what was sent before."""

    stream: str


class SendToAgent(Effect, frozen=True):
    """Send an event to an agent; nothing happens if its stream has ended."""

    stream: str
    event: AgentEvent


class CloseAgent(Effect, frozen=True):
    """End an agent's stream after what was sent before."""

    stream: str


class SendToOperators(Effect, frozen=True):
    """Send an event to operators that watch; streams that have ended are left out."""

    streams: tuple[str, ...]
    event: operator_answers.Event


class CloseOperator(Effect, frozen=True):
    """End an operator's stream after what was sent before."""

    stream: str


class Warn(Effect, frozen=True):
    """Tell whoever reads the log that something needs attention."""

    text: str


class Answer(msgspec.Struct, frozen=True):
    """The answer to a call: HTTP status and text."""

    status: int
    text: str = ""


ACCEPTED = Answer(202)
OK = Answer(200)
