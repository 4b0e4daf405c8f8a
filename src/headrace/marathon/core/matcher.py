"""Does an offer suit an app? Pure: offer and app in; resources and ports, or the reason against it, out.

Only unreserved, ordinary resources are used: no reservations, volumes or revocable ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from headrace.marathon.core.constraints import Fields, Spread, attribute_text, unmet
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import Offer, Resource
from headrace.mesos.resources import Resources

REASONS = (
    "UnfulfilledRole",
    "UnfulfilledConstraint",
    "NoCorrespondingReservationFound",
    "AgentMaintenance",
    "InsufficientCpus",
    "InsufficientMemory",
    "InsufficientDisk",
    "InsufficientGpus",
    "InsufficientPorts",
    "DeclinedScarceResources",
)
"""Why an offer can be refused, in the order in which it is looked at."""


class Match(msgspec.Struct, frozen=True):
    """What to take of the offer."""

    resources: Resources
    ports: list[int]


class Refusal(msgspec.Struct, frozen=True):
    """Why not: one of REASONS, and the same with numbers."""

    reason: str
    detail: str


class Place(msgspec.Struct):
    """An offer being used up: ``free`` shrinks with each match that is taken."""

    offer: Offer
    fields: Fields
    free: Resources

    @classmethod
    def of(cls, offer: Offer) -> Place:
        return cls(offer, _fields(offer), Resources.parse(one for one in offer.resources or () if _ordinary(one)))


class Need(msgspec.Struct, frozen=True):
    """What one instance takes. ``ports``: one for each of its ports: a number, 0 for any, None for none."""

    cpus: float
    mem: float
    disk: float
    gpus: float
    ports: list[int | None]


def need(run_spec: RunSpec) -> Need:
    """What an instance of an app or a pod takes."""
    if isinstance(run_spec, App):
        app = run_spec
        return Need(app.cpus, app.mem, app.disk, float(app.gpus), [one.host for one in app.ports])
    total = run_spec.total()
    return Need(total.cpus, total.mem, total.disk, float(total.gpus), [one.host_port for one in run_spec.endpoints])


def match(place: Place, app: RunSpec, spread: Spread, randrange: Callable[[int], int], *, role: str) -> Match | Refusal:
    """Try one instance. ``spread`` is where the app's other instances of this configuration are.

    ``randrange(n)`` gives 0..n-1 and picks the ports.
    """
    allowed = app.accepted_resource_roles
    if allowed and "*" not in allowed:
        return Refusal("UnfulfilledRole", f"only resources reserved to role {role} are accepted, and none are offered")
    why = unmet(app.constraints, place.fields, spread, app.instances)
    if why:
        return Refusal("UnfulfilledConstraint", why)
    wanted = need(app)
    for name, amount, reason in (
        ("cpus", wanted.cpus, "InsufficientCpus"),
        ("mem", wanted.mem, "InsufficientMemory"),
        ("disk", wanted.disk, "InsufficientDisk"),
        ("gpus", wanted.gpus, "InsufficientGpus"),
    ):
        if place.free.scalars.get(name, 0) < round(amount * 1000):
            free = place.free.scalar(name)
            return Refusal(reason, f"needs {amount:g} {name}; {place.offer.hostname} offers {free:g}")
    ports = _ports(place.free, wanted.ports, randrange)
    if isinstance(ports, Refusal):
        return ports
    scalars = Resources.of(cpus=wanted.cpus, mem=wanted.mem, disk=wanted.disk, gpus=wanted.gpus)
    taken = [port for port in ports if port]
    return Match(scalars.with_ports(taken) if taken else scalars, ports)


def _ports(free: Resources, wanted: list[int | None], randrange: Callable[[int], int]) -> list[int] | Refusal:
    """One number for each port of the app, 0 for those that have none of the host."""
    fixed = {port for port in wanted if port}
    spans = free.ranges.get("ports", ())
    missing = [port for port in fixed if not any(begin <= port <= end for begin, end in spans)]
    if missing:
        return Refusal("InsufficientPorts", f"port {min(missing)} is required and not offered")
    some = sum(port == 0 for port in wanted)
    if not some:
        return [port or 0 for port in wanted]
    total = sum(end - begin + 1 for begin, end in spans)
    if total < some + len(fixed):
        return Refusal("InsufficientPorts", f"needs {some + len(fixed)} ports; {total} are offered")
    start = randrange(total)
    others = (port for index in range(total) if (port := _nth(spans, (start + index) % total)) not in fixed)
    return [next(others) if port == 0 else port or 0 for port in wanted]


def _nth(spans: Sequence[tuple[int, int]], index: int) -> int:
    for begin, end in spans:
        if index <= end - begin:
            return begin + index
        index -= end - begin + 1
    raise IndexError(index)


def _ordinary(resource: Resource) -> bool:
    return (
        resource.role in (None, "*")
        and not resource.reservation
        and not resource.reservations
        and not resource.disk
        and resource.revocable is None
        and resource.shared is None
        and resource.provider_id is None
    )


def _fields(offer: Offer) -> Fields:
    fields = {one.name: attribute_text(one) for one in offer.attributes or ()}
    domain = offer.domain.fault_domain if offer.domain is not None else None
    if domain is not None:
        fields |= {"@region": domain.region.name, "@zone": domain.zone.name}
    return {**fields, "hostname": offer.hostname}
