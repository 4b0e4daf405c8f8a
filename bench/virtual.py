"""The master's core with simulated agents and frameworks around it, in virtual time: no process, no socket, no clock.

Agents run what they are told to and say so; each task ends when its time has come. Frameworks take one task's worth
of each offer, as long as they want more, and refuse what is too small. Everything in between is the real core with the
real allocator.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headrace.kernel.core import CancelTimer, Effect, Reply, SetTimer, TimerFired
from headrace.mesos import MESOS_VERSION
from headrace.mesos.master.core.books import Settings
from headrace.mesos.master.core.effects import Answer, SendToAgent, SendToFramework
from headrace.mesos.master.core.events import (
    AgentCalled,
    AgentRegisters,
    FrameworkCalled,
    FrameworkStreamClosed,
    FrameworkSubscribes,
    MasterEvent,
    Started,
)
from headrace.mesos.master.core.master import MasterCore
from headrace.mesos.master.core.offers_event import OffersEvent
from headrace.mesos.messages.agent_link import AgentEvent, Ping, Pong, Register, Registered, RunTasks, StatusUpdate
from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    Capability,
    CommandInfo,
    Filters,
    FrameworkID,
    FrameworkInfo,
    Identifier,
    MasterInfo,
    Offer,
    TaskID,
    TaskInfo,
    TaskStatus,
)
from headrace.mesos.messages.scheduler import Accept, Acknowledge, Call, Decline, Event, Launch, Operation, Subscribe
from headrace.mesos.resources import EMPTY, Resources

REFUSE = 1.0
"""Seconds for which an offer that is too small is refused."""
_offer = msgspec.json.Decoder(Offer).decode


class Simulation:
    """A master; ``now`` in seconds. Whoever is in it hears what concerns them in the order in which it was said."""

    def __init__(self, shuffle: Callable[[list[str]], None] | None = None, settings: Settings | None = None) -> None:
        self.now = 0.0
        info = MasterInfo("master", 0, 5050, "master@127.0.0.1:5050", "localhost", MESOS_VERSION)
        self.core = MasterCore(info, settings or Settings(), shuffle)
        self.agents: dict[str, VirtualAgent] = {}
        self.frameworks: dict[str, VirtualFramework] = {}
        self._numbers = itertools.count(1)
        self._timers: dict[str, float] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._inbox: list[MasterEvent] = []
        self.feed(Started({}))

    def feed(self, event: MasterEvent) -> None:
        """Hand over an event, and all that follows from it at once."""
        self._inbox.append(event)
        while self._inbox:
            self._carry_out(self.core.handle(self._inbox.pop(0), self.now))

    def later(self, event: MasterEvent) -> None:
        """Hand it over after what is being handled now."""
        self._inbox.append(event)

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Do something at that time."""
        heapq.heappush(self._due, (when, next(self._numbers), what))

    def run_until(self, end: float) -> None:
        """Let time pass."""
        while self._due and self._due[0][0] <= end:
            self.now, _, what = heapq.heappop(self._due)
            what()
        self.now = end

    def new_stream(self) -> str:
        return f"stream-{next(self._numbers)}"

    def call(self, stream: str, call: Call) -> None:
        self.later(FrameworkCalled(next(self._numbers), stream, call))

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendToFramework(stream, event) if stream in self.frameworks:
                    self.frameworks[stream].hear(event)
                case SendToAgent(stream, event):
                    self.agents[stream].hear(event)
                case SetTimer(key, at):
                    self._timers[key] = at
                    self.at(at, lambda key=key, at=at: self._fire(key, at))  # type: ignore[misc]
                case CancelTimer(key):
                    self._timers.pop(key, None)
                case Reply(_, Answer(status, text)):
                    assert status < 300, (status, text)

    def _fire(self, key: str, at: float) -> None:
        if self._timers.get(key) == at:
            del self._timers[key]
            self.feed(TimerFired(key))


