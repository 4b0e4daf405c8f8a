"""Does an offer suit an app? Pure: offer and app in; resources and ports, or the reason against it, out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from headrace.marathon.core import places, residency
from headrace.marathon.core.constraints import Spread, unmet
from headrace.marathon.core.disks import Disk, NoDiskError, choose
from headrace.marathon.core.places import Place
from headrace.marathon.core.records import Instance
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.resources import MILLI, PLAIN, Resources, Spans, Tag

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
_GPU_LABEL = "GPU_SCHEDULING_BEHAVIOR"


class Policy(msgspec.Struct, frozen=True):
    """What flags say about offers. ``accept``: any, unreserved or reserved resources, where an app says nothing.

    ``draining``: seconds before a machine's service begins from which it is left alone, if ``maintenance`` counts.
    ``restrict_gpus``: agents with GPUs are for what asks for them. ``home_region``: the master's; others are used only
    by what has a constraint on ``@region``.
    """

    accept: str = "any"
    maintenance: bool = True
    draining: float = 0.0
    restrict_gpus: bool = True
    home_region: str | None = None

    def accepted(self, app: RunSpec, role: str) -> frozenset[str]:
        """The roles whose resources an app takes."""
        if app.resident:
            return frozenset({"*"})
        if app.accepted_resource_roles:
            return frozenset(app.accepted_resource_roles)
        return frozenset({"any": ("*", role), "unreserved": ("*",)}.get(self.accept, (role,)))


DEFAULT = Policy()


class Match(msgspec.Struct, frozen=True):
    """What to take of the offer: ``resources`` for the tasks, ``disks`` for volumes that are to be made."""

    resources: Resources
    ports: list[int]
    disks: list[Disk] = []

    @property
    def on_root(self) -> Resources:
        """For volumes on the agent's own disk."""
        return Resources({"disk": sum(amount for _, tag, amount in self.disks if tag == PLAIN)})


class Refusal(msgspec.Struct, frozen=True):
    """Why not: one of REASONS, and the same with numbers; of an amount what is ``needed`` and what is ``free``."""

    reason: str
    detail: str
    resource: str = ""
    needed: float | None = None
    free: float | None = None


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


Kind = tuple[object, ...]


def kind(run_spec: RunSpec) -> Kind | None:
    """What decides about an offer, if it is the same for all: an offer that refuses one app refuses all of its kind.

    None if there is more to it: where siblings are, what is reserved, secrets.
    """
    if run_spec.constraints or run_spec.resident or run_spec.secrets:
        return None
    wanted, accepted = need(run_spec), tuple(run_spec.accepted_resource_roles or ())
    amounts = (wanted.cpus, wanted.mem, wanted.disk, wanted.gpus)
    return (run_spec.role, *amounts, tuple(wanted.ports), accepted, run_spec.labels.get(_GPU_LABEL, ""))


def match(
    place: Place,
    app: RunSpec,
    spread: Spread,
    randrange: Callable[[int], int],
    *,
    role: str,
    policy: Policy = DEFAULT,
    now: float = 0.0,
) -> Match | Refusal:
    """Try one instance. ``spread`` is where the app's other instances of this configuration are.

    ``randrange(n)`` gives 0..n-1 and picks the ports.
    """
    accepted = policy.accepted(app, role)
    tags = place.tags(accepted)
    if not any(places.part(place.free, tag) for tag in tags) and (place.free or not tags):
        names = ", ".join(sorted(accepted))
        return Refusal("UnfulfilledRole", f"only resources of {names} are accepted, and none are offered")
    why = unmet(app.constraints, place.fields, spread, app.instances) or _elsewhere(place, app, policy)
    if why:
        return Refusal("UnfulfilledConstraint", why)
    if policy.maintenance and place.maintained(now, policy.draining):
        return _serviced(place)
    wanted = need(app)
    try:
        disks = choose(residency.wanted(app), place.disks) if app.resident else []
    except NoDiskError as error:
        return Refusal("InsufficientDisk", f"{error}; {place.offer.hostname} offers none")
    root = sum(amount for _, tag, amount in disks if tag == PLAIN)
    found = _take(place, place.free, tags, wanted, randrange, root)
    if isinstance(found, Refusal):
        return found
    if policy.restrict_gpus and place.gpus and not wanted.gpus and app.labels.get(_GPU_LABEL, "") != "unrestricted":
        return Refusal("DeclinedScarceResources", f"{place.offer.hostname} has GPUs, and none are asked for")
    return Match(found.resources, found.ports, disks)


