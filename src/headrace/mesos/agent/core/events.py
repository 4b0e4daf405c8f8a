"""What the agent's core is told and what it wants done.

What the master says (``agent_link.AgentEvent``) is handed to the core as it is; the rest is here.
"""

from __future__ import annotations

import msgspec

from headrace.kernel.core import Effect, Event, TimerFired
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.core.containers import POSIX, ContainerSpec, Limitation, Place
from headrace.mesos.messages import agent_operator as operator
from headrace.mesos.messages import executor
from headrace.mesos.messages.agent_link import AgentCall, AgentEvent
from headrace.mesos.messages.common import CheckInfo, CheckStatusInfo, CommandUri, HealthCheck


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
    """The container could not be started; ``lost``: there could not even be a sandbox for it."""

    container_id: str
    message: str
    lost: bool = False


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


class Checked(Event, frozen=True):
    """The outcome of a general check."""

    container_id: str
    status: CheckStatusInfo


class ExecutorCalls(Event, frozen=True):
    """A call of an executor, sound in itself; answered by Reply with an Answer.

    ``stream`` is set for SUBSCRIBE: where Tell reaches the executor from now on.
    """

    to: int
    call: executor.Call
    stream: int = 0


class ExecutorStreamClosed(Event, frozen=True):
    """An executor's connection is gone."""

    framework_id: str
    executor_id: str
    stream: int


class ContainerCalled(Event, frozen=True):
    """An operator's call about a container, sound in itself; answered by Reply with a ContainerAnswer."""

    to: int
    call: operator.Call


class ContainerGivenUp(Event, frozen=True):
    """Somebody has gone whose request ``to`` waited for a container's end, or launched the session that it is."""

    container_id: str
    to: int


class DiskUsage(Event, frozen=True):
    """So large a share of the disk that holds the sandboxes is in use."""

    share: float


class LimitExceeded(Event, frozen=True):
    """A running container is over a limit that the agent itself has to enforce: end it."""

    container_id: str
    limitation: Limitation


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
    | Checked
    | ExecutorCalls
    | ExecutorStreamClosed
    | ContainerCalled
    | ContainerGivenUp
    | DiskUsage
    | LimitExceeded
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


class UpdateContainer(Effect, frozen=True):
    """A container holds other resources now, as an executor does with each task; ``spec`` is what it would be today."""

    spec: ContainerSpec


class SignalContainer(Effect, frozen=True):
    """SIGTERM to all processes of the container, or SIGKILL if ``force``; ``kind`` says who runs it.

    ``number``: if it is not 0, this signal instead, and to the command alone.
    """

    container_id: str
    force: bool = False
    kind: str = POSIX
    number: int = 0


class ProbeHealth(Effect, frozen=True):
    """Carry out a health check in a container within ``timeout`` seconds; answered by Probed."""

    spec: ContainerSpec
    check: HealthCheck
    timeout: float


class ProbeCheck(Effect, frozen=True):
    """Carry out a general check in a container within ``timeout`` seconds; answered by Checked."""

    spec: ContainerSpec
    check: CheckInfo
    timeout: float


class Answer(msgspec.Struct, frozen=True):
    """What an executor's call is answered with: an HTTP status and, for a refusal, a text."""

    status: int
    text: str = ""


class ContainerAnswer(msgspec.Struct, frozen=True):
    """What an operator's call about a container is answered with; ``waited``: the end of the container."""

    status: int
    text: str = ""
    waited: operator.Waited | None = None


class Tell(Effect, frozen=True):
    """Send an event to an executor; dropped if the stream has ended."""

    stream: int
    event: executor.Event


class CloseStream(Effect, frozen=True):
    """End an executor's connection."""

    stream: int


class MakeVolume(Effect, frozen=True):
    """Make the directory of a persistent volume, empty. ``source``: the disk it is on, as JSON, if not the agent's."""

    role: str
    volume_id: str
    source: bytes = b""


class RemoveVolume(Effect, frozen=True):
    """Remove the directory of a persistent volume with all that is in it."""

    role: str
    volume_id: str
    source: bytes = b""


class KeepVolumes(Effect, frozen=True):
    """After a restart: these volumes are to be there, and no others; they keep what they hold."""

    volumes: list[MakeVolume]


class Send(Effect, frozen=True):
    """Tell the master; dropped while there is no connection."""

    call: AgentCall


class Reconnect(Effect, frozen=True):
    """Connect to the master now; drop the present connection if there is one."""


class RemoveSandbox(Effect, frozen=True):
    """Remove all files of a run."""

    place: Place


class RemoveRun(Effect, frozen=True):
    """Remove what the agent keeps about a run; its sandbox stays."""

    container_id: str


class Exit(Effect, frozen=True):
    """Nothing is left to do: end the daemon once what was sent is out."""
