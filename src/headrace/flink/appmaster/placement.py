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
from headrace.flink.appmaster.taking import PORTS_PER_WORKER, all_ports, choose_ports, count, lacks, take, usable
from headrace.flink.constraints import HOSTNAME, Constraints, value_of
from headrace.mesos.messages.common import Attribute, Offer, Resource
from headrace.mesos.resources import EMPTY, MILLI


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


class Refusal(msgspec.Struct, frozen=True):
    """Why an agent did not get a worker, what it has free of what is needed, and how far that is from enough.

    ``distance``: the largest part of a need that is missing, 1 for all of it, 2 if no amount would help.
    """

    agent_id: str
    hostname: str
    why: str
    free: dict[str, float]
    distance: float


class Placement(msgspec.Struct, frozen=True):
    """Seats, the offers that they use by agent, the offers that are left over, and why workers wait.

    ``refusals`` maps the id of each worker without a seat to refusals by agent; workers of one size share them.
    """

    seats: list[Seat]
    used: dict[str, list[str]]
    unused: list[str]
    refusals: dict[str, Mapping[str, Refusal]]


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


Size = tuple[float, int]
"""CPUs and MiB of a worker: workers that agree in them need the same."""


def size_of(worker: Worker) -> Size:
    return worker.cpus, worker.memory_mib


class _Round:
    """One round of placing.

    An agent that is too small for a worker, or that uniqueness forbids, stays so for all later ones of that size in
    this round: each is turned down once per size, however many workers there are.
    """

    def __init__(self, agents: Iterable[_Agent], terms: Terms, last_ports: Mapping[str, int], counts: _Counts) -> None:
        self._terms = terms
        self._cursors = dict(last_ports)
        self._counts = counts
        self._barred: dict[str, _Agent] = {}
        self._groups: dict[str, list[_Agent]] = {}
        for agent in sorted(agents, key=lambda agent: -agent.score):
            if agent.refusal:
                self._barred[agent.id] = agent
            else:
                self._groups.setdefault(agent.places.get(terms.constraints.spread, ""), []).append(agent)
        self._heaps: dict[Size, list[tuple[int, int, str]]] = {}
        self._positions: dict[tuple[Size, str], int] = {}
        self._turned_down: dict[Size, dict[str, Refusal]] = {}
        self._whys: dict[Size, Mapping[str, Refusal]] = {}

    def seat(self, worker: Worker) -> Seat | None:
        """A seat in the group with the fewest TaskManagers that has room."""
        size = size_of(worker)
        heap = self._heaps.get(size)
        if heap is None:
            heap = [(self._counts.spread[name], order, name) for order, name in enumerate(self._groups)]
            heapify(heap)
            self._heaps[size] = heap
        while heap:
            seated, order, name = heap[0]
            if seated != self._counts.spread[name]:
                heapreplace(heap, (self._counts.spread[name], order, name))
            elif (agent := self._first_fit(size, name)) is not None:
                return self._take(worker, agent)
            else:
                heappop(heap)
        return None

    def why(self, worker: Worker) -> Mapping[str, Refusal]:
        """Why there was no seat for this one."""
        size = size_of(worker)
        if size not in self._whys:
            barred = {name: self._refusal(size, agent, agent.refusal) for name, agent in self._barred.items()}
            self._whys[size] = barred | self._turned_down.get(size, {})
        return self._whys[size]

    def _refusal(self, size: Size, agent: _Agent, why: str, *, small: bool = False) -> Refusal:
        needs = scalars(size, self._terms)
        free = {name: agent.free.quantity(name) / MILLI for name in needs}
        if self._terms.ports:
            needs["ports"], free["ports"] = self._terms.ports, count(all_ports(agent.free))
        missing = max((1 - free[name] / wanted for name, wanted in needs.items() if wanted > 0), default=0.0)
        return Refusal(agent.id, agent.hostname, why, free, missing if small else 2.0)

    def _first_fit(self, size: Size, name: str) -> _Agent | None:
        group, position = self._groups[name], self._positions.get((size, name), 0)
        while position < len(group) and (missing := self._missing(size, group[position])):
            self._turned_down.setdefault(size, {})[group[position].id] = missing
            position += 1
        self._positions[size, name] = position
        return group[position] if position < len(group) else None

    def _missing(self, size: Size, agent: _Agent) -> Refusal | None:
        if not_again := self._not_unique(agent):
            return self._refusal(size, agent, not_again)
        lacking = lacks(agent.free, scalars(size, self._terms), self._terms.ports)
        return self._refusal(size, agent, lacking, small=True) if lacking else None

    def _not_unique(self, agent: _Agent) -> str:
        unique = self._terms.constraints.unique
        if not unique:
            return ""
        value = agent.places[unique]
        if not value:
            return f"has no attribute {unique}, which must be unique"
        taken = value in self._counts.unique
        return f"a TaskManager is there already, and {unique} must be unique" if taken else ""

    def _take(self, worker: Worker, agent: _Agent) -> Seat:
        ports = choose_ports(all_ports(agent.free), self._cursors.get(agent.id, 0), self._terms.ports)
        taken = take(agent.free, scalars(size_of(worker), self._terms), ports)
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
    refusals: dict[str, Mapping[str, Refusal]] = {}
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


def scalars(size: Size, terms: Terms) -> dict[str, float]:
    """What a worker of this size needs, ports aside."""
    return {"cpus": size[0], "mem": size[1], **terms.scalars}
