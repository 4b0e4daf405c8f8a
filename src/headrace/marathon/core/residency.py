"""Persistent volumes: what is reserved and made for an instance, and how it is found again. Pure.

An instance that keeps volumes reserves all that it takes, labelled with its id, so that it can always come back to
them. Reservation and volumes are made in the call that launches it first. Source: Marathon's documentation,
"Stateful Applications Using Local Persistent Volumes".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from headrace.marathon.core.records import Instance, LocalVolume
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.parts import Persistent
from headrace.marathon.definitions.paths import safe
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import Volume
from headrace.mesos.messages.scheduler import Operation, Reserve, Unreserve, Volumes
from headrace.mesos.resources import EMPTY, PLAIN, Reservation, Resources, Tag

FRAMEWORK_LABEL, INSTANCE_LABEL, LEASE_LABEL = "marathon_framework_id", "marathon_task_id", "marathon_reservation_id"


class Kept(msgspec.Struct, frozen=True):
    """What is reserved for one instance, and by which framework."""

    framework_id: str
    instance_id: str
    resources: Resources

    def volume_ids(self) -> set[str]:
        return {tag.volume for tag in self.resources.parts if tag.volume is not None}


class Stay(msgspec.Struct, frozen=True):
    """What is to be made for an instance before its first launch: ``reserved`` first, then ``made`` of it.

    ``held`` is what it takes then, volumes included.
    """

    reserved: Resources
    made: Resources
    held: Resources
    lease: str
    volumes: list[LocalVolume]


def wanted(run_spec: RunSpec) -> list[tuple[str, Persistent]]:
    """The volumes that instances keep, by their path in the container (pods: by their name)."""
    if isinstance(run_spec, App):
        volumes = run_spec.container.volumes if run_spec.container is not None else []
        return [(one.container_path, one.persistent) for one in volumes if one.persistent is not None]
    return [(one.name, one.persistent) for one in run_spec.volumes if one.persistent is not None]


def fits(run_spec: RunSpec, instance: Instance) -> bool:
    """Whether the volumes that an instance has are those of the definition."""
    have = sorted((one.path, one.type, one.size) for one in instance.volumes)
    return have == sorted((path, one.type, one.size) for path, one in wanted(run_spec))


def marked(tag: Tag) -> bool:
    """Whether it is reserved for an instance of some Marathon."""
    return tag.dynamic and any(key == INSTANCE_LABEL for key, _ in tag.reservations[-1].labels)


def kept(offered: Resources) -> dict[str, Kept]:
    """What is reserved for instances, by lease. What has none was made by somebody else, and is left alone."""
    out: dict[str, Kept] = {}
    for tag, part in offered.parts.items():
        labels = {key: value or "" for key, value in tag.reservations[-1].labels} if marked(tag) else {}
        lease = labels.get(LEASE_LABEL)
        if lease:
            before = out[lease].resources if lease in out else EMPTY
            framework_id = labels.get(FRAMEWORK_LABEL, "")
            out[lease] = Kept(framework_id, labels[INSTANCE_LABEL], before + part.tagged(tag))
    return out


def stay(
    instance: Instance,
    run_spec: RunSpec,
    taken: Resources,
    disks: Iterable[tuple[Persistent, Tag, int]],
    *,
    role: str,
    framework_id: str,
    principal: str | None,
    lease: str,
    ids: Callable[[], str],
) -> Stay:
    """What to make for a first launch. ``taken`` is for the task itself, ``disks`` (thousandths, on which disk) for
    its volumes in their order; all unreserved. ``ids`` makes uuids."""
    labels = ((FRAMEWORK_LABEL, framework_id), (INSTANCE_LABEL, instance.id), (LEASE_LABEL, lease))
    reservation = Reservation(role, True, principal, labels)
    own = taken.tagged(Tag((reservation,)))
    reserved, made, volumes = own, EMPTY, []
    for (path, wish), (_, on, amount) in zip(wanted(run_spec), disks, strict=True):
        volume_id = f"{safe(run_spec.id)}#{path}#{ids()}"
        mount = msgspec.json.encode(Volume(path, "RW"))
        disk = Resources({"disk": amount})
        reserved = reserved + disk.tagged(Tag((reservation,), source=on.source))
        made = made + disk.tagged(Tag((reservation,), volume_id, principal, mount, on.source))
        volumes.append(LocalVolume(path, volume_id, wish.size, wish.type))
    return Stay(reserved, made, own + made, lease, volumes)


def making(of: Stay, role: str) -> list[Operation]:
    """The operations that come before the first launch."""
    return [
        Operation("RESERVE", reserve=Reserve(of.reserved.messages(role))),
        Operation("CREATE", create=Volumes(of.made.messages(role))),
    ]


def undoing(resources: Resources, role: str) -> list[Operation]:
    """The operations that make reserved resources and volumes anybody's again; the data is lost."""
    volumes = resources.where(lambda tag: tag.whole)
    plain = resources.where(lambda tag: tag is not PLAIN and not tag.whole)
    for tag, part in volumes.parts.items():
        plain = plain + part.tagged(Tag(tag.reservations, source=tag.source, provider=tag.provider))
    out = [Operation("DESTROY", destroy=Volumes(volumes.messages(role)))] if volumes else []
    return [*out, Operation("UNRESERVE", unreserve=Unreserve(plain.messages(role)))] if plain else out
