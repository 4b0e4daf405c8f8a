"""What the agent's core is told and what it wants done.

What the master says (``agent_link.AgentEvent``) is handed to the core as it is; the rest is here.
"""

from __future__ import annotations

from headrace.kernel.core import Effect, Event, TimerFired
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.containers import POSIX, ContainerSpec, Limitation, Place
from headrace.mesos.messages.agent_link import AgentCall, AgentEvent
from headrace.mesos.messages.common import CommandUri, HealthCheck


class Begin(Event, frozen=True):
    """First thing after a start: take up what was left half done.

    ``ContainerFound`` follows for each task that may have a process.
    """


class LinkLost(Event, frozen=True):
    """The connection to the master is gone; it is being made anew."""

    why: str


class FetchDone(Event, frozen=True):
    """Everything that the task asked for is in its sandbox."""

    container_id: str


class FetchFailed(Event, frozen=True):
    """Something could not be fetched; ``message`` names the URI and the reason."""

    container_id: str
    message: str


class ContainerStarted(Event, frozen=True):
    """The container runs. ``pid`` is its first process's as this machine sees it; ``ip`` its own address, if any."""

    container_id: str
    pid: int
    ip: str = ""


class StartFailed(Event, frozen=True):
    """The container could not be started."""

    container_id: str
    message: str


class ContainerEnded(Event, frozen=True):
    """The container's command has ended; ``limitation`` is set if it was ended for going over a limit."""

    container_id: str
    end: Ended
    limitation: Limitation | None = None


class ContainerFound(Event, frozen=True):
    """What a restarted agent found of a container; ``end`` is set if it has ended."""

    container_id: str
    found: Found
    pid: int = 0
    end: Ended | None = None
    limitation: Limitation | None = None
    ip: str = ""


class Probed(Event, frozen=True):
    """The outcome of a health check; ``why`` explains a failure."""

    container_id: str
    passed: bool
    why: str = ""


class ShutdownRequested(Event, frozen=True):
    """Somebody wants this agent gone for good, tasks included."""

    why: str


AgentInput = (
    AgentEvent
    | Begin
    | LinkLost
    | FetchDone
    | FetchFailed
    | ContainerStarted
    | StartFailed
    | ContainerEnded
    | ContainerFound
    | Probed
    | ShutdownRequested
    | TimerFired
)


class Fetch(Effect, frozen=True):
    """Make the sandbox anew and fill it; answered by FetchDone or FetchFailed."""

    place: Place
    uris: list[CommandUri]
    user: str = ""


class CancelFetch(Effect, frozen=True):
    """Stop fetching; nothing is answered."""

    container_id: str


class StartContainer(Effect, frozen=True):
    """Start a container; answered by ContainerStarted or StartFailed, later ContainerEnded."""

    spec: ContainerSpec


class SignalContainer(Effect, frozen=True):
    """SIGTERM to all processes of the container, or SIGKILL if ``force``; ``kind`` says who runs it."""

    container_id: str
    force: bool = False
    kind: str = POSIX


class ProbeHealth(Effect, frozen=True):
    """Carry out a health check in a container within ``timeout`` seconds; answered by Probed."""

    spec: ContainerSpec
    check: HealthCheck
    timeout: float


class Send(Effect, frozen=True):
    """Tell the master; dropped while there is no connection."""

    call: AgentCall


class Reconnect(Effect, frozen=True):
    """Connect to the master now; drop the present connection if there is one."""


class RemoveSandbox(Effect, frozen=True):
    """Remove all files of a run."""

    place: Place


class Exit(Effect, frozen=True):
    """Nothing is left to do: end the daemon once what was sent is out."""
