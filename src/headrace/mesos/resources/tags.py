"""What is special about resources: reservations, volumes, disks, and that they are revocable or shared."""

from __future__ import annotations

import msgspec

from headrace.mesos.messages.common import ReservationInfo, Resource

MILLI = 1000
"""Resources are kept in thousandths."""

_ENDLESS = 10**30


def thousandths(value: float) -> int:
    """The nearest whole number of thousandths; for what is endless a very large one, for what is no number a negative.

    It never raises: whoever says nonsense is to be told so, in a text that names it.
    """
    if -1e24 < value < 1e24:
        return round(value * MILLI)
    return _ENDLESS if value > 0 else -_ENDLESS


class Reservation(msgspec.Struct, frozen=True, order=True):
    """For whom something is reserved. ``labels`` are (key, value or None) pairs."""

    role: str
    dynamic: bool = False
    principal: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()


class Tag(msgspec.Struct, frozen=True):
    """What is special about resources that are not just anybody's.

    ``reservations``: outermost first, so the last says whose it is. ``volume``: the id of a persistent
    volume, ``owner`` the principal that made it, ``mount`` its Volume as JSON; ``source``: the disk that it is on,
    as JSON. ``shared_size``: for a shared volume its size in thousandths; its amount then counts users, not size.
    """

    reservations: tuple[Reservation, ...] = ()
    volume: str | None = None
    owner: str | None = None
    mount: bytes = b""
    source: bytes = b""
    revocable: bool = False
    shared_size: int = 0
    provider: str | None = None

    @property
    def role(self) -> str:
        """Whose it is; ``*`` if it is anybody's."""
        return self.reservations[-1].role if self.reservations else "*"

    @property
    def dynamic(self) -> bool:
        """Whether its innermost reservation can be taken off."""
        return bool(self.reservations) and self.reservations[-1].dynamic

    @property
    def whole(self) -> bool:
        """Whether it can't be split: it is a volume."""
        return self.volume is not None

    @property
    def shared(self) -> bool:
        """Whether several may use it at a time."""
        return self.shared_size > 0


PLAIN = Tag()


def reservations_of(message: Resource) -> tuple[Reservation, ...]:
    """Of the new form, or of the old one (``role`` and ``reservation``)."""
    if message.reservations:
        return tuple(_reservation(one) for one in message.reservations)
    old = message.reservation
    if message.role in (None, "", "*"):
        return (_reservation(old),) if old is not None and old.role else ()
    if old is None:
        return (Reservation(message.role or ""),)
    return (_reservation(msgspec.structs.replace(old, type="DYNAMIC", role=message.role)),)


def _reservation(one: ReservationInfo) -> Reservation:
    labels = tuple((label.key, label.value) for label in (one.labels.labels or ())) if one.labels is not None else ()
    return Reservation(one.role or "*", one.type != "STATIC", one.principal, labels)


def tag_of(message: Resource) -> Tag:
    """What is special about a resource; PLAIN if nothing is."""
    disk = message.disk
    persistence = disk.persistence if disk is not None else None
    shared = message.shared is not None and message.scalar is not None
    return Tag(
        reservations_of(message),
        persistence.id if persistence is not None else None,
        persistence.principal if persistence is not None else None,
        msgspec.json.encode(disk.volume) if disk is not None and disk.volume is not None else b"",
        msgspec.json.encode(disk.source, order="sorted") if disk is not None and disk.source is not None else b"",
        message.revocable is not None,
        thousandths(message.scalar.value) if shared and message.scalar is not None else 0,
        message.provider_id.value if message.provider_id is not None else None,
    )
