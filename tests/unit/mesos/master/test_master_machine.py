"""Anything may happen in any order: the books stay sound, nothing is lost, and in the end nothing is stuck.

``walks`` says how many steps it takes.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from headrace.mesos.master.core.books import Settings
from headrace.mesos.master.core.events import OperatorCalled
from headrace.mesos.messages import operator
from headrace.mesos.messages.agent_link import (
    DrainAgent,
    ExecutorExited,
    KillTask,
    OperationUpdate,
    Refused,
    ShutdownExecutor,
    ShutdownFramework,
    StatusUpdate,
    Unregister,
)
from headrace.mesos.messages.common import ExecutorID, FrameworkID, Resource, Scalar, is_terminal
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import (
    FakeAgent,
    FakeFramework,
    FakeOperator,
    World,
    agent_info,
    framework_info,
)
from tests.unit.mesos.walks import Walker, walk

STEPS_AT_A_TIME = 50

pick = st.integers(0, 1000)
DISK = "disk"
KINDS = ("RESERVE", "UNRESERVE", "CREATE", "DESTROY", "GROW_VOLUME", "SHRINK_VOLUME", "LAUNCH")


class MasterMachine(Walker):
    """Two or three agents and frameworks with a master that may restart."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Settings(offer_timeout=30, weights={"b": 2.0}))
        self.agents: list[FakeAgent] = []
        self.frameworks: list[FakeFramework] = []
        self.names = 0
        self.restarts = 0

    def name(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    @initialize()
    def begin(self) -> None:
        FakeOperator(self.world)
        self.agent_comes(6)
        self.framework_comes("a", 20.0, True, True)

    # Frameworks

    @precondition(lambda self: len(self.frameworks) < 3)
    @rule(role=st.sampled_from("ab"), timeout=st.sampled_from([0.0, 20.0]), aware=st.booleans(), shares=st.booleans())
    def framework_comes(self, role: str, timeout: float, aware: bool, shares: bool) -> None:
        capabilities = ["MULTI_ROLE", "RESERVATION_REFINEMENT"]
        capabilities += ["PARTITION_AWARE"] if aware else []
        capabilities += ["SHARED_RESOURCES"] if shares else []
        info = framework_info(roles=[role], failover_timeout=timeout, capabilities=capabilities, principal="p")
        framework = FakeFramework(self.world, info)
        framework.subscribe()
        self.frameworks.append(framework)

    @precondition(lambda self: self.frameworks)
    @rule(n=pick)
    def framework_leaves_or_returns(self, n: int) -> None:
        framework = self.frameworks[n % len(self.frameworks)]
        if framework.stream is not None:
            framework.disconnect()
        else:
            framework.subscribe()
            if framework.stream is None:
                self.frameworks.remove(framework)

    @precondition(lambda self: self.frameworks)
    @rule(n=pick)
    def framework_fails_over(self, n: int) -> None:
        framework = self.frameworks[n % len(self.frameworks)]
        if framework.stream is not None:
            successor = FakeFramework(self.world, framework.info)
            successor.id = framework.id
            successor.subscribe()
            self.frameworks[self.frameworks.index(framework)] = successor

    @precondition(lambda self: self.connected())
    @rule(n=pick)
    def framework_is_torn_down(self, n: int) -> None:
        framework = self.connected()[n % len(self.connected())]
        framework.call("TEARDOWN")
        self.frameworks.remove(framework)

    def connected(self) -> list[FakeFramework]:
        return [framework for framework in self.frameworks if framework.stream is not None]

    # Offers

    @precondition(lambda self: self.offers())
    @rule(n=pick, cpus=st.lists(st.integers(1, 3), max_size=3), refuse=st.sampled_from([0.0, 5.0]))
    def accept(self, n: int, cpus: list[int], refuse: float) -> None:
        framework, offer_id, agent = self.some_offer(n)
        tasks = [self.task(framework, agent, amount) for amount in cpus]
        framework.accept(*tasks, offers=[offer_id], refuse=refuse)

    @precondition(lambda self: self.offers())
    @rule(n=pick, executor=st.sampled_from(["e1", "e2"]), tasks=st.integers(0, 2), together=st.booleans())
    def accept_with_executor(self, n: int, executor: str, tasks: int, together: bool) -> None:
        framework, offer_id, agent = self.some_offer(n)
        infos = [self.task(framework, agent, 1) for _ in range(tasks)]
        if together:
            operation = framework.group(framework.executor(executor), *infos)
        else:
            own = framework.executor(executor, type=None, command={"value": "run"})
            infos = [info | {"command": None, "executor": own} for info in infos]
            operation = {"type": "LAUNCH", "launch": {"task_infos": infos}}
        framework.operate(operation, offers=[offer_id])

    @precondition(lambda self: self.offers())
    @rule(
        n=pick,
        kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=2),
        told=st.booleans(),
    )
    def accept_and_convert(self, n: int, kinds: list[str], told: bool) -> None:
        framework, offer_id, agent = self.some_offer(n)
        given = [to_raw(resource) for resource in framework.offers[offer_id].resources or []]
        made = [one for i, kind in enumerate(kinds) for one in self.conversions(kind, framework, agent, given, n + i)]
        for one in made:
            if told and one["type"] != "LAUNCH":
                one["id"] = {"value": self.name("o")}
        framework.operate(*made, offers=[offer_id])

    def conversions(
        self, kind: str, framework: FakeFramework, agent: FakeAgent, given: list[dict[str, Any]], n: int
    ) -> list[dict[str, Any]]:
        """Operations that end with one of this kind; those before it make what it needs, if the offer has it not."""
        disks = [r for r in given if r.get("reservations") and "disk" not in r and r["name"] == DISK]
        volumes = [r for r in given if "disk" in r]
        size = float(2 + n % 7)
        if kind == "RESERVE" or (kind in ("UNRESERVE", "CREATE", "GROW_VOLUME") and not disks):
            reserved = disk(framework, size)
            made: list[dict[str, Any]] = [{"type": "RESERVE", "reserve": {"resources": [reserved]}}]
            return made + (self.conversions(kind, framework, agent, [*given, reserved], n) if kind != "RESERVE" else [])
        if kind == "UNRESERVE":
            return [{"type": kind, "unreserve": {"resources": disks[:1]}}]
        if kind != "CREATE" and not volumes:
            made = self.conversions("CREATE", framework, agent, given, n)
            volume = made[-1]["create"]["volumes"][0]
            return made + self.conversions(kind, framework, agent, [*given, disk(framework, size - 1), volume], n)
        if kind == "CREATE":
            volume = disk(framework, min(size / 2, disks[0]["scalar"]["value"]))
            persistence = {"id": self.name("v"), "principal": "p"}
            volume["disk"] = {"persistence": persistence, "volume": {"container_path": "d", "mode": "RW"}}
            return [{"type": kind, "create": {"volumes": [volume | ({"shared": {}} if n % 3 == 0 else {})]}}]
        volume = volumes[n % len(volumes)]
        if kind == "DESTROY":
            return [{"type": kind, "destroy": {"volumes": [volume]}}]
        if kind == "GROW_VOLUME":
            addition = disks[0] | {"scalar": {"value": 0.5}}
            return [{"type": kind, "grow_volume": {"volume": volume, "addition": addition}}]
        if kind == "SHRINK_VOLUME":
            return [{"type": kind, "shrink_volume": {"volume": volume, "subtract": {"value": 0.5}}}]
        tasks = [self.task(framework, agent, 1) for _ in range(1 + n % 2)]
        for task in tasks:
            task["resources"] = [*task["resources"], volume]
        return [{"type": "LAUNCH", "launch": {"task_infos": tasks}}]

    def task(self, framework: FakeFramework, agent: FakeAgent, cpus: int) -> dict[str, Any]:
        return framework.task(self.name("t"), agent, resources={"cpus": cpus, "mem": 32})

    @precondition(lambda self: self.offers())
    @rule(n=pick, refuse=st.sampled_from([None, 0.0, 0.0, 100.0]))
    def decline(self, n: int, refuse: float | None) -> None:
        framework, offer_id, _ = self.some_offer(n)
        framework.decline(offer_id, refuse=refuse)

    def offers(self) -> list[tuple[FakeFramework, str]]:
        return [(framework, offer) for framework in self.connected() for offer in framework.offers]

    def some_offer(self, n: int) -> tuple[FakeFramework, str, FakeAgent]:
        offers = self.offers()
        framework, offer_id = offers[n % len(offers)]
        agent_id = framework.offers[offer_id].agent_id.value
        return framework, offer_id, next(a for a in self.agents if a.id == agent_id)

    @precondition(lambda self: self.connected())
    @rule(n=pick, kind=st.sampled_from(["REVIVE", "REVIVE", "SUPPRESS"]))
    def revive_or_suppress(self, n: int, kind: str) -> None:
        self.connected()[n % len(self.connected())].call(kind)

    @precondition(lambda self: self.connected())
    @rule(n=pick)
    def reconcile(self, n: int) -> None:
        framework = self.connected()[n % len(self.connected())]
        framework.call("RECONCILE", reconcile={"tasks": []})
        framework.call("RECONCILE_OPERATIONS", reconcile_operations={})

    @precondition(lambda self: any(f.operation_statuses for f in self.connected()))
    @rule(n=pick)
    def acknowledge_operation(self, n: int) -> None:
        told = [(f, s) for f in self.connected() for s in f.operation_statuses if s.uuid is not None]
        if told:
            framework, status = told[n % len(told)]
            framework.acknowledge_operation(status)

    # Agents and tasks

    @precondition(lambda self: len(self.agents) < 3)
    @rule(cpus=st.integers(2, 6))
    def agent_comes(self, cpus: int) -> None:
        taken = {agent.info.port for agent in self.agents}
        port = next(port for port in range(5051, 5056) if port not in taken)
        info = agent_info(port=port, cpus=cpus, mem=512, disk=200)
        agent = FakeAgent(self.world, info)
        agent.register()
        self.agents.append(agent)

    @precondition(lambda self: self.agents)
    @rule(n=pick, loses=st.booleans())
    def agent_leaves_or_returns(self, n: int, loses: bool) -> None:
        agent = self.agents[n % len(self.agents)]
        if agent.stream is not None:
            agent.disconnect()
        else:
            if loses:
                agent.tasks = {t: task for t, task in agent.tasks.items() if task[2].state != "TASK_STAGING"}
            self.register(agent)
        self.obey(agent)

    @precondition(lambda self: self.agents)
    @rule(n=pick, port=st.integers(5051, 5055))
    def agent_restarts_at_another_address(self, n: int, port: int) -> None:
        agent = self.agents[n % len(self.agents)]
        if any(other is not agent and other.info.port == port for other in self.agents):
            return
        agent.disconnect()
        agent.info = msgspec.structs.replace(agent.info, port=port)
        self.register(agent)
        self.obey(agent)

    def register(self, agent: FakeAgent) -> None:
        """As a real agent does: then say again what is not acknowledged."""
        agent.register()
        for framework, _, status in list(agent.tasks.values()):
            if status.uuid is not None and agent.stream is not None and framework.id is not None:
                agent.call(StatusUpdate(framework.id, status, status.state))
        for known in list(agent.operations.values()):
            if agent.stream is not None:
                agent.call(OperationUpdate(known.status, known.framework_id))

    @precondition(lambda self: any(a.stream is not None for a in self.agents))
    @rule(n=pick)
    def agent_unregisters(self, n: int) -> None:
        agents = [agent for agent in self.agents if agent.stream is not None]
        agent = agents[n % len(agents)]
        agent.call(Unregister())
        agent.forget_everything()
        agent.register()

    @precondition(lambda self: any(a.tasks for a in self.agents))
    @rule(n=pick, state=st.sampled_from(["TASK_RUNNING", "TASK_FINISHED", "TASK_FAILED"]), acknowledged=st.booleans())
    def task_goes_on(self, n: int, state: str, acknowledged: bool) -> None:
        tasks = [(agent, task) for agent in self.agents for task in agent.tasks]
        agent, task = tasks[n % len(tasks)]
        framework_info, _, status = agent.tasks[task]
        if not is_terminal(status.state):
            status = agent.update(task, state)
        owner = next((f for f in self.connected() if framework_info.id and f.id == framework_info.id.value), None)
        if acknowledged and owner is not None and agent.stream is not None:
            owner.acknowledge(status)
            if is_terminal(status.state):
                del agent.tasks[task]
        self.obey(agent)

    @precondition(lambda self: any(a.executors for a in self.agents))
    @rule(n=pick)
    def executor_exits(self, n: int) -> None:
        all_executors = [(agent, key) for agent in self.agents for key in agent.executors]
        agent, key = all_executors[n % len(all_executors)]
        self.end_executor(agent, key)
        self.obey(agent)

    def end_executor(self, agent: FakeAgent, key: tuple[str, str]) -> None:
        """An executor ends, and with it its tasks."""
        framework_id, executor_id = key
        del agent.executors[key]
        if agent.stream is not None:
            agent.call(ExecutorExited(FrameworkID(framework_id), ExecutorID(executor_id), 0))
        for task_id, (framework, _, status) in list(agent.tasks.items()):
            own = agent.executor_of.get(task_id) == ExecutorID(executor_id)
            if own and framework.id == FrameworkID(framework_id) and not is_terminal(status.state):
                agent.update(task_id, "TASK_FAILED")

    def obey(self, agent: FakeAgent) -> None:
        """Do what the master told the agent."""
        events, agent.events = agent.events, []
        for event in events:
            if isinstance(event, Refused):
                agent.forget_everything()
            elif isinstance(event, ShutdownFramework):
                agent.forget_framework(event.framework_id.value)
            elif isinstance(event, DrainAgent):
                for task_id in [t for t, task in agent.tasks.items() if not is_terminal(task[2].state)]:
                    agent.update(task_id, "TASK_KILLED")
            elif isinstance(event, KillTask) and event.task_id.value in agent.tasks:
                agent.update(event.task_id.value, "TASK_KILLED")
            elif isinstance(event, ShutdownExecutor):
                key = (event.framework_id.value, event.executor_id.value)
                if key in agent.executors:
                    self.end_executor(agent, key)

    @precondition(lambda self: any(a.tasks for a in self.agents) and self.connected())
    @rule(n=pick)
    def kill(self, n: int) -> None:
        agent, task = next((a, t) for a in self.agents for t in a.tasks)
        self.connected()[n % len(self.connected())].call("KILL", kill={"task_id": {"value": task}})
        self.obey(agent)

    @precondition(lambda self: any(a.executors for a in self.agents) and self.connected())
    @rule(n=pick)
    def shut_executor_down(self, n: int) -> None:
        agent = next(a for a in self.agents if a.executors)
        executor_id = next(iter(agent.executors))[1]
        body = {"agent_id": {"value": agent.id}, "executor_id": {"value": executor_id}}
        self.connected()[n % len(self.connected())].call("SHUTDOWN", shutdown=body)
        self.obey(agent)

    # Operators, time and the master

    @rule(role=st.sampled_from("ab"), cpus=st.sampled_from([None, None, 1.0, 4.0]), guaranteed=st.booleans())
    def quota_is_set(self, role: str, cpus: float | None, guaranteed: bool) -> None:
        amounts = {"cpus": Scalar(cpus)} if cpus is not None else None
        config = operator.QuotaConfig(role, limits=amounts, guarantees=amounts if guaranteed else None)
        update = operator.UpdateQuota(force=True, quota_configs=[config])
        self.world.feed(OperatorCalled(0, operator.Call("UPDATE_QUOTA", update_quota=update)))

    @precondition(lambda self: any(a.id for a in self.agents))
    @rule(
        n=pick,
        kind=st.sampled_from(["DEACTIVATE_AGENT", "REACTIVATE_AGENT", "REACTIVATE_AGENT", "DRAIN_AGENT"]),
        gone=st.booleans(),
    )
    def agent_is_drained_or_deactivated(self, n: int, kind: str, gone: bool) -> None:
        agents = [agent for agent in self.agents if agent.id]
        agent = agents[n % len(agents)]
        body: dict[str, Any] = {"agent_id": {"value": agent.id}}
        if kind == "DRAIN_AGENT":
            body |= {"mark_gone": gone, "max_grace_period": {"seconds": n}}
        self.world.order(kind, **{kind.lower(): body})
        self.obey(agent)

    @rule(seconds=st.sampled_from([0.6, 0.6, 6.0, 25.0, 80.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)
        for agent in self.agents:
            self.obey(agent)

    @rule()
    def master_restarts(self) -> None:
        self.restarts += 1
        self.world.restart(f"m{self.restarts}")
        FakeOperator(self.world)

    def teardown(self) -> None:
        """When everybody is back, everything that was to be said has been; when all has ended, everything is free."""
        for agent in self.agents:
            for _ in range(3):
                if agent.stream is None:
                    self.register(agent)
                self.obey(agent)
        for framework in list(self.frameworks):
            if framework.stream is None:
                framework.subscribe()
        self.nothing_was_lost()
        for agent in self.agents:
            for key in list(agent.executors):
                self.end_executor(agent, key)
            for task in list(agent.tasks):
                if not is_terminal(agent.tasks[task][2].state):
                    agent.update(task, "TASK_FINISHED")
        self.everything_is_free()

    def nothing_was_lost(self) -> None:
        """What agents still hold back has been heard by its framework, if that lives."""
        alive = {framework.id for framework in self.connected()}
        for agent in self.agents:
            for framework, _, status in agent.tasks.values():
                if framework.id is not None and framework.id.value in alive and is_terminal(status.state):
                    assert status.uuid in self.world.heard, f"{status.task_id.value}: {status.state} was lost"
            for (framework_id, operation_id), known in agent.operations.items():
                if framework_id in alive and known.status.uuid is not None:
                    assert known.status.uuid.value in self.world.heard, f"{operation_id} was lost"

    def everything_is_free(self) -> None:
        books = self.world.books
        for agent in books.agents.values():
            assert not agent.used(), "ended tasks and executors hold nothing"
        for fake in self.agents:
            known = books.agents.get(fake.id)
            if known is not None and known.connected:
                real = Resources.parse(fake.info.resources) if fake.total is None else fake.total
                assert known.total == real, "master and agent agree about what there is"
                assert known.total.without_tags() == Resources.parse(fake.info.resources), "operations lose nothing"
        for framework in self.connected():
            framework.call("RECONCILE", reconcile={"tasks": []})
            for status in [task.unacknowledged for task in books.frameworks[framework.id].tasks.values()]:
                if status is not None:
                    framework.acknowledge(status)
        for framework in self.connected():
            stuck = [task.id for task in books.frameworks[framework.id].tasks.values() if task.ended]
            assert not stuck, "ended and acknowledged tasks are completed"


def disk(framework: FakeFramework, size: float) -> dict[str, Any]:
    """So much disk, reserved for the framework's role."""
    reservation = {"type": "DYNAMIC", "role": (framework.info.roles or [""])[0], "principal": "p"}
    return {"name": DISK, "type": "SCALAR", "scalar": {"value": size}, "reservations": [reservation]}


def to_raw(resource: Resource) -> dict[str, Any]:
    raw: dict[str, Any] = msgspec.to_builtins(resource)
    return raw


def test_master() -> None:
    walk(MasterMachine, 750, STEPS_AT_A_TIME)
