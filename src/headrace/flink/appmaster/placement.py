"""Which worker goes to which agent: first fit, in the order of requests and of offers, within the constraints.

Pure. Offers are taken together per agent, never per host name, because several agents may live on
one host. Soft constraints decide the order of agents; spreading takes the value with the fewest
TaskManagers first, and within it that order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heapreplace

import msgspec

from headrace.flink.appmaster.events import Worker
from headrace.flink.appmaster.taking import PORTS_PER_WORKER, all_ports, choose_ports, lacks, take, usable
from headrace.flink.constraints import HOSTNAME, Constraints, value_of
from headrace.mesos.messages.common import Attribute, Offer, Resource
from headrace.mesos.resources import EMPTY


class Terms(msgspec.Struct, frozen=True):
    """What all workers of a cluster need: further scalars by name, so many ports, and where they may be."""

    role: str = "*"
    scalars: dict[str, float] = {}
    ports: int = PORTS_PER_WORKER
    constraints: Constraints = Constraints()


NO_TERMS = Terms()


class Seat(msgspec.Struct, frozen=True):
    """A place for one worker: its agent, what it takes there, and its ports.

    ``places`` has the agent's values of the attributes that constraints count by.
    """

    worker: Worker
    agent_id: str
    hostname: str
    ports: list[int]
    resources: list[Resource] = []
    places: dict[str, str] = {}


class Placement(msgspec.Struct, frozen=True):
    """Seats, the offers that they use by agent, the offers that are left over, and why workers wait.

    ``refusals`` maps the id of each worker without a seat to reasons by host.
    """

    seats: list[Seat]
    used: dict[str, list[str]]
    unused: list[str]
    refusals: dict[str, dict[str, str]]


class _Agent:
    def __init__(self, offer: Offer, terms: Terms) -> None:
        attributes: list[Attribute] = offer.attributes or []
        rules = terms.constraints
        self.id = offer.agent_id.value
        self.hostname = offer.hostname
        self.offers: list[str] = []
        self.free = EMPTY
        self.taken = False
        self.refusal = rules.refusal(self.hostname, attributes) if rules.hard else ""
        self.score = rules.score(self.hostname, attributes) if rules.soft else 0
        self.places = {key: value_of(key, self.hostname, attributes) for key in rules.keys}


_Size = tuple[float, int]


class _Round:
    """One round of placing.

    An agent that is too small for a worker, or that uniqueness forbids, stays so for all later ones of that size in
    this round: each is turned down once per size, however many workers there are.
    """

    def __init__(self, agents: Iterable[_Agent], terms: Terms, last_ports: Mapping[str, int], counts: _Counts) -> None:
        self._terms = terms
        self._cursors = dict(last_ports)
        self._counts = counts
        self._barred: dict[str, str] = {}
        self._groups: dict[str, list[_Agent]] = {}
        for agent in sorted(agents, key=lambda agent: -agent.score):
            if agent.refusal:
                self._barred[agent.hostname] = agent.refusal
            else:
                self._groups.setdefault(agent.places.get(terms.constraints.spread, ""), []).append(agent)
        self._heaps: dict[_Size, list[tuple[int, int, str]]] = {}
        self._positions: dict[tuple[_Size, str], int] = {}
        self._why: dict[_Size, dict[str, str]] = {}

    def seat(self, worker: Worker) -> Seat | None:
        """A seat in the group with the fewest TaskManagers that has room."""
        size = (worker.cpus, worker.memory_mib)
        heap = self._heaps.get(size)
        if heap is None:
            heap = [(self._counts.spread[name], order, name) for order, name in enumerate(self._groups)]
            heapify(heap)
            self._heaps[size] = heap
        while heap:
            count, order, name = heap[0]
            if count != self._counts.spread[name]:
                heapreplace(heap, (self._counts.spread[name], order, name))
            elif (agent := self._first_fit(size, name)) is not None:
                return self._take(worker, agent)
            else:
                heappop(heap)
        return None

    def why(self, worker: Worker) -> dict[str, str]:
        """Why there was no seat for this one."""
        return self._barred | self._why.get((worker.cpus, worker.memory_mib), {})

    def _first_fit(self, size: _Size, name: str) -> _Agent | None:
        group, position = self._groups[name], self._positions.get((size, name), 0)
        while position < len(group) and (missing := self._missing(size, group[position])):
            self._why.setdefault(size, {})[group[position].hostname] = missing
            position += 1
        self._positions[size, name] = position
        return group[position] if position < len(group) else None

    def _missing(self, size: _Size, agent: _Agent) -> str:
        unique = self._terms.constraints.unique
        if unique:
            value = agent.places[unique]
            if not value:
                return f"has no attribute {unique}, which must be unique"
            if value in self._counts.unique:
                return f"a TaskManager is there already, and {unique} must be unique"
        return lacks(agent.free, _scalars(size, self._terms), self._terms.ports)

    def _take(self, worker: Worker, agent: _Agent) -> Seat:
        ports = choose_ports(all_ports(agent.free), self._cursors.get(agent.id, 0), self._terms.ports)
        taken = take(agent.free, _scalars((worker.cpus, worker.memory_mib), self._terms), ports)
        self._cursors[agent.id] = ports[-1]
        agent.free = agent.free - taken
        agent.taken = True
        self._counts.add(agent.places)
        return Seat(worker, agent.id, agent.hostname, ports, taken.messages(self._terms.role), agent.places)


class _Counts:
    """Where TaskManagers are: values that are taken, and how many there are of each."""

    def __init__(self, constraints: Constraints, present: Iterable[Worker]) -> None:
        self._constraints = constraints
        self.unique: set[str] = set()
        self.spread: Counter[str] = Counter()
        if constraints.keys:
            for worker in present:
                self.add({HOSTNAME: worker.hostname.lower(), **worker.places})

    def add(self, places: Mapping[str, str]) -> None:
        self.unique.add(places.get(self._constraints.unique, ""))
        self.spread[places.get(self._constraints.spread, "")] += 1 if self._constraints.spread else 0


def place(
    workers: Sequence[Worker],
    offers: Iterable[Offer],
    last_ports: Mapping[str, int],
    terms: Terms = NO_TERMS,
    present: Iterable[Worker] = (),
) -> Placement:
    """Find seats.

    ``last_ports`` has the port given out last by agent, after which the search goes on; ``present`` are the
    workers that have a seat already, which count only for constraints.
    """
    agents = _agents(offers, terms)
    at_work = _Round(agents, terms, last_ports, _Counts(terms.constraints, present))
    seats: list[Seat] = []
    refusals: dict[str, dict[str, str]] = {}
    for worker in workers:
        seat = at_work.seat(worker)
        if seat is None:
            refusals[worker.id] = at_work.why(worker)
        else:
            seats.append(seat)
    used = {agent.id: agent.offers for agent in agents if agent.taken}
    unused = [offer for agent in agents if not agent.taken for offer in agent.offers]
    return Placement(seats, used, unused, refusals)


def _agents(offers: Iterable[Offer], terms: Terms) -> list[_Agent]:
    agents: dict[str, _Agent] = {}
    for offer in offers:
        agent = agents.get(offer.agent_id.value)
        if agent is None:
            agent = agents[offer.agent_id.value] = _Agent(offer, terms)
        agent.offers.append(offer.id.value)
        agent.free = agent.free + usable(offer.resources or (), terms.role)
    return list(agents.values())


def _scalars(size: _Size, terms: Terms) -> dict[str, float]:
    return {"cpus": size[0], "mem": size[1], **terms.scalars}