class VirtualAgent:
    """An agent; ``seconds`` says how long a task takes."""

    def __init__(
        self, world: Simulation, number: int, resources: Resources, seconds: Callable[[], float] = lambda: 1.0
    ) -> None:
        self._world, self._seconds = world, seconds
        self.id = ""
        self.tasks = 0
        self._stream = world.new_stream()
        world.agents[self._stream] = self
        info = AgentInfo(f"host-{number}", number, resources.messages())
        world.feed(AgentRegisters(self._stream, Register(info, MESOS_VERSION), "10.0.0.1"))

    def hear(self, event: AgentEvent) -> None:
        match event:
            case Registered(agent_id):
                self.id = agent_id.value
            case Ping():
                self._world.later(AgentCalled(self._stream, [Pong()]))
            case RunTasks(framework, tasks) if framework.id is not None:
                for task in tasks:
                    self.tasks += 1
                    self._say(framework.id, task, "TASK_RUNNING")
                    self._world.at(self._world.now + self._seconds(), self._end(framework.id, task))

    def _end(self, framework_id: FrameworkID, task: TaskInfo) -> Callable[[], None]:
        def end() -> None:
            self.tasks -= 1
            self._say(framework_id, task, "TASK_FINISHED")
            self._world.feed(AgentCalled(self._stream, []))  # so that what was said is heard

        return end

    def _say(self, framework_id: FrameworkID, task: TaskInfo, state: str) -> None:
        uuid = f"{task.task_id.value} {state}"
        status = TaskStatus(task.task_id, state, agent_id=AgentID(self.id), timestamp=self._world.now, uuid=uuid)
        self._world.later(AgentCalled(self._stream, [StatusUpdate(framework_id, status, state)]))


class VirtualFramework:
    """A framework of one role that runs tasks of one size, ``demand``, as many as ``wanted`` (None: all that fit).

    Without a demand it keeps what it is offered. ``held`` is what its ``running`` tasks take.
    """

    def __init__(
        self, world: Simulation, name: str, demand: Resources | None = None, wanted: int | None = None
    ) -> None:
        self._world, self.name = world, name
        self.demand, self.wanted = demand, wanted
        self.id = ""
        self.running = 0
        self.held = EMPTY
        self.refuse = REFUSE
        self.offers = 0
        self._launched = 0
        self._sizes: dict[str, Resources] = {}
        self.stream = world.new_stream()
        world.frameworks[self.stream] = self
        info = FrameworkInfo("root", name, failover_timeout=1e6, roles=[name], capabilities=[Capability("MULTI_ROLE")])
        world.feed(FrameworkSubscribes(self.stream, Subscribe(info)))

    def leave(self) -> None:
        """Its stream ends; what it was offered comes free."""
        del self._world.frameworks[self.stream]
        self._world.feed(FrameworkStreamClosed(self.stream))

    def hear(self, event: Event | OffersEvent) -> None:
        if isinstance(event, OffersEvent):
            self.offers += len(event.offers)
            if self.demand is not None:
                for parts in event.offers:
                    offer = _offer(b"{%b,%b}" % parts)
                    self._consider(offer, self.demand)
        elif event.error is not None:
            raise ValueError(event.error.message)
        elif event.subscribed is not None:
            self.id = event.subscribed.framework_id.value
        elif event.update is not None:
            self._follow(event.update.status)

    def _consider(self, offer: Offer, demand: Resources) -> None:
        wants = self.wanted is None or self.running < self.wanted
        if not wants or not Resources.parse(offer.resources).contains(demand):
            decline = Decline([offer.id], Filters(self.refuse))
            self._world.call(self.stream, Call("DECLINE", FrameworkID(self.id), decline=decline))
            return
        self._launched += 1
        self.running += 1
        self.held = self.held + demand
        self._sizes[f"{self.name}-{self._launched}"] = demand
        name = f"{self.name}-{self._launched}"
        resources = demand.messages(self.name)
        task = TaskInfo(name, TaskID(name), offer.agent_id, resources, command=CommandInfo(value="true"))
        launch: Any = Operation("LAUNCH", launch=Launch([task]))
        accept = Accept([offer.id], [launch], Filters(0))
        self._world.call(self.stream, Call("ACCEPT", FrameworkID(self.id), accept=accept))

    def _follow(self, status: TaskStatus) -> None:
        assert status.agent_id is not None
        assert status.uuid is not None
        assert status.state in ("TASK_RUNNING", "TASK_FINISHED"), status
        if status.state == "TASK_FINISHED":
            self.running -= 1
            self.held = self.held - self._sizes.pop(status.task_id.value)
        acknowledge = Acknowledge(status.agent_id, Identifier(status.task_id.value), status.uuid)
        self._world.call(self.stream, Call("ACKNOWLEDGE", FrameworkID(self.id), acknowledge=acknowledge))
