"""Quota: what a role is guaranteed, and what it may hold at most. Answers and texts are Mesos's.

The allocator holds to it; here it is checked, stored and told of. Only top-level roles have quota; it
counts for the roles below them as well. Source: Mesos documentation, "Quota".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite, isnan

from headrace.kernel.core import Delete
from headrace.mesos.master.core import registry, validation
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.effects import OK, Answer
from headrace.mesos.master.core.model import Offer, Quota
from headrace.mesos.master.core.offers import Offers
from headrace.mesos.messages.common import Resource, Scalar
from headrace.mesos.messages.operator import (
    QuotaConfig,
    QuotaInfo,
    QuotaRequest,
    QuotaStatus,
    UpdateQuota,
)
from headrace.mesos.resources import MILLI, InvalidResourceError, Resources, thousandths

EXABYTE_IN_MIB = 1024**4
TRILLION = 10**12
NO_QUOTA = Quota()


class Quotas:
    """The rules of quota, over the books."""

    def __init__(self, books: Books, offers: Offers) -> None:
        self._books = books
        self._offers = offers

    def restore(self) -> None:
        """After a start: the allocator learns what is stored."""
        for role, quota in self._books.quotas.items():
            self._tell_allocator(role, quota)

    # Orders of operators

    def update(self, call: UpdateQuota, now: float) -> Answer:
        """Set the quota of roles, all or none; one without guarantees and limits takes it back."""
        configs = call.quota_configs or []
        for config in configs:
            if "/" in (config.role or ""):
                return Answer(400, f"Updating quota on nested role '{config.role}' is not supported yet")
            if wrong := _problem_of(config):
                return Answer(400, f"Invalid QuotaConfig: {wrong}")
        new = {config.role or "": _quota(config) for config in configs}
        if not call.force and (wrong := self._overcommitted(new)):
            return Answer(400, f"Invalid QuotaConfig: total {wrong} (use 'force' flag to bypass this check)")
        for role, quota in new.items():
            self._set(role, quota, now)
        return OK

    def set(self, request: QuotaRequest, now: float) -> Answer:
        """The older form: guarantees that are limits as well, for a role that has none yet."""
        if wrong := _problem_of_request(request):
            return Answer(400, f"Failed to validate set quota request: {wrong}")
        role = request.role or ""
        if self._books.quotas.get(role, NO_QUOTA) != NO_QUOTA:
            why = f"Cannot set quota for role '{role}' which already has quota"
            return Answer(400, f"Failed to validate set quota request: {why}")
        if "/" in role:
            return Answer(400, f"Setting quota on nested role '{role}' is not supported yet")
        amounts = dict(Resources.parse(request.guarantee).scalars)
        quota = Quota(amounts, amounts)
        if not request.force and (wrong := self._overcommitted({role: quota})):
            text = f"Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total {wrong}"
            return Answer(409, text)
        self._set(role, quota, now)
        return OK

    def remove(self, role: str, now: float, path: str = "") -> Answer:
        """Take a role's quota back. ``path``: of the request, if it was to ``/quota/<role>``."""
        if self._books.quotas.get(role, NO_QUOTA) == NO_QUOTA:
            where = f" for path '{path}'" if path else ""
            return Answer(400, f"Failed to remove quota{where}: Role '{role}' has no quota set")
        del self._books.quotas[role]
        self._books.emit(Delete(registry.QUOTAS + role))
        self._tell_allocator(role, NO_QUOTA)
        self._books.story(f"role/{role}", now, "quota removed", "by an operator")
        return OK

    def _set(self, role: str, quota: Quota, now: float) -> None:
        books = self._books
        old = books.quotas.get(role, NO_QUOTA)
        books.quotas[role] = quota
        books.emit(registry.keep_quota(role, quota) if quota != NO_QUOTA else Delete(registry.QUOTAS + role))
        self._tell_allocator(role, quota)
        what = f"guarantees {_listed(quota.guarantees) or 'none'}, limits {_listed(quota.limits) or 'none'}"
        books.story(f"role/{role}", now, "quota set by an operator", what)
        self._rescind_over_limit(role, now)
        more = {
            name: amount - old.guarantees.get(name, 0)
            for name, amount in quota.guarantees.items()
            if amount > old.guarantees.get(name, 0)
        }
        self._rescind_for_guarantee(role, more, now)

    def _tell_allocator(self, role: str, quota: Quota) -> None:
        guarantees = {name: amount / MILLI for name, amount in quota.guarantees.items()}
        limits = {name: amount / MILLI for name, amount in quota.limits.items()}
        self._books.allocator.update_quota(role, guarantees, limits)

    # Offers that stand in the way

    def _rescind_over_limit(self, role: str, now: float) -> None:
        """Take back offers of the role until it holds no more than it may."""
        over = self._books.allocator.over_limit(role)
        if not over:
            return
        for offer in [offer for offer in self._books.offers.values() if _top(offer.role) == role]:
            if not over:
                return
            if any(offer.resources.scalars.get(name) for name in over.scalars):
                self._offers.rescind([offer], f"role '{role}' is over its quota limits", now)
                over = self._books.allocator.over_limit(role)

    def _rescind_for_guarantee(self, role: str, more: Mapping[str, int], now: float) -> None:
        """Take back offers of other roles, until there is as much as the role has been guaranteed more."""
        left = dict(more)
        for offer in list(self._books.offers.values()):
            if not left:
                return
            if _top(offer.role) != role and self._helps(offer, left):
                freed = offer.resources.plain.scalars
                left = {name: amount - freed.get(name, 0) for name, amount in left.items()}
                left = {name: amount for name, amount in left.items() if amount > 0}
                self._offers.rescind([offer], f"role '{role}' is guaranteed more", now)

    @staticmethod
    def _helps(offer: Offer, wanted: Mapping[str, int]) -> bool:
        return any(offer.resources.plain.scalars.get(name) for name in wanted)

    # The cluster's capacity

    def _overcommitted(self, new: Mapping[str, Quota]) -> str | None:
        """Whether the cluster is too small for all guarantees, agents that are away included."""
        quotas = {**self._books.quotas, **new}
        guaranteed: dict[str, int] = {}
        for quota in quotas.values():
            _add(guaranteed, quota.guarantees)
        capacity: dict[str, int] = {}
        if guaranteed:
            for agent in self._books.agents.values():
                _add(capacity, _quantities(agent.total))
        if all(capacity.get(name, 0) >= amount for name, amount in guaranteed.items()):
            return None
        return f"quota guarantees '{_listed(guaranteed)}' exceed cluster capacity '{_listed(capacity)}'"

    # Views

    def status(self) -> QuotaStatus:
        """All quotas."""
        quotas = sorted(self._books.quotas.items())
        if not quotas:
            return QuotaStatus()
        infos = [QuotaInfo(role, _resources(quota.guarantees) or None) for role, quota in quotas]
        configs = [
            QuotaConfig(role, _scalars(quota.guarantees) or None, _scalars(quota.limits) or None)
            for role, quota in quotas
        ]
        return QuotaStatus(infos, configs)


