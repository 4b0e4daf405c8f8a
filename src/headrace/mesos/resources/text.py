"""Resources as Mesos writes them in messages, and in the form for older frameworks."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from headrace.mesos.messages.common import DiskInfo, ReservationInfo, Resource
from headrace.mesos.resources.tags import MILLI, Reservation, reservations_of, thousandths


def describe(resources: Iterable[Resource], role: str | None = None) -> str:
    """As Mesos writes resources in messages: ``cpus(allocated: test):1; ports(allocated: test):[31000-31001]``.

    ``role``: whom those are allocated to that do not say it themselves.
    """
    return "; ".join(_described(resource, role) for resource in resources)


def _described(resource: Resource, role: str | None) -> str:
    name = resource.name
    allocation = resource.allocation_info
    if owner := allocation.role if allocation is not None else role:
        name += f"(allocated: {owner})"
    if reservations := reservations_of(resource):
        inner = ",".join(f"({_describe_reservation(one)})" for one in reservations)
        name += f"(reservations: [{inner}])"
    if resource.disk is not None:
        name += _describe_disk(resource.disk)
    if resource.revocable is not None:
        name += "{REV}"
    if resource.shared is not None:
        name += "<SHARED>"
    if resource.scalar is not None:
        return f"{name}:{thousandths(resource.scalar.value) / MILLI:.15g}"
    if resource.ranges is not None:
        return f"{name}:[{', '.join(f'{s.begin}-{s.end}' for s in resource.ranges.range or ())}]"
    if resource.set is not None:
        return f"{name}:{{{', '.join(resource.set.item or ())}}}"
    return name


def _describe_reservation(one: Reservation) -> str:
    labels = [f"{key}: {value}" if value is not None else key for key, value in one.labels]
    words = [
        "DYNAMIC" if one.dynamic else "STATIC",
        one.role,
        one.principal,
        f"{{{', '.join(labels)}}}" if labels else None,
    ]
    return ",".join(word for word in words if word)


def _describe_disk(disk: DiskInfo) -> str:
    persistence, volume = disk.persistence, disk.volume
    if persistence is None:
        return f"[{disk.source.type}]" if disk.source is not None else ""
    words = [persistence.id]
    if volume is not None:
        host = f"{volume.host_path}:" if volume.host_path else ""
        mode = f":{volume.mode.lower()}" if volume.host_path and volume.mode else ""
        words.append(f"{host}{volume.container_path}{mode}")
    return f"[{':'.join(words)}]"


def old_form(message: Resource) -> Resource:
    """For frameworks without RESERVATION_REFINEMENT: ``role`` and ``reservation`` instead of ``reservations``.

    Raises ValueError for a refined reservation, which the old form can't express.
    """
    given = message.reservations or []
    if len(given) > 1:
        raise ValueError(f"{describe([message])} has a refined reservation")
    if not given:
        return msgspec.structs.replace(message, role="*")
    one = given[0]
    old = None if one.type == "STATIC" else ReservationInfo(principal=one.principal, labels=one.labels)
    return msgspec.structs.replace(message, role=one.role, reservation=old, reservations=None)
