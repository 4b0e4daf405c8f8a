"""Containers that operators and executors launch by the operator API, beside those of tasks and executors.

A *nested* one runs in the container of a task or an executor, or in another nested one: in its namespaces, cgroups and
environment, and it ends with it. A *session* is nested, too; its input and output are those of the connections that
are attached to it, and it ends with the first of them. A *standalone* one belongs to nobody and holds what its call
says. An ended one is remembered until it is removed, or until its parent ends, so that its end can be asked for.

Ids are paths: names from the outermost container on, with periods between. Refusals are in Mesos's words.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from headrace.kernel.core import Delete, Effect, Reply
from headrace.kernel.process import Found
from headrace.mesos.agent.core.books import Books
from headrace.mesos.agent.core.containers import ContainerSpec, Fact, Limitation
from headrace.mesos.agent.core.events import (
    AgentInput,
    CancelFetch,
    ContainerAnswer,
    ContainerCalled,
    ContainerEnded,
    ContainerFound,
    ContainerGivenUp,
    ContainerStarted,
    Fetch,
    FetchDone,
    FetchFailed,
    RemoveRun,
    RemoveSandbox,
    SignalContainer,
    StartContainer,
    StartFailed,
)
from headrace.mesos.agent.core.executors import wait_status
from headrace.mesos.agent.core.nesting import Refusal, path_of, place_of, spec_of, standalone_spec
from headrace.mesos.agent.core.records import ENDED, FETCHING, RUNNING, STARTING, NestedRecord, nested_key, put
from headrace.mesos.messages.agent_operator import Call, Kill, Launch, LaunchContainer, Waited
from headrace.mesos.messages.common import TaskResourceLimitation

ENDED_KEPT = 100
"""Ended containers that are remembered of one outermost container."""
KILL = 9


class Held:
    """One container. ``launching``: the request that waits for its start; ``waiting``: those for its end.

    ``launcher``: the request that has launched it, by whose connection a session lives.
    """

    def __init__(self, record: NestedRecord) -> None:
        self.record = record
        self.launching = self.launcher = 0
        self.waiting: dict[int, None] = {}

    @property
    def container_id(self) -> str:
        return self.record.spec.place.container_id

    @property
    def session(self) -> bool:
        """Whether it lives by the connection that has launched it."""
        return self.record.session

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.record.phase != ENDED

    def is_below(self, path: str) -> bool:
        """Whether it is nested, however deep, in the container ``path``."""
        return self.container_id.startswith(f"{path}.")

    def become(self, **changes: object) -> Effect:
        """Change and store it."""
        self.record = msgspec.structs.replace(self.record, **changes)
        return put(nested_key(self.container_id), self.record)

    def signal(self, number: int = KILL) -> Effect:
        """The effect that signals its processes."""
        return SignalContainer(self.container_id, number == KILL, self.record.spec.kind, number)

    def end(self) -> ContainerAnswer:
        """What those hear who wait for its end."""
        limitation = self.record.limitation
        told = Waited(None if self.record.status < 0 else self.record.status)
        if limitation is not None:
            told = msgspec.structs.replace(
                told,
                reason=limitation.reason,
                message=limitation.message,
                limitation=TaskResourceLimitation(limitation.resources) if limitation.resources else None,
            )
        return ContainerAnswer(200, waited=told)


class NestedDesk:
    """All of them, by path."""

    def __init__(self, books: Books, records: Sequence[NestedRecord]) -> None:
        self._books = books
        self.containers = {record.spec.place.container_id: Held(record) for record in records}

    # what others may read

    def known(self) -> set[str]:
        """All whose files are not to be touched."""
        return set(self.containers)

    def left(self) -> dict[str, list[Fact]]:
        """By containerizer: what may still run after a restart."""
        found: dict[str, list[Fact]] = {}
        for held in self.containers.values():
            if held.record.phase in (STARTING, RUNNING):
                found.setdefault(held.record.spec.kind, []).append(Fact(held.container_id, held.record.pid))
        return found

    # events

    def begin(self) -> list[Effect]:
        """After a restart: fetch again what was half fetched."""
        return [self._fetch(held) for held in self.containers.values() if held.record.phase == FETCHING]

    def call(self, event: ContainerCalled, agent_id: str, now: float) -> list[Effect]:
        """A call, sound in itself."""
        try:
            return self._call(event.to, event.call, agent_id, now)
        except Refusal as refusal:
            return [Reply(event.to, ContainerAnswer(refusal.status, str(refusal)))]

    def handle(self, event: AgentInput, now: float) -> list[Effect] | None:
        """Take one event; None if it is about something else."""
        match event:
            case ContainerGivenUp(path, to):
                return self._given_up(path, to)
            case (
                FetchDone(path)
                | FetchFailed(path)
                | StartFailed(path)
                | ContainerStarted(path)
                | ContainerEnded(path)
                | ContainerFound(path)
            ):
                held = self.containers.get(path)
                return self._step(held, event, now) if held is not None else None
        return None

    def gone(self, path: str) -> list[Effect]:
        """The container of a task or an executor has ended: nothing in it goes on."""
        effects: list[Effect] = []
        for held in [held for held in self.containers.values() if held.is_below(path)]:
            effects += self._end(held) if held.live else self._forget(held)
        return effects

    def end_all(self) -> list[Effect]:
        """The agent leaves for good."""
        return [effect for held in list(self.containers.values()) if held.live for effect in self._end(held)]

    # calls

    def _call(self, to: int, call: Call, agent_id: str, now: float) -> list[Effect]:
        for launch in (call.launch_nested_container, call.launch_nested_container_session, call.launch_container):
            if launch is not None:
                session = launch is call.launch_nested_container_session
                return self._launch(to, launch, session, agent_id, now)
        for wait in (call.wait_nested_container, call.wait_container):
            if wait is not None:
                return self._wait(to, path_of(wait.container_id))
        for kill in (call.kill_nested_container, call.kill_container):
            if kill is not None:
                return self._kill(to, kill)
        for nested, remove in ((True, call.remove_nested_container), (False, call.remove_container)):
            if remove is not None:
                return self._remove(to, path_of(remove.container_id), nested)
        raise Refusal(400, f"{call.type} is no call about a container")

    def _launch(
        self, to: int, launch: Launch | LaunchContainer, session: bool, agent_id: str, now: float
    ) -> list[Effect]:
        path = path_of(launch.container_id)
        if path in self.containers or self._books.containers.get(path) or self._books.executors.get(path):
            return [Reply(to, ContainerAnswer(202))]
        if launch.container_id.parent is not None:
            parent = path_of(launch.container_id.parent)
            spec = spec_of(launch, self._running(parent), session)
        else:
            assert isinstance(launch, LaunchContainer)  # noqa: S101 - the other has a parent, as the door sees to
            spec = standalone_spec(launch, agent_id)
        held = self.containers[path] = Held(NestedRecord(spec, STARTING, session))
        held.launching = held.launcher = to
        self._books.stories.tell(path, now, "launched", "a session" if session else "by an operator's call")
        if spec.command is not None and spec.command.uris:
            return [held.become(phase=FETCHING), self._fetch(held), *self._bound(path)]
        return [held.become(), StartContainer(spec), *self._bound(path)]

    def _running(self, path: str) -> ContainerSpec:
        """The container that is to be the parent, which must run. Raises Refusal."""
        held = self.containers.get(path)
        if held is not None:
            running, spec = held.record.phase == RUNNING, held.record.spec
        else:
            found = place_of(self._books, path)
            if found is None:
                raise Refusal(400, f"Parent container {path} does not exist")
            running, spec = found
        if not running:
            raise Refusal(400, f"Parent container {path} does not run yet, or not any more")
        return spec

    def _wait(self, to: int, path: str) -> list[Effect]:
        held = self.containers.get(path)
        if held is None:
            raise Refusal(404, f"Container {path} cannot be found")
        if not held.live:
            return [Reply(to, held.end())]
        held.waiting[to] = None
        return []

    def _kill(self, to: int, kill: Kill) -> list[Effect]:
        path = path_of(kill.container_id)
        held = self.containers.get(path)
        if held is None or not held.live:
            raise Refusal(404, f"Container '{path}' cannot be found (or is already killed)")
        number = KILL if kill.signal is None else kill.signal
        if held.record.phase == RUNNING and number != KILL:
            return [held.signal(number), Reply(to, ContainerAnswer(200))]
        return [*self._end(held), Reply(to, ContainerAnswer(200))]

    def _remove(self, to: int, path: str, nested: bool) -> list[Effect]:
        held = self.containers.get(path)
        if held is not None and held.live:
            raise Refusal(500, f"{'Nested container' if nested else 'Container'} has not terminated yet")
        effects: list[Effect] = []
        if held is not None:
            for below in [other for other in self.containers.values() if other.is_below(path)]:
                effects += self._end(below) if below.live else self._forget(below)
            del self.containers[path]
            effects += [Delete(nested_key(path)), RemoveSandbox(held.record.spec.place)]
        return [*effects, Reply(to, ContainerAnswer(200))]

    def _given_up(self, path: str, to: int) -> list[Effect]:
        held = self.containers.get(path)
        if held is None:
            return []
        held.waiting.pop(to, None)
        return self._end(held) if held.session and held.launcher == to and held.live else []

    # steps

    def _step(self, held: Held, event: AgentInput, now: float) -> list[Effect]:
        match event:
            case FetchDone() if held.record.phase == FETCHING:
                return [held.become(phase=STARTING), StartContainer(held.record.spec)]
            case FetchFailed(_, message) | StartFailed(_, message):
                return self._failed(held, message, now)
            case ContainerStarted(_, pid):
                return self._started(held, pid)
            case ContainerEnded(_, end, limitation):
                return self._ended(held, wait_status(end), limitation, now)
            case ContainerFound():
                return self._found(held, event, now)
        return []

    def _started(self, held: Held, pid: int) -> list[Effect]:
        effects: list[Effect] = [held.become(phase=RUNNING, pid=pid)]
        if held.launching:
            effects.append(Reply(held.launching, ContainerAnswer(200)))
            held.launching = 0
        return [*effects, held.signal()] if held.record.ending else effects

    def _failed(self, held: Held, message: str, now: float) -> list[Effect]:
        """It is as if it had never been, but for those who wait."""
        self._books.stories.tell(held.container_id, now, "could not be launched", message)
        effects: list[Effect] = [Reply(to, ContainerAnswer(400, message)) for to in held.waiting]
        if held.launching:
            effects.append(Reply(held.launching, ContainerAnswer(400, f"Failed to launch container: {message}")))
        return [*effects, *self._forget(held)]

    def _ended(self, held: Held, status: int, limitation: Limitation | None, now: float) -> list[Effect]:
        if not held.live:
            return []
        path = held.container_id
        self._books.stories.tell(path, now, "ended", limitation.message if limitation else f"status {status}")
        effects: list[Effect] = [held.become(phase=ENDED, status=status, limitation=limitation)]
        effects += [Reply(to, held.end()) for to in held.waiting]
        held.waiting.clear()
        for below in [other for other in self.containers.values() if other.is_below(path)]:
            effects += self._end(below) if below.live else []
        return effects if self._has_parent(held) else [*effects, *self._forget(held)]

    def _found(self, held: Held, event: ContainerFound, now: float) -> list[Effect]:
        if event.found is Found.RUNNING:
            effects: list[Effect] = [held.become(phase=RUNNING, pid=event.pid)]
            return [*effects, held.signal()] if held.record.ending else effects
        if event.end is not None:
            return self._ended(held, wait_status(event.end), event.limitation, now)
        return self._failed(held, "the agent was restarted while it was started", now)

    def _has_parent(self, held: Held) -> bool:
        """Whether what it is nested in still is there; yes for one that is nested in nothing."""
        parent = held.container_id.rpartition(".")[0]
        return not parent or parent in self.containers or place_of(self._books, parent) is not None

    def _end(self, held: Held) -> list[Effect]:
        if held.record.phase == FETCHING:
            failed = self._failed(held, "it was ended while its files were fetched", 0.0)
            return [CancelFetch(held.container_id), *failed]
        # what has not started yet is signalled when it has
        return [held.become(ending=True), *([held.signal()] if held.record.phase == RUNNING else [])]

    def _fetch(self, held: Held) -> Effect:
        spec = held.record.spec
        assert spec.command is not None  # noqa: S101 - it has URIs
        return Fetch(spec.place, spec.command.uris or [], spec.command.user or "")

    def _forget(self, held: Held) -> list[Effect]:
        self.containers.pop(held.container_id, None)
        return [Delete(nested_key(held.container_id)), RemoveRun(held.container_id)]

    def _bound(self, path: str) -> list[Effect]:
        """Forget the oldest that have ended, if there are many."""
        root = path.partition(".")[0]
        ended = [
            held
            for held in self.containers.values()
            if not held.live and (held.is_below(root) if "." in path else "." not in held.container_id)
        ]
        return [effect for held in ended[:-ENDED_KEPT] for effect in self._forget(held)]
