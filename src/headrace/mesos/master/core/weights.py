"""Weights of roles: a role with weight 2 gets twice the share of one with 1. Answers and texts are Mesos's."""

from __future__ import annotations

from math import isfinite

from headrace.mesos.master.core import registry, validation
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.effects import OK, Answer
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.messages.operator import UpdateWeights, WeightInfo


class Weights:
    """The rules of weights, over the books."""

    def __init__(self, books: Books, offers: Offers) -> None:
        self._books = books
        self._offers = offers

    def restore(self) -> None:
        """After a start: what an operator has set counts more than the flag ``--weights``."""
        for role, weight in self._books.weights.items():
            self._books.allocator.update_weight(role, weight)

    def update(self, call: UpdateWeights, now: float) -> Answer:
        """Set weights; the others stay. Offers are taken back if a role with frameworks is among them."""
        infos = call.weight_infos or []
        for info in infos:
            if wrong := _problem_of(info):
                return Answer(400, f"Failed to validate update weights request JSON{wrong}")
        books = self._books
        for info in infos:
            role = _role(info)
            books.weights[role] = info.weight
            books.allocator.update_weight(role, info.weight)
            books.emit(registry.keep_weight(role, info.weight))
            books.story(f"role/{role}", now, "weight set by an operator", f"{info.weight:g}")
        changed = {_role(info) for info in infos}
        if any(changed.intersection(framework.roles) for framework in books.frameworks.values()):
            self._offers.rescind(list(books.offers.values()), "the weights of roles have changed", now)
        return OK

    def infos(self) -> list[WeightInfo]:
        """All weights that were set."""
        return [WeightInfo(weight, role) for role, weight in sorted(self._books.weights.items())]


def _role(info: WeightInfo) -> str:
    return (info.role or "").strip()


def _problem_of(info: WeightInfo) -> str | None:
    role = _role(info)
    wrong = validation.role(role) if role else "Role names cannot be the empty string"
    if wrong:
        return f": Invalid role '{role}': {wrong}"
    if not isfinite(info.weight) or info.weight <= 0:
        return f" for role '{role}': Invalid weight '{info.weight:g}': Weights must be positive"
    return None
