"""What the agent's core is told and what it wants done.

What the master says (``agent_link.AgentEvent``) is handed to the core as it is; the rest is here.
"""

from __future__ import annotations

from headrace.kernel.core import Effect, Event, TimerFired
from headrace.kernel.process import Ended, Found
from headrace.mesos.messages.agent_link import AgentCall, AgentEvent
from headrace.mesos.messages.common import CommandUri, HealthCheck, TaskInfo


class Begin(Event, frozen=True):
    """First thing after a start: take up what was left half done.

    ``RunFound`` follows for each task that may have a process.
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


class ProcessStarted(Event, frozen=True):
    """The task's supervisor runs."""

    container_id: str
    pid: int


class StartFailed(Event, frozen=True):
    """The task's process could not be started."""

    container_id: str
    message: str


class ProcessEnded(Event, frozen=True):
    """The task's command has ended."""

    container_id: str
    end: Ended


class RunFound(Event, frozen=True):
    """What a restarted agent found of a task's process; ``end`` is set if it has ended."""

    container_id: str
    found: Found
    pid: int = 0
    end: Ended | None = None


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
    | ProcessStarted
    | StartFailed
    | ProcessEnded
    | RunFound
    | Probed
    | ShutdownRequested
    | TimerFired
)


class Place(Effect, frozen=True):
    """Which task's which run: enough to find its directories."""

    agent_id: str
    framework_id: str
    executor_id: str
    container_id: str


class Fetch(Effect, frozen=True):
    """Make the sandbox anew and fill it; answered by FetchDone or FetchFailed."""

    place: Place
    uris: list[CommandUri]
    user: str = ""


class CancelFetch(Effect, frozen=True):
    """Stop fetching; nothing is answered."""

    container_id: str


class StartProcess(Effect, frozen=True):
    """Start the task's command; answered by ProcessStarted or StartFailed, later ProcessEnded."""

    place: Place
    task: TaskInfo


class SignalTask(Effect, frozen=True):
    """SIGTERM to all processes of the task, or SIGKILL if ``force``."""

    container_id: str
    force: bool = False


class ProbeHealth(Effect, frozen=True):
    """Carry out the task's health check within ``timeout`` seconds; answered by Probed."""

    place: Place
    task: TaskInfo
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
