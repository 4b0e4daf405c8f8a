"""Dominant resource fairness (Ghodsi et al., NSDI 2011): whose turn is it?

The *dominant share* of somebody is the largest of the shares of the cluster's cpus, mem, disk
and gpus that he holds, divided by his weight. A ``Ranking`` keeps its members in the order of
their turn: lowest dominant share first; among equals whoever was allocated to less often,
then whoever came first. Roles form one ranking, the frameworks of each role another.

A ranking is a sorted list, not a heap: it can be walked in order past those who refuse, and
a place is found in O(log n) comparisons. Amounts are exact integers (thousandths), so nothing
drifts and equal shares compare equal.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from math import inf
from typing import Any, Generic, TypeVar

from headrace.mesos.resources import Resources

KINDS = ("cpus", "mem", "disk", "gpus")

Amounts = tuple[int, int, int, int]
"""Thousandths of each of KINDS."""

NOTHING: Amounts = (0, 0, 0, 0)


def amounts(resources: Resources) -> Amounts:
    """What counts for fairness; ports and other kinds don't. A shared volume counts once."""
    if resources.parts:
        quantity = resources.quantity
        return quantity("cpus"), quantity("mem"), quantity("disk"), quantity("gpus")
    get = resources.scalars.get
    return get("cpus", 0), get("mem", 0), get("disk", 0), get("gpus", 0)


def more(before: Amounts, after: Amounts) -> Amounts:
    """By how much ``after`` is more; negative where it is less."""
    return after[0] - before[0], after[1] - before[1], after[2] - before[2], after[3] - before[3]


class Cluster:
    """What all agents together have. A kind that nobody has counts in nobody's share."""

    __slots__ = ("divisors", "total", "version")

    def __init__(self) -> None:
        self.total = NOTHING
        self.divisors: tuple[float, float, float, float] = (inf, inf, inf, inf)
        self.version = 0

    def grow(self, by: Amounts, sign: int = 1) -> None:
        """An agent came (``sign`` -1: it went). All shares change."""
        cpus, mem, disk, gpus = self.total
        self.total = (cpus + sign * by[0], mem + sign * by[1], disk + sign * by[2], gpus + sign * by[3])
        cpus, mem, disk, gpus = self.total
        self.divisors = (cpus or inf, mem or inf, disk or inf, gpus or inf)
        self.version += 1


class Member:
    """Somebody with a turn: what he holds, his weight, how often he was allocated to."""

    __slots__ = ("allocations", "cpus", "disk", "gpus", "index", "key", "mem", "weight")

    def __init__(self, index: int) -> None:
        """``index`` is unique and says who came first."""
        self.index = index
        self.weight = 1.0
        self.allocations = 0
        self.cpus = self.mem = self.disk = self.gpus = 0
        self.key: Key[Any] = (0.0, 0, index, self)

    @property
    def holds(self) -> Amounts:
        return self.cpus, self.mem, self.disk, self.gpus

    def charge(self, by: Amounts) -> None:
        """He gets that much."""
        cpus, mem, disk, gpus = by
        self.cpus += cpus
        self.mem += mem
        self.disk += disk
        if gpus:
            self.gpus += gpus

    def credit(self, by: Amounts) -> None:
        """He gives that much back."""
        cpus, mem, disk, gpus = by
        self.cpus -= cpus
        self.mem -= mem
        self.disk -= disk
        self.gpus -= gpus

    def share(self, cluster: Cluster) -> float:
        """The weighted dominant share."""
        cpus, mem, disk, gpus = cluster.divisors
        share = self.cpus / cpus
        if (other := self.mem / mem) > share:
            share = other
        if (other := self.disk / disk) > share:
            share = other
        if self.gpus and (other := self.gpus / gpus) > share:
            share = other
        return share / self.weight

    def turn(self, cluster: Cluster) -> tuple[float, int, int]:
        """Sorts members by whose turn it is."""
        return self.share(cluster), self.allocations, self.index


MemberT = TypeVar("MemberT", bound=Member)
Key = tuple[float, int, int, MemberT]


class Ranking(Generic[MemberT]):
    """Members in the order of their turn.

    Shares go stale in two cases, and are computed again only when they matter: a member who is
    alone is first whatever his share, and when the cluster's totals change nobody's place is
    looked at before ``settle``.
    """

    __slots__ = ("_cluster", "_version", "order")

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._version = cluster.version
        self.order: list[Key[MemberT]] = []

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[MemberT]:
        return (key[3] for key in self.order)

    def add(self, member: MemberT) -> None:
        self.settle()
        if len(self.order) == 1:
            self.order = [self._rank(self.order[0][3])]
        insort(self.order, self._rank(member))

    def remove(self, member: MemberT) -> None:
        del self.order[self._place(member)]

    def moved(self, member: MemberT) -> None:
        """What ``member`` holds, his weight or his allocations have changed."""
        order = self.order
        if len(order) == 1 or self._version != self._cluster.version:
            return
        del order[self._place(member)]
        insort(order, self._rank(member))

    @property
    def settled(self) -> bool:
        """Whether the places are those of the cluster's present totals."""
        return self._version == self._cluster.version

    def settle(self) -> None:
        """Take new totals of the cluster into account."""
        if not self.settled:
            self._version = self._cluster.version
            self.order = sorted([self._rank(member) for member in self])

    def _rank(self, member: MemberT) -> Key[MemberT]:
        member.key = key = (member.share(self._cluster), member.allocations, member.index, member)
        return key

    def _place(self, member: MemberT) -> int:
        order = self.order
        return 0 if order[0] is member.key else bisect_left(order, member.key)
