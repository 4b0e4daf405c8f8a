"""Anything may happen in any order: after every event the books are sound, and in the end nothing is stuck."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from headrace.mesos.master.books import Settings
from headrace.mesos.messages.agent_link import KillTask, Refused, ShutdownFramework, StatusUpdate, Unregister
from headrace.mesos.messages.common import is_terminal
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World, agent_info, framework_info

pick = st.integers(0, 1000)


class MasterMachine(RuleBasedStateMachine):
    """Two or three agents and frameworks with a master that may restart."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Settings(offer_timeout=30, weights={"b": 2.0}))
        self.agents: list[FakeAgent] = []
        self.frameworks: list[FakeFramework] = []
        self.tasks = 0
        self.restarts = 0

    # Frameworks

    @precondition(lambda self: len(self.frameworks) < 3)
    @rule(role=st.sampled_from("ab"), timeout=st.sampled_from([0.0, 20.0]), aware=st.booleans())
    def framework_comes(self, role: str, timeout: float, aware: bool) -> None:
        capabilities = ("MULTI_ROLE", "RESERVATION_REFINEMENT", *(("PARTITION_AWARE",) if aware else ()))
        info = framework_info(roles=[role], failover_timeout=timeout, capabilities=capabilities)
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

    @precondition(lambda self: any(f.offers for f in self.connected()))
    @rule(n=pick, cpus=st.lists(st.integers(1, 3), max_size=3), refuse=st.sampled_from([0.0, 5.0]))
    def accept(self, n: int, cpus: list[int], refuse: float) -> None:
        framework, offer_id = self.some_offer(n)
        offer = framework.offers[offer_id]
        agent = next(a for a in self.agents if a.id == offer.agent_id.value)
        tasks = []
        for amount in cpus:
            self.tasks += 1
            tasks.append(framework.task(f"t{self.tasks}", agent, resources={"cpus": amount, "mem": 32}))
        framework.accept(*tasks, offers=[offer_id], refuse=refuse)

    @precondition(lambda self: any(f.offers for f in self.connected()))
    @rule(n=pick, refuse=st.sampled_from([None, 0.0, 100.0]))
    def decline(self, n: int, refuse: float | None) -> None:
        framework, offer_id = self.some_offer(n)
        framework.decline(offer_id, refuse=refuse)

    def some_offer(self, n: int) -> tuple[FakeFramework, str]:
        offers = [(framework, offer) for framework in self.connected() for offer in framework.offers]
        return offers[n % len(offers)]

    @precondition(lambda self: self.connected())
    @rule(n=pick, kind=st.sampled_from(["REVIVE", "SUPPRESS"]))
    def revive_or_suppress(self, n: int, kind: str) -> None:
        self.connected()[n % len(self.connected())].call(kind)

    @precondition(lambda self: self.connected())
    @rule(n=pick)
    def reconcile(self, n: int) -> None:
        self.connected()[n % len(self.connected())].call("RECONCILE", reconcile={"tasks": []})

    # Agents and tasks

    @precondition(lambda self: len(self.agents) < 3)
    @rule(cpus=st.integers(2, 6))
    def agent_comes(self, cpus: int) -> None:
        agent = FakeAgent(self.world, agent_info(port=5051 + len(self.agents), cpus=cpus, mem=512))
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

    def register(self, agent: FakeAgent) -> None:
        """As a real agent does: then say again what is not acknowledged."""
        agent.register()
        for framework, _, status in list(agent.tasks.values()):
            if status.uuid is not None and agent.stream is not None and framework.id is not None:
                agent.call(StatusUpdate(framework.id, status, status.state))

    @precondition(lambda self: any(a.stream is not None for a in self.agents))
    @rule(n=pick)
    def agent_unregisters(self, n: int) -> None:
        agents = [agent for agent in self.agents if agent.stream is not None]
        agent = agents[n % len(agents)]
        agent.call(Unregister())
        agent.tasks.clear()
        agent.id = None
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

    def obey(self, agent: FakeAgent) -> None:
        """Do what the master told the agent."""
        events, agent.events = agent.events, []
        for event in events:
            if isinstance(event, Refused):
                agent.id, agent.tasks = None, {}
            elif isinstance(event, ShutdownFramework):
                ended = [t for t, task in agent.tasks.items() if task[0].id == event.framework_id]
                for task in ended:
                    del agent.tasks[task]
            elif isinstance(event, KillTask) and event.task_id.value in agent.tasks:
                agent.update(event.task_id.value, "TASK_KILLED")

    @precondition(lambda self: any(a.tasks for a in self.agents) and self.connected())
    @rule(n=pick)
    def kill(self, n: int) -> None:
        agent, task = next((a, t) for a in self.agents for t in a.tasks)
        self.connected()[n % len(self.connected())].call("KILL", kill={"task_id": {"value": task}})
        self.obey(agent)

    # Time and the master

    @rule(seconds=st.sampled_from([0.6, 6.0, 25.0, 80.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.advance(seconds)
        for agent in self.agents:
            self.obey(agent)

    @rule()
    def master_restarts(self) -> None:
        self.restarts += 1
        self.world.restart(f"m{self.restarts}")

    def teardown(self) -> None:
        """When everybody is back and all tasks have ended, everything is free again."""
        for agent in self.agents:
            for _ in range(2):
                if agent.stream is None:
                    self.register(agent)
                self.obey(agent)
        for framework in list(self.frameworks):
            if framework.stream is None:
                framework.subscribe()
        for agent in self.agents:
            for task in list(agent.tasks):
                if not is_terminal(agent.tasks[task][2].state):
                    agent.update(task, "TASK_FINISHED")
        books = self.world.books
        for agent in books.agents.values():
            assert not agent.used(), "ended tasks hold nothing"
        for framework in self.connected():
            framework.call("RECONCILE", reconcile={"tasks": []})
            for status in [task.unacknowledged for task in books.frameworks[framework.id].tasks.values()]:
                if status is not None:
                    framework.acknowledge(status)
        for framework in self.connected():
            stuck = [task.id for task in books.frameworks[framework.id].tasks.values() if task.ended]
            assert not stuck, "ended and acknowledged tasks are completed"


MasterMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestMaster = MasterMachine.TestCase
