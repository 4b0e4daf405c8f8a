"""A core with a made-up cluster around it: no sockets, no clock but the one that tests turn."""

from __future__ import annotations

import itertools
from typing import Any

from headrace.kernel.core import CancelTimer, Delete, Effect, Put, Reply, SetTimer, TimerFired
from headrace.kernel.ids import numbered_ids
from headrace.marathon import repository
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import (
    Answer,
    CreateApp,
    DeleteApp,
    Origin,
    Probe,
    Probed,
    Publish,
    ReadLogs,
    RestartApp,
    SendCall,
    Start,
    Subscribe,
    UpdateApps,
)
from headrace.marathon.core.records import START, Instance, instance_of_task
from headrace.marathon.core.settings import Settings
from headrace.mesos import operations
from headrace.mesos.client import Connected, Received
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import (
    URL,
    Address,
    AgentID,
    AllocationInfo,
    Attribute,
    DomainInfo,
    FrameworkID,
    Offer,
    OfferID,
    TaskID,
    TaskInfo,
    TaskStatus,
    Text,
    Unavailability,
    is_terminal,
)
from headrace.mesos.resources import EMPTY, PLAIN, Resources

ORIGIN = Origin("127.0.0.1", "/v2/apps")
ROOM = Resources.of(cpus=8, mem=8192, disk=1000) + Resources(ranges={"ports": ((31000, 31999),)})


