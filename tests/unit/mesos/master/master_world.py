"""A master's core with hand-driven frameworks and agents around it, and the invariants of its books."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterable
from typing import Any

import msgspec

from headrace.kernel.core import CancelTimer, Delete, Effect, Put, Reply, SetTimer, TimerFired
from headrace.mesos import content, operations
from headrace.mesos.master.api import calls
from headrace.mesos.master.core.books import Settings
from headrace.mesos.master.core.effects import (
    Answer,
    CloseAgent,
    CloseFramework,
    SendToAgent,
    SendToFramework,
    SendToOperators,
    Warn,
)
from headrace.mesos.master.core.events import (
    AgentCalled,
    AgentRegisters,
    AgentStreamClosed,
    FrameworkCalled,
    FrameworkStreamClosed,
    FrameworkSubscribes,
    MasterEvent,
    OperatorCalled,
    OperatorSubscribes,
    Started,
)
from headrace.mesos.master.core.master import MasterCore
from headrace.mesos.master.core.offers_event import OffersEvent
from headrace.mesos.messages import operator, operator_answers
from headrace.mesos.messages.agent_link import (
    AcknowledgeOperation,
    AgentEvent,
    ApplyOperation,
    ExecutorExited,
    KnownExecutor,
    KnownOperation,
    KnownTask,
    OperationUpdate,
    Ping,
    Pong,
    Register,
    Registered,
    RunGroup,
    RunTasks,
    StatusUpdate,
)
from headrace.mesos.messages.common import (
    Address,
    AgentID,
    AgentInfo,
    Capability,
    CommandInfo,
    ExecutorID,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    InverseOffer,
    MasterCapability,
    MasterInfo,
    Offer,
    OfferConstraints,
    OperationStatus,
    OperationUuid,
    TaskID,
    TaskInfo,
    TaskStatus,
    is_terminal,
)
from headrace.mesos.messages.scheduler import Call, Event, Subscribe
from headrace.mesos.resources import EMPTY, Resources

CAPABILITIES = ("MULTI_ROLE", "RESERVATION_REFINEMENT")


def framework_info(
    name: str = "fw",
    *,
    roles: Iterable[str] = ("test",),
    capabilities: Iterable[str] = CAPABILITIES,
    failover_timeout: float = 60.0,
    **more: Any,
) -> FrameworkInfo:
    return FrameworkInfo(
        "root",
        name,
        failover_timeout=failover_timeout,
        roles=list(roles),
        capabilities=[Capability(c) for c in capabilities],
        **more,
    )


def master_info(name: str) -> MasterInfo:
    address = Address("127.0.0.1", "127.0.0.1", 5050)
    capabilities = [MasterCapability("AGENT_UPDATE")]
    return MasterInfo(name, 16777343, 5050, "master@127.0.0.1:5050", "127.0.0.1", "1.11.0", address, capabilities)


def agent_info(hostname: str = "h1", port: int = 5051, **amounts: float) -> AgentInfo:
    return AgentInfo(hostname, port, Resources.of(**(amounts or {"cpus": 8, "mem": 8192})).messages())


class FakeAgent:
    """What an agent process would hold and say."""

    def __init__(self, world: World, info: AgentInfo) -> None:
        self.world = world
        self.info = info
        self.id: str | None = None
        self.stream: str | None = None
        self.events: list[AgentEvent] = []
        self.tasks: dict[str, tuple[FrameworkInfo, TaskInfo, TaskStatus]] = {}
        self.executors: dict[tuple[str, str], tuple[FrameworkInfo, ExecutorInfo]] = {}
        self.executor_of: dict[str, ExecutorID] = {}
        self.operations: dict[tuple[str, str], KnownOperation] = {}
        self.total: Resources | None = None  # as operations have left it
        self.answers_pings = True
        self.answers_operations = True

    def register(self, ip: str = "10.0.0.1") -> None:
        self.stream = self.world.new_stream()
        self.world.agents[self.stream] = self
        known = [
            KnownTask(_id(framework), info, status, executor_id=self.executor_of.get(info.task_id.value))
            for framework, info, status in self.tasks.values()
        ]
        infos = {framework.id: framework for framework, _, _ in self.tasks.values()}
        infos.update({framework.id: framework for framework, _ in self.executors.values()})
        register = Register(
            self.info,
            "0.1",
            AgentID(self.id) if self.id else None,
            list(infos.values()),
            known,
            [KnownExecutor(_id(framework), executor) for framework, executor in self.executors.values()],
            list(self.operations.values()),
            self.total.messages() if self.total is not None else None,
        )
        self.world.feed(AgentRegisters(self.stream, register, ip))

    def hear(self, event: AgentEvent) -> None:
        self.events.append(event)
        if isinstance(event, RunTasks | RunGroup):
            for info in event.tasks:
                staging = TaskStatus(info.task_id, "TASK_STAGING")
                self.tasks[info.task_id.value] = (event.framework, info, staging)
                executor = event.executor if isinstance(event, RunGroup) else info.executor
                if executor is not None:
                    self.executor_of[info.task_id.value] = executor.executor_id
                    key = (_id(event.framework).value, executor.executor_id.value)
                    self.executors[key] = (event.framework, executor)
        elif isinstance(event, ApplyOperation):
            self._apply(event)
        elif isinstance(event, AcknowledgeOperation) and event.framework_id is not None:
            self.operations.pop((event.framework_id.value, event.operation_id.value), None)
        elif isinstance(event, Registered):
            self.id = event.agent_id.value
        elif isinstance(event, Ping) and self.answers_pings and self.stream is not None:
            self.world.later.append(AgentCalled(self.stream, [Pong()]))

    def _apply(self, event: ApplyOperation) -> None:
        total = Resources.parse(self.info.resources) if self.total is None else self.total
        self.total = operations.apply(event.operation, total)
        if event.operation.id is None or event.framework_id is None:
            return
        uuid = OperationUuid(self.world.new_uuid())
        status = OperationStatus("OPERATION_FINISHED", event.operation.id, uuid=uuid)
        key = (event.framework_id.value, event.operation.id.value)
        self.operations[key] = KnownOperation(event.operation, status, event.framework_id)
        if self.answers_operations and self.stream is not None:
            self.world.later.append(AgentCalled(self.stream, [OperationUpdate(status, event.framework_id)]))

    def forget_everything(self) -> None:
        """As a new agent, without its past."""
        self.id, self.total = None, None
        self.tasks.clear()
        self.executors.clear()
        self.operations.clear()

    def forget_framework(self, framework_id: str) -> None:
        """The framework is no more: end what it runs."""
        self.tasks = {t: task for t, task in self.tasks.items() if _id(task[0]).value != framework_id}
        self.executors = {key: executor for key, executor in self.executors.items() if key[0] != framework_id}
        self.operations = {key: known for key, known in self.operations.items() if key[0] != framework_id}

    def executor_exits(self, framework_id: str, executor_id: str, status: int = 0) -> None:
        """The executor ends, and its tasks with it; of these the agent speaks afterwards."""
        del self.executors[framework_id, executor_id]
        self.call(ExecutorExited(FrameworkID(framework_id), ExecutorID(executor_id), status))

    def status(self, task_id: str, state: str, **more: Any) -> TaskStatus:
        return TaskStatus(
            TaskID(task_id),
            state,
            agent_id=AgentID(self.id or ""),
            timestamp=self.world.now,
            uuid=self.world.new_uuid(),
            **more,
        )

    def update(self, task_id: str, state: str, **more: Any) -> TaskStatus:
        framework, info, _ = self.tasks[task_id]
        status = self.status(task_id, state, **more)
        self.world.said.setdefault((_id(framework).value, task_id), []).append(status.uuid or "")
        self.tasks[task_id] = (framework, info, status)
        if self.stream is not None:
            self.world.feed(AgentCalled(self.stream, [StatusUpdate(framework.id or FrameworkID(""), status, state)]))
        return status

    def call(self, *said: Any) -> None:
        assert self.stream is not None
        self.world.feed(AgentCalled(self.stream, list(said)))

    def disconnect(self) -> None:
        stream, self.stream = self.stream, None
        if stream is not None:
            del self.world.agents[stream]
            self.world.feed(AgentStreamClosed(stream))

    def heard(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class FakeFramework:
    """What a scheduler process would hold and say."""

    def __init__(self, world: World, info: FrameworkInfo) -> None:
        self.world = world
        self.info = info
        self.id = ""
        self.stream: str | None = None
        self.events: list[Event] = []
        self.offers: dict[str, Offer] = {}
        self.inverse_offers: dict[str, InverseOffer] = {}

    def subscribe(self, suppressed: Iterable[str] = (), constraints: OfferConstraints | None = None) -> None:
        self.stream = self.world.new_stream()
        self.world.frameworks[self.stream] = self
        info = msgspec.structs.replace(self.info, id=FrameworkID(self.id)) if self.id else self.info
        subscribe = Subscribe(info, suppressed_roles=list(suppressed), offer_constraints=constraints)
        self.world.feed(FrameworkSubscribes(self.stream, subscribe))

    def hear(self, event: Event) -> None:
        self.events.append(event)
        if event.subscribed is not None:
            self.id = event.subscribed.framework_id.value
        for offer in event.offers.offers if event.offers is not None else ():
            self.offers[offer.id.value] = offer
        if event.rescind is not None:
            self.offers.pop(event.rescind.offer_id.value, None)
        if event.update is not None:
            self._hear_status(event.update.status)
        if event.update_operation_status is not None and (uuid := event.update_operation_status.status.uuid):
            self.world.heard[uuid.value] = None
        for wish in event.inverse_offers.inverse_offers if event.inverse_offers is not None else ():
            self.inverse_offers[wish.id.value] = wish
        if event.rescind_inverse_offer is not None:
            self.inverse_offers.pop(event.rescind_inverse_offer.inverse_offer_id.value, None)

    def _hear_status(self, status: TaskStatus) -> None:
        """Of one task, those from its agent come in the order in which the agent spoke; repeats aside."""
        if status.uuid is None or status.uuid in self.world.heard:
            return
        said = self.world.said.get((self.id, status.task_id.value), [])
        later = said[said.index(status.uuid) + 1 :] if status.uuid in said else []
        assert not any(uuid in self.world.heard for uuid in later), f"{status.task_id.value}: {status.state} is late"
        self.world.heard[status.uuid] = None

    def call(self, kind: str, **body: Any) -> Answer:
        """A call from JSON-like data, as a client would send it."""
        raw = {"type": kind, "framework_id": {"value": self.id}, **body}
        call = calls.read(msgspec.json.encode(raw))
        return self.world.ask(self.stream or "", call)

    def accept(self, *tasks: dict[str, Any], offers: Iterable[str] | None = None, refuse: float = 0.0) -> Answer:
        ids = list(offers if offers is not None else list(self.offers)[:1])
        operations = [{"type": "LAUNCH", "launch": {"task_infos": list(tasks)}}] if tasks else []
        for offer_id in ids:
            self.offers.pop(offer_id, None)
        return self.call(
            "ACCEPT",
            accept={
                "offer_ids": [{"value": i} for i in ids],
                "operations": operations,
                "filters": {"refuse_seconds": refuse},
            },
        )

    def operate(self, *operations: dict[str, Any], offers: Iterable[str] | None = None, refuse: float = 0.0) -> Answer:
        """Accept an offer for these operations."""
        ids = list(offers if offers is not None else list(self.offers)[:1])
        for offer_id in ids:
            self.offers.pop(offer_id, None)
        body = {"offer_ids": [{"value": i} for i in ids], "operations": list(operations)}
        return self.call("ACCEPT", accept={**body, "filters": {"refuse_seconds": refuse}})

    def executor(self, executor_id: str, **more: Any) -> dict[str, Any]:
        resources = more.pop("resources", {"cpus": 0.1, "mem": 32, "disk": 32})
        return {
            "type": "DEFAULT",
            "executor_id": {"value": executor_id},
            "framework_id": {"value": self.id},
            "resources": msgspec.to_builtins(Resources.of(**resources).messages()),
            **more,
        }

    def group(self, executor: dict[str, Any], *tasks: dict[str, Any]) -> dict[str, Any]:
        return {"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": {"tasks": list(tasks)}}}

    def task(self, task_id: str, agent: FakeAgent, **more: Any) -> dict[str, Any]:
        resources = more.pop("resources", {"cpus": 1, "mem": 32})
        return {
            "name": task_id,
            "task_id": {"value": task_id},
            "agent_id": {"value": agent.id},
            "resources": msgspec.to_builtins(Resources.of(**resources).messages()),
            "command": msgspec.to_builtins(CommandInfo("true")),
            **more,
        }

    def decline(self, *offers: str, refuse: float | None = None) -> Answer:
        for offer_id in offers:
            self.offers.pop(offer_id, None)
        filters = {"filters": {"refuse_seconds": refuse}} if refuse is not None else {}
        return self.call("DECLINE", decline={"offer_ids": [{"value": i} for i in offers], **filters})

    def acknowledge(self, status: TaskStatus) -> Answer:
        assert status.agent_id is not None
        return self.call(
            "ACKNOWLEDGE",
            acknowledge={
                "agent_id": {"value": status.agent_id.value},
                "task_id": {"value": status.task_id.value},
                "uuid": status.uuid,
            },
        )

    def acknowledge_operation(self, status: OperationStatus) -> Answer:
        assert status.agent_id is not None
        assert status.uuid is not None
        assert status.operation_id is not None
        body = {
            "agent_id": {"value": status.agent_id.value},
            "uuid": status.uuid.value,
            "operation_id": {"value": status.operation_id.value},
        }
        return self.call("ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=body)

    def disconnect(self) -> None:
        stream, self.stream = self.stream, None
        self.offers.clear()
        if stream is not None:
            del self.world.frameworks[stream]
            self.world.feed(FrameworkStreamClosed(stream))

    @property
    def statuses(self) -> list[TaskStatus]:
        return [event.update.status for event in self.events if event.update is not None]

    @property
    def operation_statuses(self) -> list[OperationStatus]:
        events = [event.update_operation_status for event in self.events]
        return [event.status for event in events if event is not None]

    @property
    def kinds(self) -> list[str]:
        return [event.type for event in self.events]

    def take(self) -> list[Event]:
        """What was heard since the last time."""
        events, self.events = self.events, []
        return events


class FakeOperator:
    """Who watches: what it knows after each event must be what the books hold."""

    def __init__(self, world: World) -> None:
        self.events: list[operator_answers.Event] = []
        self.agents: set[str] = set()
        self.frameworks: set[str] = set()
        self.tasks: dict[tuple[str, str], str] = {}
        self.stream = world.new_stream()
        world.operators[self.stream] = self
        world.feed(OperatorSubscribes(self.stream))

    def hear(self, event: operator_answers.Event) -> None:
        self.events.append(event)
        if event.subscribed is not None:
            self._begin(event.subscribed.get_state)
        if event.agent_added is not None:
            self.agents.add(_id(event.agent_added.agent.agent_info).value)
        if event.agent_removed is not None:
            self.agents.remove(event.agent_removed.agent_id.value)
        if event.framework_added is not None:
            added = _id(event.framework_added.framework.framework_info).value
            assert added not in self.frameworks
            self.frameworks.add(added)
        if event.framework_updated is not None:
            assert _id(event.framework_updated.framework.framework_info).value in self.frameworks
        if event.framework_removed is not None:
            self.frameworks.remove(_id(event.framework_removed.framework_info).value)
        if event.task_added is not None:
            task = event.task_added.task
            self.tasks[task.framework_id.value, task.task_id.value] = task.state
        if event.task_updated is not None:
            updated = event.task_updated
            self.tasks[updated.framework_id.value, updated.status.task_id.value] = updated.state

    def _begin(self, state: operator_answers.State) -> None:
        agents = (*(agent.agent_info for agent in state.get_agents.agents), *state.get_agents.recovered_agents)
        self.agents = {_id(info).value for info in agents}
        self.frameworks = {_id(one.framework_info).value for one in state.get_frameworks.frameworks}
        tasks = (*state.get_tasks.tasks, *state.get_tasks.unreachable_tasks)
        self.tasks = {(task.framework_id.value, task.task_id.value): task.state for task in tasks}

    def validate(self, core: MasterCore) -> None:
        books = core.books
        assert self.agents == {*books.agents, *books.awaited}
        assert self.frameworks == set(books.frameworks)
        for framework in books.frameworks.values():
            for task in (*framework.tasks.values(), *framework.unreachable.values()):
                assert self.tasks[task.key] == task.state

    @property
    def kinds(self) -> list[str]:
        """What was heard since the last time."""
        events, self.events = self.events, []
        return [event.type for event in events]


class World:
    """One master, its store and its clock. Every event is followed by a check of the invariants."""

    def __init__(
        self, settings: Settings | None = None, content: dict[str, bytes] | None = None, name: str = "m"
    ) -> None:
        self.now = 1000.0
        self.settings = settings or Settings()
        self.store: dict[str, bytes] = dict(content or {})
        self.frameworks: dict[str, FakeFramework] = {}
        self.agents: dict[str, FakeAgent] = {}
        self.operators: dict[str, FakeOperator] = {}
        self.timers: dict[str, float] = {}
        self.answers: dict[int, Answer] = {}
        self.closed: list[str] = []
        self.later: list[MasterEvent] = []
        self.warnings: list[str] = []
        self.said: dict[tuple[str, str], list[str]] = {}  # uuids of statuses by framework and task, as agents said them
        self.heard: dict[str, None] = {}  # uuids that came to a framework
        self._numbers = itertools.count(1)
        self._start(name)

    def _start(self, name: str) -> None:
        self.core = MasterCore(master_info(name), self.settings)
        self.feed(Started(dict(self.store)))

    def restart(self, name: str = "n") -> None:
        """SIGKILL and a new master on the same store: streams and timers are gone."""
        for agent in self.agents.values():
            agent.stream = None
        for framework in self.frameworks.values():
            framework.stream = None
            framework.offers.clear()
        self.frameworks.clear()
        self.agents.clear()
        self.operators.clear()
        self.timers.clear()
        self._start(name)

    @property
    def books(self) -> Any:
        return self.core.books

    def new_stream(self) -> str:
        return f"stream-{next(self._numbers)}"

    def new_uuid(self) -> str:
        return base64.b64encode(next(self._numbers).to_bytes(16, "big")).decode()

    def agent(self, hostname: str = "h1", port: int = 5051, **amounts: float) -> FakeAgent:
        agent = FakeAgent(self, agent_info(hostname, port, **amounts))
        agent.register()
        return agent

    def framework(self, name: str = "fw", **more: Any) -> FakeFramework:
        framework = FakeFramework(self, framework_info(name, **more))
        framework.subscribe()
        return framework

    def feed(self, event: MasterEvent) -> list[Effect]:
        effects = self.core.handle(event, self.now)
        for effect in effects:
            if isinstance(effect, Put):
                self.store[effect.key] = effect.value
            elif isinstance(effect, Delete):
                self.store.pop(effect.key, None)
        for effect in effects:
            self._perform(effect)
        validate(self.core)
        for watcher in self.operators.values():
            watcher.validate(self.core)
        later, self.later = self.later, []
        for answer in later:
            self.feed(answer)
        return effects

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SetTimer(key, at):
                self.timers[key] = at
            case CancelTimer(key):
                self.timers.pop(key, None)
            case Reply(to, value):
                self.answers[to] = value
            case SendToFramework(stream, event) if stream in self.frameworks:
                self.frameworks[stream].hear(_decoded(event))
            case SendToAgent(stream, message) if stream in self.agents:
                self.agents[stream].hear(message)
            case SendToOperators(streams, news):
                for stream in streams:
                    self.operators[stream].hear(news)
            case Warn(text):
                self.warnings.append(text)
            case CloseFramework(stream):
                self.closed.append(stream)
                if party := self.frameworks.pop(stream, None):
                    party.stream = None if party.stream == stream else party.stream
            case CloseAgent(stream):
                self.closed.append(stream)
                if agent := self.agents.pop(stream, None):
                    agent.stream = None if agent.stream == stream else agent.stream

    def ask(self, stream: str, call: Call) -> Answer:
        number = next(self._numbers)
        self.feed(FrameworkCalled(number, stream, call))
        return self.answers.pop(number)

    def order(self, kind: str, **body: Any) -> Answer:
        """An order of an operator, from JSON-like data."""
        number = next(self._numbers)
        self.feed(OperatorCalled(number, msgspec.convert({"type": kind, **body}, operator.Call)))
        return self.answers.pop(number)

    def advance(self, seconds: float) -> None:
        """Let time pass; timers fire in order."""
        end = self.now + seconds
        while due := [(at, key) for key, at in self.timers.items() if at <= end]:
            at, key = min(due)
            del self.timers[key]
            self.now = max(self.now, at)
            self.feed(TimerFired(key))
        self.now = end


def _id(info: FrameworkInfo | AgentInfo) -> FrameworkID:
    return info.id or FrameworkID("")


def _decoded(event: Event | OffersEvent) -> Event:
    return msgspec.json.decode(content.JSON.write(event), type=Event)


def validate(core: MasterCore) -> None:
    """Every resource is counted exactly once, and everything that refers to something else finds it."""
    books = core.books
    books.allocator.validate()
    for agent in books.agents.values():
        held = EMPTY
        for task in agent.tasks.values():
            assert books.frameworks[task.framework_id].tasks[task.id] is task
            assert task.agent_id == agent.id
            assert task.holds != is_terminal(task.state)
            if task.holds:
                held = _disjoint_sum(held, task.resources)
        for executor in agent.executors.values():
            assert executor.agent_id == agent.id
            assert books.frameworks[executor.framework_id].executors[agent.id, executor.id] is executor
            held = _disjoint_sum(held, executor.resources)
        for offer in agent.offers.values():
            assert books.offers[offer.id] is offer
            held = _disjoint_sum(held, offer.resources)
        for tracked in agent.operations.values():
            assert books.frameworks[tracked.framework_id].operations[tracked.id] is tracked
        assert agent.active or not agent.offers
        assert agent.deactivation is books.deactivated.get(agent.id)
        if agent.deactivation is not None and agent.deactivation.drain is not None and agent.connected:
            assert agent.deactivation.drain.drained or agent.tasks or agent.operations, "it is drained"
        assert agent.total.contains(_each_volume_once(held)), f"{agent.id}: {held} of {agent.total}"
        owned = agent.used()
        for offer in agent.offers.values():
            owner = (offer.framework_id, offer.role)
            owned[owner] = owned.get(owner, EMPTY) + offer.resources
        assert books.allocator.held(agent.id) == {owner: resources for owner, resources in owned.items() if resources}
    for framework in books.frameworks.values():
        assert framework.connected or not framework.offers
        for offer in framework.offers.values():
            assert books.agents[offer.agent_id].offers[offer.id] is offer
            assert offer.role in framework.roles
        for task in framework.tasks.values():
            assert books.agents[task.agent_id].tasks[task.key] is task
        for executor in framework.executors.values():
            assert books.agents[executor.agent_id].executors[executor.key] is executor
        for tracked in framework.operations.values():
            assert books.agents[tracked.agent_id].operations[tracked.key] is tracked
        assert not framework.tasks.keys() & framework.unreachable.keys()
    assert sum(len(f.offers) for f in books.frameworks.values()) == len(books.offers)
    assert books.awaited <= books.absent.keys()
    assert books.deactivated.keys() <= books.agents.keys() | books.absent.keys()
    assert not books.emptied
    assert not books.agents.keys() & books.absent.keys()
    assert not books.agents.keys() & books.removed.keys()
    for address, agent in books.agent_addresses.items():
        assert books.agents.get(agent.id) is agent, f"{address} is that of {agent.id}, which is no more"
        assert address == (agent.ip, agent.info.port or 0), f"{agent.id} has left {address}"


def _each_volume_once(resources: Resources) -> Resources:
    """Shared volumes may be held more than once."""
    parts = {tag: Resources({"disk": 1000}) if tag.shared else part for tag, part in resources.parts.items()}
    return Resources(resources.scalars, resources.ranges, resources.sets, parts)


def _disjoint_sum(one: Resources, other: Resources) -> Resources:
    for name, spans in other.ranges.items():
        assert Resources(ranges={name: spans}) == Resources(ranges={name: spans}) - Resources(ranges=one.ranges)
    return one + other
