"""Which worker goes to which agent: first fit, in the order of requests and of offers.

Pure. Offers are taken together per agent, never per host name, because several agents may live on
one host. Reserved, revocable and persistent resources are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from headrace.flink.appmaster.events import Worker
from headrace.mesos.messages.common import Offer, Resource
from headrace.mesos.resources import EMPTY, Resources, Spans

PORTS_PER_WORKER = 2


class Seat(msgspec.Struct, frozen=True):
    """A place for one worker: its agent, and the ports for RPC and data."""

    worker: Worker
    agent_id: str
    hostname: str
    ports: list[int]


class Placement(msgspec.Struct, frozen=True):
    """Seats, the offers that they use by agent, the offers that are left over, and why workers wait.

    ``refusals`` maps the id of each worker without a seat to reasons by host.
    """

    seats: list[Seat]
    used: dict[str, list[str]]
    unused: list[str]
    refusals: dict[str, dict[str, str]]


class _Agent:
    def __init__(self, offer: Offer) -> None:
        self.id = offer.agent_id.value
        self.hostname = offer.hostname
        self.offers: list[str] = []
        self.free = EMPTY
        self.taken = False


def place(workers: Sequence[Worker], offers: Iterable[Offer], last_ports: Mapping[str, int]) -> Placement:
    """Find seats; ``last_ports`` has the port given out last by agent, after which the search goes on.

    An agent that is too small for a worker is too small for all later ones of that size, so each agent is
    turned down once per size, however many workers there are.
    """
    agents = list(_agents(offers).values())
    cursors = dict(last_ports)
    seats: list[Seat] = []
    refusals: dict[str, dict[str, str]] = {}
    turned_down: dict[tuple[float, int], dict[str, str]] = {}
    positions: dict[tuple[float, int], int] = {}
    for worker in workers:
        size = (worker.cpus, worker.memory_mib)
        why = turned_down.setdefault(size, {})
        position = positions.get(size, 0)
        while position < len(agents) and (missing := _missing(worker, agents[position].free)):
            why[agents[position].hostname] = missing
            position += 1
        positions[size] = position
        if position == len(agents):
            refusals[worker.id] = why
            continue
        agent = agents[position]
        ports = choose_ports(agent.free.ranges["ports"], cursors.get(agent.id, 0))
        cursors[agent.id] = ports[-1]
        agent.free = agent.free - needs(worker, ports)
        agent.taken = True
        seats.append(Seat(worker, agent.id, agent.hostname, ports))
    used = {agent.id: agent.offers for agent in agents if agent.taken}
    unused = [offer for agent in agents if not agent.taken for offer in agent.offers]
    return Placement(seats, used, unused, refusals)


def _agents(offers: Iterable[Offer]) -> dict[str, _Agent]:
    agents: dict[str, _Agent] = {}
    for offer in offers:
        agent = agents.setdefault(offer.agent_id.value, _Agent(offer))
        agent.offers.append(offer.id.value)
        agent.free = agent.free + Resources.parse(filter(_usable, offer.resources or ()))
    return agents


def needs(worker: Worker, ports: Sequence[int]) -> Resources:
    """What a worker takes of an agent."""
    return Resources.of(cpus=worker.cpus, mem=worker.memory_mib).with_ports(ports)


def choose_ports(free: Spans, after: int) -> list[int]:
    """The next ports after ``after``, then from the lowest: a new worker does not get a dead one's at once."""
    later = [(max(begin, after + 1), end) for begin, end in free if end > after]
    earlier = [(begin, min(end, after)) for begin, end in free if begin <= after]
    return list(islice(_numbers(later + earlier), PORTS_PER_WORKER))


def _numbers(spans: Iterable[tuple[int, int]]) -> Iterator[int]:
    return (port for begin, end in spans for port in range(begin, end + 1))


def _missing(worker: Worker, free: Resources) -> str:
    lacks = [
        f"{name} {free.scalar(name):g} of {wanted:g}"
        for name, wanted in (("cpus", worker.cpus), ("mem", worker.memory_mib))
        if free.scalar(name) < wanted
    ]
    if sum(end - begin + 1 for begin, end in free.ranges.get("ports", ())) < PORTS_PER_WORKER:
        lacks.append(f"fewer than {PORTS_PER_WORKER} ports")
    return ", ".join(lacks)


def _usable(resource: Resource) -> bool:
    own = resource.role in (None, "*") and not resource.reservation and not resource.reservations
    return own and not resource.disk and not resource.revocable and not resource.shared
