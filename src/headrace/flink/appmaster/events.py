"""What the application master's core hears, and what it has done."""

from __future__ import annotations

import enum

import msgspec

from headrace.kernel.core import Effect, Event, TimerFired
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import Offer, TaskStatus


class Goal(enum.Enum):
    """What a worker is meant to be; stored before anything is done about it."""

    NEW = "New"
    LAUNCHED = "Launched"
    RELEASED = "Released"


class Stop(enum.Enum):
    """What becomes of a cluster that is asked to stop.

    DESTROY: nothing of it stays. SUSPEND: no process stays, but its jobs' files do. RESTART: only the JobManager
    ends; framework, TaskManagers and all that is kept wait for the next application master.
    """

    DESTROY = "destroy"
    SUSPEND = "suspend"
    RESTART = "restart"


class Worker(msgspec.Struct, frozen=True):
    """A TaskManager that Flink asked for; its id is its task's id.

    ``jvm`` and ``dynamic`` are the memory arguments and ``-D`` pairs that Flink computed for it. ``places`` has the
    values of its agent's attributes that constraints count by.
    """

    id: str
    cpus: float
    memory_mib: int
    slots: int
    jvm: str
    dynamic: list[str]
    goal: Goal = Goal.NEW
    agent_id: str = ""
    hostname: str = ""
    ports: list[int] = []
    places: dict[str, str] = {}


class Driver(msgspec.Struct, frozen=True):
    """The driver in the JobManager, as it attached."""

    attempt: str
    web: str
    rpc: str


# events


class Started(Event, frozen=True):
    """The process is up. ``job_manager_alive``: the JobManager of an earlier process still runs.

    ``to_stop``: it was started only to end what an earlier process could not; ``StopDecided`` follows.
    """

    job_manager_alive: bool
    to_stop: bool = False


class MasterConnected(Event, frozen=True):
    """Subscribed under this id."""

    framework_id: str


class MasterDisconnected(Event, frozen=True):
    """The subscription is gone, outstanding offers with it."""

    why: str


class OffersReceived(Event, frozen=True):
    offers: list[Offer]


class OfferRescinded(Event, frozen=True):
    offer_id: str


class StatusReceived(Event, frozen=True):
    status: TaskStatus


class MasterRefused(Event, frozen=True):
    """The master's ERROR: the subscription is not (or no longer) possible."""

    message: str


class DriverAttached(Event, frozen=True):
    """Answered with an Attachment."""

    request: int
    driver: Driver


class WorkerRequested(Event, frozen=True):
    """Answered with None once it is stored."""

    request: int
    worker: Worker


class WorkerReleased(Event, frozen=True):
    """Answered with None once it is stored."""

    request: int
    id: str


class DriverDeregistered(Event, frozen=True):
    """Flink has shut the cluster down, with this result. Answered with None."""

    request: int
    status: str
    diagnostics: str


class JobManagerEnded(Event, frozen=True):
    """``mistake``: what the user has to put right before another run makes sense."""

    run: int
    how: str
    mistake: str = ""


class StopAsked(Event, frozen=True):
    """SIGTERM: the JobManager is to end; ``StopDecided`` follows and says what becomes of the rest."""


class StopDecided(Event, frozen=True):
    """What SIGTERM means, and why."""

    stop: Stop
    why: str


class StateAsked(Event, frozen=True):
    """Answered with a dict for people."""

    request: int


AppMasterEvent = (
    Started
    | MasterConnected
    | MasterDisconnected
    | OffersReceived
    | OfferRescinded
    | StatusReceived
    | MasterRefused
    | DriverAttached
    | WorkerRequested
    | WorkerReleased
    | DriverDeregistered
    | JobManagerEnded
    | StopAsked
    | StopDecided
    | StateAsked
    | TimerFired
)

# effects


class Attachment(msgspec.Struct, frozen=True):
    """The answer to an attaching driver."""

    workers: list[str]
    sequence: int


class SendCall(Effect, frozen=True):
    """Send a call to the master; it is lost if there is no subscription."""

    call: scheduler.Call


class ShowWebUi(Effect, frozen=True):
    """Tell the master where the dashboard is. ``suppressed``: offers are not wanted at the moment."""

    url: str
    suppressed: bool


class ForgetFramework(Effect, frozen=True):
    """Subscribe without an id from now on."""


class LeaveMaster(Effect, frozen=True):
    """Do not subscribe again: the framework has been torn down."""


class TellDriver(Effect, frozen=True):
    """``kind`` is ``started`` or ``terminated``."""

    sequence: int
    kind: str
    id: str
    reason: str


class StartJobManager(Effect, frozen=True):
    run: int


class SignalJobManager(Effect, frozen=True):
    run: int
    kill: bool


class Finish(Effect, frozen=True):
    """End this process with ``status``.

    ``gone``: the cluster is not to come back, nor are its jobs. ``kept``: its framework was not torn down, and the
    store is the next application master's. ``left``: the framework that should have been torn down, and was not for
    want of a master. ``said``: as what Flink ended it, if Flink did.
    """

    status: int
    why: str
    gone: bool = False
    kept: bool = False
    said: str = ""
    left: str = ""
