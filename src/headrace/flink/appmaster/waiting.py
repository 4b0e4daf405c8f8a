"""Why workers wait for a seat: what they need, what each agent lacked when it last offered, and since when.

Pure. Workers of one size wait for the same, so reasons are kept once per size: the newest of each agent, of the
``KEPT_AGENTS`` that come closest. What is known is as old as the last offer: after a refusal an agent offers
again when it has more, or when the refusal's time is over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import nsmallest

import msgspec

from headrace.flink.appmaster.events import Worker
from headrace.flink.appmaster.placement import Placement, Refusal, Size, Terms, scalars, size_of

KEPT_AGENTS = 50
_NAMED_WORKERS = 20
_TOLD_AGENTS = 3


class RefusedAgent(msgspec.Struct, frozen=True):
    """An agent that was too small or not allowed, at this time; ``short`` is what was missing, by resource."""

    agent_id: str
    hostname: str
    at: float
    why: str
    free: dict[str, float]
    short: dict[str, float]


class Waiting(msgspec.Struct, frozen=True):
    """Workers of one size without a seat, as ``/state`` shows them.

    ``since`` is when the first of them was asked for, ``offers`` how many were looked at in vain since then, the
    last of them at ``last_offer``. ``agents``: the closest first.
    """

    count: int
    workers: list[str]
    needs: dict[str, float]
    role: str
    since: float
    offers: int
    last_offer: float | None
    agents: list[RefusedAgent]
    why: str


class Failure(msgspec.Struct, frozen=True):
    """The latest end of a worker that was still wanted."""

    worker: str
    at: float
    why: str


class _Group:
    """What is known of one size."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.offers = 0
        self.last_offer: float | None = None
        self.refusals: dict[str, tuple[Refusal, float]] = {}

    def refused(self, refusals: Mapping[str, Refusal], now: float) -> None:
        """Keep the newest of each agent, and of these the closest."""
        self.refusals.update((agent, (refusal, now)) for agent, refusal in refusals.items())
        if len(self.refusals) > KEPT_AGENTS:
            self.refusals = dict(nsmallest(KEPT_AGENTS, self.refusals.items(), key=_distance))


class WaitingBook:
    """Reasons by the size of workers."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._groups: dict[Size, _Group] = {}
        self._trouble = "there is no connection to the master yet"
        self.last_failure: Failure | None = None

    def wanted(self, worker: Worker, now: float) -> None:
        """A worker was asked for."""
        if size_of(worker) not in self._groups:
            self._groups[size_of(worker)] = _Group(now)

    def failed(self, worker_id: str, why: str, now: float) -> None:
        """A worker has ended that was still wanted: another may soon wait in its place."""
        self.last_failure = Failure(worker_id, now, why)

    def connected(self) -> None:
        self._trouble = ""

    def disconnected(self, why: str) -> None:
        """No offers can come; what agents had is out of date when they can again."""
        self._trouble = f"not connected to the master: {why}"
        for group in self._groups.values():
            group.refusals.clear()

    def placed(self, placement: Placement, demand: Sequence[Worker], offers: int, now: float) -> dict[str, str]:
        """Note a round of ``offers`` offers, after which ``demand`` waits; returns a sentence for each of it."""
        sizes = {size_of(worker): worker for worker in demand}
        self.keep_only(sizes)
        sentences: dict[Size, str] = {}
        for size, worker in sizes.items():
            self.wanted(worker, now)
            group = self._groups[size]
            group.offers += offers
            group.last_offer = now if offers else group.last_offer
            group.refused(placement.refusals.get(worker.id, {}), now)
            sentences[size] = self._why(group)
        return {worker.id: sentences[size_of(worker)] for worker in demand}

    def keep_only(self, sizes: Collection[Size]) -> None:
        """Forget those of which no worker waits."""
        for size in [size for size in self._groups if size not in sizes]:
            del self._groups[size]

    def shown(self, demand: Sequence[Worker]) -> list[Waiting]:
        """Why these wait, those that wait longest first."""
        by_size: dict[Size, list[Worker]] = {}
        for worker in demand:
            by_size.setdefault(size_of(worker), []).append(worker)
        rows = [self._row(size, workers) for size, workers in by_size.items() if size in self._groups]
        return sorted(rows, key=lambda row: row.since)

    def _row(self, size: Size, workers: list[Worker]) -> Waiting:
        group = self._groups[size]
        needs = self._needs(size)
        closest = sorted(group.refusals.items(), key=_distance)
        return Waiting(
            count=len(workers),
            workers=[worker.id for worker in workers[:_NAMED_WORKERS]],
            needs=needs,
            role=self._terms.role,
            since=group.since,
            offers=group.offers,
            last_offer=group.last_offer,
            agents=[_shown(refusal, at, needs) for _, (refusal, at) in closest],
            why=self._why(group),
        )

    def _needs(self, size: Size) -> dict[str, float]:
        ports = {"ports": float(self._terms.ports)} if self._terms.ports else {}
        return {**scalars(size, self._terms), **ports}

    def _why(self, group: _Group) -> str:
        if self._trouble:
            return self._trouble
        if not group.refusals:
            return f"no offers for role {self._terms.role}" if not group.offers else "no offers at the moment"
        return told(refusal for _, (refusal, _) in sorted(group.refusals.items(), key=_distance))


def told(refusals: Iterable[Refusal]) -> str:
    """The first few of them in one sentence."""
    every = list(refusals)
    first = "; ".join(f"{refusal.hostname}: {refusal.why}" for refusal in every[:_TOLD_AGENTS])
    more = len(every) - _TOLD_AGENTS
    return f"{first}; and {more} more" if more > 0 else first


def _distance(item: tuple[str, tuple[Refusal, float]]) -> tuple[float, str]:
    refusal = item[1][0]
    return refusal.distance, refusal.hostname


def _shown(refusal: Refusal, at: float, needs: Mapping[str, float]) -> RefusedAgent:
    short = {
        name: round(wanted - refusal.free.get(name, 0.0), 3)
        for name, wanted in needs.items()
        if refusal.free.get(name, 0.0) < wanted
    }
    return RefusedAgent(refusal.agent_id, refusal.hostname, at, refusal.why, refusal.free, short)
