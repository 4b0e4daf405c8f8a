"""When agents that nobody wants are to be looked at again: by time, many at a time.

A framework that declines a hundred offers in one call refuses them until the same moment, so
agents are kept in a list for each moment, and the heap is one of moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from headrace.mesos.master.allocator.model import Agent


class Wakes:
    """Sleeping agents. Entries go stale unnoticed: one counts only while ``agent.wake`` is its time."""

    __slots__ = ("_agents", "_offerable", "_times", "entries")

    def __init__(self, offerable: Mapping[str, Agent]) -> None:
        self._offerable = offerable
        self._times: list[float] = []
        self._agents: dict[float, list[Agent]] = {}
        self.entries = 0

    def add(self, agent: Agent) -> None:
        """It is to be looked at again at ``agent.wake``."""
        at = agent.wake
        agents = self._agents.get(at)
        if agents is None:
            self._agents[at] = [agent]
            heappush(self._times, at)
        else:
            agents.append(agent)
        self.entries += 1

    def due(self, now: float) -> list[Agent]:
        """Those whose time has come; they are kept no longer."""
        found: list[Agent] = []
        while self._times and self._times[0] <= now:
            at = heappop(self._times)
            agents = self._agents.pop(at)
            self.entries -= len(agents)
            found += [agent for agent in agents if self._counts(agent, at)]
        return found

    def next(self) -> float | None:
        """The earliest time of any."""
        while self._times:
            at = self._times[0]
            agents = self._agents[at]
            while agents:
                if self._counts(agents[-1], at):
                    return at
                agents.pop()
                self.entries -= 1
            heappop(self._times)
            del self._agents[at]
        return None

    def tidy(self) -> None:
        """Drop stale entries if they are most of all."""
        if self.entries > 2 * len(self._offerable) + 64:
            kept = {at: [a for a in {*agents} if self._counts(a, at)] for at, agents in self._agents.items()}
            self._agents = {at: agents for at, agents in kept.items() if agents}
            self._times = [*self._agents]
            heapify(self._times)
            self.entries = sum(map(len, self._agents.values()))

    def has(self, agent: Agent) -> bool:
        """Whether it will be looked at again at ``agent.wake``."""
        return agent in self._agents.get(agent.wake, ())

    def _counts(self, agent: Agent, at: float) -> bool:
        return agent.wake == at and self._offerable.get(agent.id) is agent