def _top(role: str) -> str:
    return role.partition("/")[0]


def _add(total: dict[str, int], amounts: Mapping[str, int]) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, 0) + amount


def _quantities(total: Resources) -> dict[str, int]:
    lasting = total.where(lambda tag: not tag.revocable) if total.parts else total
    return lasting.without_tags().scalars


def _quota(config: QuotaConfig) -> Quota:
    return Quota(_amounts(config.guarantees), _amounts(config.limits))


def _amounts(scalars: Mapping[str, Scalar] | None) -> dict[str, int]:
    return {name: thousandths(scalar.value) for name, scalar in (scalars or {}).items()}


def _scalars(amounts: Mapping[str, int]) -> dict[str, Scalar]:
    return {name: Scalar(amount / MILLI) for name, amount in amounts.items()}


def _resources(amounts: Mapping[str, int]) -> list[Resource]:
    return [Resource(name, "SCALAR", Scalar(amount / MILLI)) for name, amount in sorted(amounts.items())]


def _listed(amounts: Mapping[str, int]) -> str:
    """As Mesos writes quantities: ``cpus:16; mem:1024``."""
    return "; ".join(f"{name}:{amount / MILLI:.15g}" for name, amount in sorted(amounts.items()))


def _as_map(scalars: Mapping[str, Scalar]) -> str:
    """As Mesos writes a map: ``{ cpus: 5 }``."""
    return "{ " + ", ".join(f"{name}: {scalar.value:.15g}" for name, scalar in scalars.items()) + " }"


def _problem_of(config: QuotaConfig) -> str | None:
    if config.role is None:
        return "'QuotaConfig.role' must be set"
    if wrong := validation.role(config.role):
        return f"Invalid 'QuotaConfig.role': {wrong}"
    guarantees, limits = config.guarantees or {}, config.limits or {}
    for field, given in (("guarantees", guarantees), ("limits", limits)):
        if wrong := _too_large(given):
            return f"Invalid 'QuotaConfig.{field}': {wrong}"
    for kind, given in (("guarantee", guarantees), ("limit", limits)):
        for name, scalar in given.items():
            if wrong := _odd(scalar.value):
                return f"Invalid {kind} configuration {{'{name}': {scalar.value:.15g}}}: {wrong}"
    low, high = _amounts(guarantees), _amounts(limits)
    if any(name in high and amount > high[name] for name, amount in low.items()):
        return (
            f"'QuotaConfig.guarantees' {_as_map(guarantees)} is not contained within "
            f"the 'QuotaConfig.limits' {_as_map(limits)}"
        )
    return None


def _too_large(given: Mapping[str, Scalar]) -> str | None:
    for name, scalar in given.items():
        text, greatest = ("1 exabyte", EXABYTE_IN_MIB) if name in ("mem", "disk") else ("1 trillion", TRILLION)
        if scalar.value > greatest:
            return (
                f"{{'{name}': {scalar.value:.15g}}} is invalid: "
                f"values greater than {text} ({greatest}) are not supported"
            )
    return None


def _odd(value: float) -> str | None:
    if isnan(value):
        return "NaN not supported"
    if not isfinite(value):
        return "Infinite values not supported"
    return "Negative values not supported" if value < 0 else None


def _problem_of_request(request: QuotaRequest) -> str | None:
    try:
        Resources.parse(request.guarantee)
    except InvalidResourceError as error:
        return f"QuotaInfo with invalid resource: {error}"
    if request.role is None:
        return "QuotaInfo must specify a role"
    if wrong := validation.role(request.role):
        return f"QuotaInfo with invalid role: {wrong}"
    if not request.guarantee:
        return "QuotaInfo with empty 'guarantee'"
    return _problem_of_guarantee(request.guarantee)


def _problem_of_guarantee(guarantee: Iterable[Resource]) -> str | None:
    seen: set[str] = set()
    for resource in guarantee:
        if resource.reservations or resource.reservation is not None or resource.role not in (None, "*"):
            return "QuotaInfo must not contain any ReservationInfo"
        if resource.disk is not None:
            return "QuotaInfo must not contain DiskInfo"
        if resource.revocable is not None:
            return "QuotaInfo must not contain RevocableInfo"
        if resource.scalar is None:
            return "QuotaInfo must not include non-scalar resources"
        if resource.name in seen:
            return f"QuotaInfo contains duplicate resource name '{resource.name}'"
        seen.add(resource.name)
    return None
