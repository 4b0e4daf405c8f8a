"""What happens to the master: calls, streams that end, timers.

A stream is named by its ``Mesos-Stream-Id``. Calls are checked for their shape (``calls``) before
they come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.kernel.core import Event, TimerFired
from headrace.mesos.messages import operator
from headrace.mesos.messages.agent_link import AgentCall, Register
from headrace.mesos.messages.scheduler import Call, Subscribe


class Started(Event, frozen=True):
    """The first event: what the store holds."""

    content: Mapping[str, bytes]


class FrameworkSubscribes(Event, frozen=True):
    """SUBSCRIBE on a new stream, which is open already."""

    stream: str
    subscribe: Subscribe
    peer: str = ""


class FrameworkCalled(Event, frozen=True):
    """Any other call; ``stream`` is empty if the caller named none. Answered by a Reply with an Answer."""

    request: int
    stream: str
    call: Call


class FrameworkStreamClosed(Event, frozen=True):
    """A framework's stream has ended, whoever ended it."""

    stream: str


class AgentRegisters(Event, frozen=True):
    """REGISTER on a new stream; ``ip`` is the agent's address as the master sees it."""

    stream: str
    register: Register
    ip: str


class AgentCalled(Event, frozen=True):
    """Calls of an agent, in order."""

    stream: str
    calls: Sequence[AgentCall]


class AgentStreamClosed(Event, frozen=True):
    """An agent's stream has ended, whoever ended it."""

    stream: str


class OperatorTearsDown(Event, frozen=True):
    """An operator ends a framework. Answered by a Reply with an Answer."""

    request: int
    framework_id: str


class OperatorCalled(Event, frozen=True):
    """An order of an operator, of sound shape. Answered by a Reply with an Answer."""

    request: int
    call: operator.Call


class OperatorSubscribes(Event, frozen=True):
    """SUBSCRIBE of an operator on a new stream, which is open already."""

    stream: str


class OperatorStreamClosed(Event, frozen=True):
    """The stream of an operator that watched has ended, whoever ended it."""

    stream: str


class OperatorRemovesQuota(Event, frozen=True):
    """The older way: DELETE of ``/quota/<role>``. Answered by a Reply with an Answer."""

    request: int
    role: str
    path: str


MasterEvent = (
    Started
    | FrameworkSubscribes
    | FrameworkCalled
    | FrameworkStreamClosed
    | AgentRegisters
    | AgentCalled
    | AgentStreamClosed
    | OperatorTearsDown
    | OperatorCalled
    | OperatorRemovesQuota
    | OperatorSubscribes
    | OperatorStreamClosed
    | TimerFired
)