def match_kept(
    place: Place, app: RunSpec, instance: Instance, randrange: Callable[[int], int], *, policy: Policy, now: float
) -> Match | Refusal:
    """Try an instance that has its volumes: only what is reserved for it will do."""
    kept = place.kept.get(instance.lease)
    ids = {one.id for one in instance.volumes}
    if kept is None or not ids <= kept.volume_ids():
        home = instance.host or "another agent"
        return Refusal(
            "NoCorrespondingReservationFound", f"its volumes are on {home}; {place.offer.hostname} offers none of them"
        )
    if policy.maintenance and place.maintained(now, policy.draining):
        return _serviced(place)
    volumes = kept.resources.where(lambda tag: tag.volume in ids)
    stock = kept.resources.where(lambda tag: tag != PLAIN and not tag.whole and not tag.source)
    wanted = need(app)
    before = [port for port in instance.ports if port]
    if len(instance.ports) == len(wanted.ports) and all(_has(stock, port) for port in before):
        # the same numbers for the same ports
        numbers = [old if port == 0 else port for old, port in zip(instance.ports, wanted.ports, strict=True)]
        wanted = msgspec.structs.replace(wanted, ports=numbers)
    found = _take(place, stock, list(stock.parts), wanted, randrange, 0)
    return found if isinstance(found, Refusal) else Match(found.resources + volumes, found.ports)


def _serviced(place: Place) -> Refusal:
    return Refusal("AgentMaintenance", f"{place.offer.hostname} is being serviced, or will be soon")


def _elsewhere(place: Place, app: RunSpec, policy: Policy) -> str:
    region = place.fields.get("@region")
    if region is None or policy.home_region in (None, region) or any(one[0] == "@region" for one in app.constraints):
        return ""
    return (
        f"{place.offer.hostname} is in region {region}, not in {policy.home_region}; a constraint on @region allows it"
    )


def _take(
    place: Place, stock: Resources, tags: Sequence[Tag], wanted: Need, randrange: Callable[[int], int], root: int
) -> Match | Refusal:
    """What is needed out of ``stock``; ``root`` thousandths of disk are for volumes."""
    scalars = Resources.of(cpus=wanted.cpus, mem=wanted.mem, disk=wanted.disk, gpus=wanted.gpus)
    for name, reason in (
        ("cpus", "InsufficientCpus"),
        ("mem", "InsufficientMemory"),
        ("disk", "InsufficientDisk"),
        ("gpus", "InsufficientGpus"),
    ):
        lacking = scalars.scalars.get(name, 0) + (root if name == "disk" else 0)
        if lacking and (free := places.amount(stock, tags, name)) < lacking:
            offered = f"{place.offer.hostname} offers {free / MILLI:g}"
            needed = lacking / MILLI
            return Refusal(reason, f"needs {needed:g} {name}; {offered}", name, needed, free / MILLI)
    ports = _ports(places.spans(stock, tags), wanted.ports, randrange) if wanted.ports else []
    if isinstance(ports, Refusal):
        return ports
    taken = [port for port in ports if port]
    return Match(places.take(stock, tags, scalars.with_ports(taken) if taken else scalars), ports)


def _has(stock: Resources, port: int) -> bool:
    parts = [part.ranges.get("ports", ()) for part in stock.parts.values()]
    return any(begin <= port <= end for spans in parts for begin, end in spans)


def _ports(spans: Spans, wanted: list[int | None], randrange: Callable[[int], int]) -> list[int] | Refusal:
    """One number for each port of the app, 0 for those that have none of the host."""
    fixed = {port for port in wanted if port}
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