class Cluster:
    """A master and agents that do what the test says; the store survives ``crash``."""

    def __init__(self, settings: Settings | None = None, *, connect: bool = True) -> None:
        self.now = 1_000_000.0
        self.store: dict[str, bytes] = {}
        self.tasks: dict[str, str] = {}
        self.infos: dict[str, TaskInfo] = {}
        self.killed: list[str] = []
        self.calls: list[scheduler.Call] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[int, Answer] = {}
        """To requests that nobody has looked at, by their numbers."""
        self.probes: dict[str, Probe] = {}
        self.readings: dict[str, ReadLogs] = {}
        """Sandboxes that are to be read, by key."""
        self.wanted_roles: set[str] = set()
        self.roles: list[str] = []
        self.loses_accepts = False
        """Whether the master never hears of what is launched."""
        self.reserved: dict[str, Resources] = {}
        """By agent what is reserved, volumes included."""
        self.held: dict[str, tuple[str, Resources]] = {}
        """By task where it is and what it takes."""
        self.groups: dict[str, list[str]] = {}
        """By task those that are launched together with it, itself included."""
        self.secrets: dict[str, bytes] = {}
        self._offered: dict[str, tuple[str, Resources]] = {}
        self._begun: dict[str, set[str]] = {}
        """By deployment the apps whose step has begun, also before a crash."""
        self._there: dict[str, set[tuple[str, str]]] = {}
        """By deployment the configurations of its apps that there were instances of when it began."""
        self._settings = settings or Settings(min_revive_offers_interval=0.0)
        self._numbers = itertools.count(1)
        self._ids = numbered_ids("id")
        self.core = self._new_core()
        if connect:
            self.connect()

    def _new_core(self) -> MarathonCore:
        self.timers: dict[str, float] = {}
        content = repository.read(self.store)
        core = MarathonCore(content, self._settings, self._ids, lambda n: 0, lambda source: self.secrets.get(source))
        self.roles = core.books.roles
        self._carry_out(core.handle(Start(), self.now))
        return core

    # what the world does

    def connect(self, framework: str = "framework-1") -> None:
        self.post(Connected(framework, None))

    def crash(self) -> None:
        """SIGKILL and a new start."""
        self.probes.clear()
        self.core = self._new_core()
        self.connect()

    def post(self, *events: Any) -> None:
        for event in events:
            self._carry_out(self.core.handle(event, self.now))
            self._validate()

    def ask(self, make: Any) -> Answer:
        number = next(self._numbers)
        self.post(make(number))
        return self.answers.pop(number)

    def _validate(self) -> None:
        self.core.books.validate()
        self.core.deployments.validate()
        self.core.queue.validate(self.now)
        stored = {key.removeprefix("deployment/") for key in self.store if key.startswith("deployment/")}
        assert stored == self.core.deployments.running.keys()
        for plan_id, deployment in self.core.deployments.running.items():
            steps = deployment.steps[: deployment.at + 1]
            begun = {action.app for step in steps for action in step if action.action != START}
            self._begun.setdefault(plan_id, set()).update(begun)
            members = (one for app_id in deployment.affected for one in self.instances(app_id))
            self._there.setdefault(plan_id, {(one.app_id, one.config_version) for one in members})

    def _in_turn(self, task_id: str) -> bool:
        """Whether a task is not of a version that a deployment brings in a step that has not begun."""
        instance = self.core.books.instances[instance_of_task(task_id)]
        deployment = self.core.deployments.of_app(instance.app_id)
        if deployment is None:
            return True
        plan, config = deployment.plan, (instance.app_id, instance.config_version)
        before, after = plan.original.get(instance.app_id), plan.target.get(instance.app_id)
        new = after is not None and instance.config_version == after.config_version
        if not new or (before is not None and before.config_version == instance.config_version):
            return True
        steps = deployment.steps[: deployment.at + 1]
        begun = {action.app for step in steps for action in step if action.action != START}
        return instance.app_id in begun | self._begun.get(plan.id, set()) or config in self._there.get(plan.id, set())

    def create(self, app_id: str, *, force: bool = False, **fields: Any) -> Answer:
        body = {"id": app_id, "cmd": "sleep 1000", "cpus": 0.1, "mem": 16, **fields}
        return self.ask(lambda to: CreateApp(to, body, force, ORIGIN))

    def update(self, app_id: str, *, force: bool = False, partial: bool = True, **fields: Any) -> Answer:
        return self.ask(
            lambda to: UpdateApps(
                to, [(app_id, fields)], partial=partial, create=True, single=True, force=force, origin=ORIGIN
            )
        )

    def restart(self, app_id: str, *, force: bool = False) -> Answer:
        return self.ask(lambda to: RestartApp(to, app_id, force, ORIGIN))

    def delete(self, app_id: str, *, force: bool = True) -> Answer:
        return self.ask(lambda to: DeleteApp(to, app_id, force, ORIGIN))

    @property
    def wants_offers(self) -> bool:
        """Whether for any role."""
        return bool(self.wanted_roles)

    def free(self, host: str, role: str) -> Resources:
        """What is reserved for a role on an agent and not in use."""
        total = self.reserved.get(host, EMPTY)
        for task_id, (where, held) in self.held.items():
            if where == host and (task_id in self.alive() or self.tasks.get(task_id) == "TASK_UNREACHABLE"):
                total = total - held
        return total.where(lambda tag: tag != PLAIN and tag.role in (role, "*"))

    def offer(
        self,
        host: str = "host-1",
        room: Resources = ROOM,
        *,
        role: str | None = None,
        domain: DomainInfo | None = None,
        unavailability: Unavailability | None = None,
        **attributes: str,
    ) -> None:
        """One offer of ``host``: ``room``, and what is reserved there."""
        role = role or self._settings.role
        assert role in self.roles, "offers come for the roles that are subscribed to"
        room = room + self.free(host, role)
        offer_id = f"offer-{next(self._numbers)}"
        self._offered[offer_id] = (host, room)
        offer = Offer(
            OfferID(offer_id),
            FrameworkID("framework-1"),
            AgentID(f"agent-{host}"),
            host,
            URL("http", Address(hostname=host, port=5051)),
            resources=room.messages(role),
            attributes=[Attribute(key, "TEXT", text=Text(value)) for key, value in attributes.items()],
            allocation_info=AllocationInfo(role),
            domain=domain,
            unavailability=unavailability,
        )
        self.post(Received(scheduler.Event("OFFERS", offers=scheduler.Offers([offer]))))

    def status(
        self, task_id: str, state: str, message: str = "", reason: str | None = None, healthy: bool | None = None
    ) -> None:
        """A status update of a task."""
        info = self.infos.get(task_id)
        agent = info.agent_id if info is not None else AgentID("agent-host-1")
        self.tasks[task_id] = state
        status = TaskStatus(
            TaskID(task_id),
            state,
            message=message,
            reason=reason,
            agent_id=agent,
            uuid="dXVpZA==",
            timestamp=self.now,
            healthy=healthy,
        )
        self.post(Received(scheduler.Event("UPDATE", update=scheduler.Update(status))))
        if is_terminal(state):  # the executor ends the others of a group
            self.killed += [one for one in self.groups.get(task_id, ()) if one in self.alive()]

    def run_all(self) -> None:
        """Every launched task starts."""
        for task_id, state in list(self.tasks.items()):
            if state == "TASK_STAGING":
                self.status(task_id, "TASK_RUNNING")

    def end_killed(self) -> None:
        """Every task that was asked to end ends."""
        killed, self.killed = self.killed, []
        for task_id in dict.fromkeys(killed):
            if task_id in self.alive():
                self.status(task_id, "TASK_KILLED")

    def answer_probes(self, passed: bool = True) -> None:
        probes, self.probes = self.probes, {}
        for probe in probes.values():
            cause = "" if passed else "refused"
            self.post(Probed(probe.key, probe.task_id, passed, cause, status=200 if passed else 500))

    def advance(self, seconds: float) -> None:
        """Time passes; timers fire in their order."""
        end = self.now + seconds
        while due := [(at, key) for key, at in self.timers.items() if at <= end]:
            at, key = min(due)
            del self.timers[key]
            self.now = max(self.now, at)
            self.post(TimerFired(key))
        self.now = end

    def settle(self, rounds: int = 50) -> None:
        """A willing world: offers are made, tasks run, kills work, probes pass; until nothing is left to do."""
        for _ in range(rounds):
            for role in sorted(self.wanted_roles):
                self.offer(role=role)
                for host in list(self.reserved):
                    if host != "host-1" and role in self.wanted_roles:
                        self.offer(host, role=role)
            self.run_all()
            self.end_killed()
            self.answer_probes()
            self.advance(1.0)
            at_rest = not self.core.deployments.running and not self.core.queue.waiting and not self.killed
            if at_rest and not self.core.books.leftovers.all:
                return

    # what is seen

    def alive(self) -> set[str]:
        return {one for one, state in self.tasks.items() if state in ("TASK_STAGING", "TASK_RUNNING")}

    def commands(self, app_id: str) -> list[str | None]:
        """What the tasks of an app run."""
        infos = [self.infos[one.task_id] for one in self.instances(app_id) if one.task_id in self.alive()]
        return [one.command.value for one in infos if one.command is not None]

    def instances(self, app_id: str) -> list[Instance]:
        return list(self.core.books.of_app(app_id))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.events]

    def _carry_out(self, effects: Any) -> None:
        effect: Effect
        for effect in effects:
            match effect:
                case Put(key, value):
                    self.store[key] = value
                case Delete(key):
                    self.store.pop(key, None)
                case SetTimer(key, at):
                    self.timers[key] = at
                case CancelTimer(key):
                    self.timers.pop(key, None)
                case Publish(kind, fields):
                    self.events.append((kind, dict(fields)))
                case Probe(key=key):
                    self.probes[key] = effect
                case ReadLogs(key=key):
                    self.readings[key] = effect
                case Subscribe(roles, suppressed):
                    self.wanted_roles = self.wanted_roles & {*roles} | {*roles} - {*self.roles, *suppressed}
                    self.roles = roles
                case SendCall(call):
                    self._called(call)
                case Reply(to, Answer() as answer):
                    self.answers[to] = answer

    def _called(self, call: scheduler.Call) -> None:
        self.calls.append(call)
        if call.revive is not None:
            self.wanted_roles |= {*(call.revive.roles or self.roles)}
            assert self.wanted_roles <= {*self.roles}
        elif call.suppress is not None:
            self.wanted_roles -= {*(call.suppress.roles or self.roles)}
        elif call.kill is not None:
            self.killed.append(call.kill.task_id.value)
        elif call.accept is not None:
            (offer_id,) = call.accept.offer_ids or []
            host, left = self._offered.pop(offer_id.value)
            for operation in call.accept.operations or () if not self.loses_accepts else ():
                left = self._operate(host, left, operation)

    def _operate(self, host: str, left: Resources, operation: scheduler.Operation) -> Resources:
        """As master and agent do it."""
        if operation.launch is not None:
            for info in operation.launch.task_infos or ():
                left = self._start(host, left, info, Resources.parse(info.resources))
            return left
        if operation.launch_group is not None:
            executor = Resources.parse(operation.launch_group.executor.resources)
            infos = operation.launch_group.task_group.tasks or []
            group = [one.task_id.value for one in infos]
            for info in infos:
                self.groups[info.task_id.value] = group
                left = self._start(host, left, info, executor + Resources.parse(info.resources))
                executor = EMPTY
            return left
        for step in operations.conversions(operation):
            before = self.reserved.get(host, EMPTY) + left.plain
            self.reserved[host] = (before - step.consumed + step.converted).where(lambda tag: tag != PLAIN)
        return operations.apply(operation, left)

    def _start(self, host: str, left: Resources, info: TaskInfo, held: Resources) -> Resources:
        task_id = info.task_id.value
        assert task_id not in self.infos, "a task id is used once"
        assert self._in_turn(task_id), "a new version begins in its app's step"
        assert left.contains(held), "only what is offered can be used"
        assert held
        self.infos[task_id] = info
        self.held[task_id] = (host, held)
        self.tasks[task_id] = "TASK_STAGING"
        return left - held
