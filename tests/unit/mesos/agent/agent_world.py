"""The world around an agent's core, without processes, sockets or time: carries out effects on paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headrace.kernel.core import CancelTimer, Delete, Effect, Put, Reply, SetTimer, TimerFired
from headrace.kernel.ids import numbered_ids
from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.core.agent import AgentConfig, AgentCore
from headrace.mesos.agent.core.containers import POSIX, ContainerSpec
from headrace.mesos.agent.core.events import (
    AgentInput,
    Answer,
    Begin,
    CancelFetch,
    CloseStream,
    ContainerEnded,
    ContainerFound,
    ContainerStarted,
    ExecutorCalls,
    Exit,
    Fetch,
    FetchDone,
    KeepVolumes,
    LinkLost,
    MakeVolume,
    ProbeCheck,
    ProbeHealth,
    Reconnect,
    RemoveRun,
    RemoveSandbox,
    RemoveVolume,
    Send,
    SignalContainer,
    StartContainer,
    Tell,
    UpdateContainer,
)
from headrace.mesos.agent.core.records import CUSTOM, ENDED, load
from headrace.mesos.messages import executor as api
from headrace.mesos.messages.agent_link import (
    AcknowledgeUpdate,
    AgentCall,
    KillTask,
    Registered,
    RunGroup,
    RunTasks,
    StatusUpdate,
)
from headrace.mesos.messages.common import (
    AgentID,
    AgentInfo,
    CommandInfo,
    CommandUri,
    ExecutorInfo,
    FrameworkID,
    FrameworkInfo,
    Identifier,
    Resource,
    Scalar,
    TaskID,
    TaskInfo,
    TaskStatus,
    is_terminal,
)
from headrace.mesos.resources import Resources

INFO = AgentInfo("host", 5051, [Resource("cpus", "SCALAR", scalar=Scalar(8))])


def framework(name: str = "fw", **more: Any) -> FrameworkInfo:
    return FrameworkInfo("root", name, FrameworkID(name), **more)


def task(task_id: str, *, uris: bool = False, **more: Any) -> TaskInfo:
    command = CommandInfo("sleep 1", uris=[CommandUri("/file")] if uris else None)
    resources = [Resource("cpus", "SCALAR", scalar=Scalar(0.1))]
    return TaskInfo(task_id, TaskID(task_id), AgentID("S0"), **{"resources": resources, "command": command, **more})


def custom(executor_id: str = "e", *, uris: bool = False, **more: Any) -> ExecutorInfo:
    """A custom executor."""
    command = CommandInfo("run-it", uris=[CommandUri("/file")] if uris else None)
    resources = [Resource("cpus", "SCALAR", scalar=Scalar(0.5))]
    return ExecutorInfo(Identifier(executor_id), "CUSTOM", command=command, resources=resources, **more)


def default(executor_id: str = "d", **more: Any) -> ExecutorInfo:
    """A default executor."""
    resources = [Resource("cpus", "SCALAR", scalar=Scalar(0.25))]
    return ExecutorInfo(Identifier(executor_id), "DEFAULT", resources=resources, **more)


def delivered(task_id: str, executor_id: str = "e", **more: Any) -> TaskInfo:
    """A task for a custom executor."""
    resources = [Resource("cpus", "SCALAR", scalar=Scalar(0.1))]
    return TaskInfo(task_id, TaskID(task_id), AgentID("S0"), resources, executor=custom(executor_id, **more))


class World:
    """One agent and what it has done; ``crash`` starts its core anew from the store."""

    def __init__(
        self,
        *,
        gc_delay: float = 1000.0,
        resources: list[Resource] | None = None,
        containerizers: tuple[str, ...] = (POSIX,),
    ) -> None:
        self.now = 100.0
        self.store: dict[str, bytes] = {}
        self.calls: list[AgentCall] = []
        self.timers: dict[str, float] = {}
        self.fetching: set[str] = set()
        self.starting: list[str] = []
        self.specs: dict[str, ContainerSpec] = {}
        self.running: set[str] = set()
        self.ended: dict[str, Ended] = {}
        self.ever_started: set[str] = set()
        self.signals: list[tuple[str, bool]] = []
        self.removed: list[str] = []
        self.reconnects = 0
        self.exited = False
        self.told: dict[int, list[api.Event]] = {}
        self.closed: list[int] = []
        self.answers: dict[int, Answer] = {}
        self.volumes: set[tuple[str, str]] = set()
        self.acknowledged: set[str] = set()
        self.dies_next = False
        """Whether the agent is killed when it has stored what follows from the next event, and done nothing yet."""
        self.on_tell: Callable[[int, api.Event], None] = lambda stream, event: None
        self.listening: dict[str, int] = {}
        """Streams that are open, by executor."""
        self._requests = self._streams = 0
        self._told: dict[str, dict[str, str]] = {}
        info = msgspec.structs.replace(INFO, resources=resources or INFO.resources)
        self._config = AgentConfig(info, "0", "127.0.0.1", gc_delay, containerizers=containerizers)
        self._ids, self._uuids = numbered_ids("c"), numbered_ids("u")
        self.core = self._new_core()

    def _new_core(self) -> AgentCore:
        return AgentCore(self._config, load(self.store), new_id=self._ids, new_uuid=self._uuids)

    # driving

    def handle(self, *events: AgentInput) -> list[Effect]:
        out: list[Effect] = []
        for event in events:
            effects = self.core.handle(event, self.now)
            self._commit(effects)
            if self.dies_next:
                self.crash()
                return out
            for effect in effects:
                self._act(effect)
            out += effects
        self.validate()
        return out

    def register(self, agent_id: str = "S0") -> list[Effect]:
        return self.handle(Registered(AgentID(agent_id), 5.0))

    def run(self, *tasks: TaskInfo, of: FrameworkInfo | None = None) -> list[Effect]:
        return self.handle(RunTasks(of or framework(), list(tasks)))

    def kill(self, task_id: str) -> list[Effect]:
        return self.handle(KillTask(FrameworkID("fw"), TaskID(task_id)))

    def fetched(self, container_id: str) -> list[Effect]:
        self.fetching.remove(container_id)
        return self.handle(FetchDone(container_id))

    def spawn(self, container_id: str) -> None:
        """The process begins to run; the agent may die before it hears of it."""
        assert container_id not in self.ever_started, "started twice"
        self.starting.remove(container_id)
        self.ever_started.add(container_id)
        self.running.add(container_id)

    def start(self, container_id: str) -> list[Effect]:
        self.spawn(container_id)
        return self.handle(ContainerStarted(container_id, 42))

    def end(self, container_id: str, end: Ended) -> list[Effect]:
        self.running.remove(container_id)
        self.ended[container_id] = end
        return self.handle(ContainerEnded(container_id, end))

    def run_group(self, executor: ExecutorInfo, *tasks: TaskInfo, of: FrameworkInfo | None = None) -> list[Effect]:
        return self.handle(RunGroup(of or framework(), executor, list(tasks)))

    def call(self, kind: str, executor_id: str = "e", stream: int = 0, **body: Any) -> Answer:
        """What an executor says over its API."""
        call = api.Call(kind, Identifier(executor_id), FrameworkID("fw"), **body)
        self._requests += 1
        self.handle(ExecutorCalls(self._requests, call, stream))
        return self.answers.get(self._requests, Answer(503))

    def subscribe(
        self,
        executor_id: str = "e",
        *,
        known: Sequence[TaskInfo] = (),
        said: Sequence[api.Update] = (),
        patient: bool = False,
    ) -> int:
        """An executor subscribes; returns its stream. ``patient``: the agent may die over it."""
        self._streams += 1
        stream = self.listening[executor_id] = self._streams
        answer = self.call("SUBSCRIBE", executor_id, stream, subscribe=api.Subscribe(list(known), list(said)))
        assert answer.status == 200 or patient, answer
        return stream

    def says(self, task_id: str, state: str, uuid: str = "", executor_id: str = "e", **more: Any) -> Answer:
        """An executor tells the state of a task."""
        return self.call("UPDATE", executor_id, update=self.update(task_id, state, uuid, **more))

    def update(self, task_id: str, state: str, uuid: str = "", **more: Any) -> api.Update:
        uuid = uuid or self._uuids()
        return api.Update(TaskStatus(TaskID(task_id), state, source="SOURCE_EXECUTOR", uuid=uuid, **more))

    def events(self, stream: int) -> list[str]:
        """What kinds of events went to an executor."""
        return [event.type for event in self.told.get(stream, [])]

    def acknowledge(self, update: StatusUpdate) -> list[Effect]:
        assert update.status.uuid
        self.acknowledged.add(update.status.uuid)
        return self.handle(AcknowledgeUpdate(update.framework_id, update.status.task_id, update.status.uuid))

    def acknowledge_all(self) -> None:
        while pending := self.unacknowledged():
            self.acknowledge(pending[0])

    def fire(self, key: str) -> list[Effect]:
        self.now = max(self.now, self.timers.pop(key))
        return self.handle(TimerFired(key))

    def crash(self) -> None:
        """The agent is killed and comes again; processes that were not spawned yet never are."""
        self.dies_next = False
        self.core.handle(LinkLost("crash"), self.now)
        self.listening.clear()
        self.timers.clear()
        self.fetching.clear()
        self.starting.clear()
        self.core = self._new_core()
        facts = [self._fact(left.container_id) for kind in self.core.left().values() for left in kind]
        self.handle(Begin(), *facts)

    def _fact(self, container_id: str) -> ContainerFound:
        if container_id in self.running:
            return ContainerFound(container_id, Found.RUNNING, 42)
        if container_id in self.ended:
            return ContainerFound(container_id, Found.ENDED, 0, self.ended[container_id])
        return ContainerFound(container_id, Found.NEVER_STARTED)

    # looking

    @property
    def updates(self) -> list[StatusUpdate]:
        return [call for call in self.calls if isinstance(call, StatusUpdate)]

    def states(self, task_id: str) -> list[str]:
        """The different states that were sent of a task, in order."""
        return list(self._told.get(task_id, {}).values())

    def unacknowledged(self) -> list[StatusUpdate]:
        """What a master would have to acknowledge: the oldest status of each task."""
        heads = {t.updates.pending[0].uuid for t in self.core.tasks if t.updates.pending}
        found: dict[str | None, StatusUpdate] = {}
        for call in reversed(self.calls):
            if len(found) == len(heads):
                break
            if isinstance(call, StatusUpdate) and call.status.uuid in heads:
                found[call.status.uuid] = call
        return list(found.values())

    def validate(self) -> None:
        """What must hold after each event."""
        saved = load(self.store)
        assert {(r.framework_id, r.task.task_id.value): s for r, s in saved.tasks} == {
            (t.record.framework_id, t.info.task_id.value): t.state() for t in self.core.tasks
        }, "the store lags behind"
        executors = [e for f in self.core.frameworks.values() for e in f.executors.values()]
        assert {r.place.container_id: s for r, s in saved.executors} == {
            e.container_id: e.state() for e in executors
        }, "the store lags behind"
        used = [r for t, state in saved.tasks if state.phase != ENDED for r in t.task.resources or ()]
        used += [r for one, _ in saved.executors for r in one.executor.resources or ()]
        assert self.core.used() == Resources.parse(used)
        assert saved.drain == self.core.drain, "the store lags behind"
        if self.core.drain is not None:
            told = [task for task in self.core.tasks if not task.orphaned]
            assert told, "an agent without tasks is not drained any more"
            assert all(task.killing is not None for task in told if task.live)
        total = saved.total if saved.total is not None else self._config.info.resources
        assert Resources.parse(total) == self.core.total, "the store lags behind"
        assert self.core.total.without_tags() == Resources.parse(self._config.info.resources)
        for held in self.core.tasks:
            assert not held.finished
            assert len(held.updates.pending) <= 4 or held.record.sort == CUSTOM

    def _commit(self, effects: Sequence[Effect]) -> None:
        for effect in effects:  # writes first, as the shell does
            if isinstance(effect, Put):
                self.store[effect.key] = effect.value
            elif isinstance(effect, Delete):
                self.store.pop(effect.key, None)

    def _tell(self, task_id: str, uuid: str, state: str) -> None:
        told = self._told.setdefault(task_id, {})
        assert uuid in told or not any(map(is_terminal, told.values())), f"{state} after {told}"
        told[uuid] = state

    def _check_order(self, update: StatusUpdate) -> None:
        """Only the oldest status of a task may be out, and none that has been acknowledged."""
        held = self.core._books.find(update.framework_id.value, update.status.task_id.value)
        if held is not None and held.updates.pending:
            assert update.status.uuid == held.updates.pending[0].uuid, "overtakes another"
            assert update.status.uuid not in self.acknowledged, "told again"

    def _act(self, effect: Effect) -> None:
        match effect:
            case Put() | Delete():
                pass
            case SetTimer(key, at):
                self.timers[key] = at
            case CancelTimer(key):
                self.timers.pop(key, None)
            case Send(call):
                assert self.core.connected or not isinstance(call, StatusUpdate), "speaks to nobody"
                self.calls.append(call)
                if isinstance(call, StatusUpdate) and call.status.uuid:
                    self._check_order(call)
                    self._tell(call.status.task_id.value, call.status.uuid, call.status.state)
            case Fetch(place):
                self.fetching.add(place.container_id)
            case CancelFetch(container_id):
                self.fetching.discard(container_id)
            case StartContainer(spec):
                place = spec.place
                assert place.container_id not in self.ever_started, "started twice"
                self.starting.append(place.container_id)
                self.specs[place.container_id] = spec
            case SignalContainer(container_id, force, _):
                self.signals.append((container_id, force))
            case ProbeHealth(spec) | ProbeCheck(spec):
                place = spec.place
                assert place.container_id in self.running or place.container_id in self.ended
            case Tell(stream, event):
                self.told.setdefault(stream, []).append(event)
                self.on_tell(stream, event)
            case CloseStream(stream):
                self.closed.append(stream)
                self.listening = {who: other for who, other in self.listening.items() if other != stream}
            case Reply(to, answer):
                self.answers[to] = answer
            case KeepVolumes(volumes):
                self.volumes = {(v.role, v.volume_id) for v in volumes}
            case MakeVolume(role, volume_id):
                assert (role, volume_id) not in self.volumes
                self.volumes.add((role, volume_id))
            case RemoveVolume(role, volume_id):
                self.volumes.remove((role, volume_id))
            case RemoveSandbox(place):
                assert place.container_id not in self.running
                self.removed.append(place.container_id)
            case UpdateContainer(spec):
                assert spec.place.container_id in self.running
            case RemoveRun(container_id):
                assert container_id not in self.running
                self.removed.append(container_id)
            case Reconnect():
                self.reconnects += 1
            case Exit():
                self.exited = True
            case _:
                raise AssertionError(f"unknown effect {effect}")
