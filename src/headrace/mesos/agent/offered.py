"""What an agent offers: the flags ``--resources``, ``--default_role`` and ``--attributes``, and what the machine has.

    cpus:8;mem:8192;ports:[31000-32000,33000-33010];colours:{red,blue};disk(ops):100
    [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 8}}, …]      JSON, reservations and disk sources included
    rack:r1;zone:z;slots:4;racks:[1-4]                                   attributes

Either may be ``file://`` and the path of a file that holds it. ``disk(ops)`` is reserved for the role ops. Named
resources replace what was detected, the others stay, as in Mesos. Memory and disk are in MiB.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator

import msgspec

from headrace.mesos.messages.common import (
    Attribute,
    Range,
    Ranges,
    ReservationInfo,
    Resource,
    Scalar,
    Set,
    Text,
)
from headrace.mesos.resources import InvalidResourceError, Reservation, Resources, Tag

MIB = 1024 * 1024
DEFAULT_PORTS = ((31000, 32000),)
ANYBODY = "*"

_SEPARATORS = re.compile(r"[;\n]")
_SOURCES = ("PATH", "MOUNT", "BLOCK", "RAW")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class FlagError(ValueError):
    """A flag's value that can't be understood; says where and how it would be right."""


def contents(flag: str, value: str) -> str:
    """A flag's value; for ``file:///path`` what that file holds. Raises FlagError."""
    value = value.strip()
    if not value.startswith("file://"):
        return value
    path = value.removeprefix("file://")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise FlagError(f"{flag}: can't read {path}: {why}") from None


def parse_resources(text: str, default_role: str = ANYBODY) -> list[Resource]:
    """The flag ``--resources``; what names no role is ``default_role``'s. Raises FlagError."""
    text = contents("--resources", text)
    found = _from_json(text) if text.startswith(("[", "{")) else list(_from_text(text))
    return [_of_role(resource, default_role) for resource in found]


def check_role(role: str) -> None:
    """Raise ValueError unless ``role`` can be a role's name."""
    if role == ANYBODY:
        return
    for part in role.split("/"):
        if not part or part in (".", "..", ANYBODY) or part.startswith("-") or re.search(r"[\s\x08\\\x7f]", part):
            raise ValueError(f"{role!r} can't be a role's name")


def _from_text(text: str) -> Iterator[Resource]:
    for part, at in _parts(text):
        place = f"--resources, character {at + 1}: "
        name, separator, value = part.partition(":")
        match = re.fullmatch(r"([^()\s]+)\s*(?:\(([^()]*)\))?", name.strip())
        if not separator or match is None:
            raise FlagError(f"{place}{part!r} is not name:value or name(role):value")
        try:
            resource = _resource(match[1], value.strip())
            if match[2] is not None:
                check_role(match[2])
                resource = msgspec.structs.replace(resource, role=match[2])
            _check_amount(resource)
        except ValueError as error:
            raise FlagError(f"{place}{error}") from None
        yield resource


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """What stands between the separators, and where it begins."""
    at = 0
    for part in _SEPARATORS.split(text):
        if part.strip():
            yield part.strip(), at + len(part) - len(part.lstrip())
        at += len(part) + 1


def _from_json(text: str) -> list[Resource]:
    try:
        found = msgspec.json.decode(text, type=list[Resource])
    except msgspec.DecodeError as error:
        raise FlagError(f"--resources: not a JSON list of resources: {error}") from None
    for number, resource in enumerate(found):
        try:
            _check(resource)
            _check_amount(resource)
        except ValueError as error:
            raise FlagError(f"--resources, item {number + 1} ({resource.name!r}): {error}") from None
    return found


def _check(resource: Resource) -> None:
    """Raise ValueError for what only a master can make."""
    reservations = resource.reservations or []
    if resource.reservation is not None or any(one.type == "DYNAMIC" for one in reservations):
        raise InvalidResourceError("dynamic reservations can't be given at the start; use STATIC")
    for role in (resource.role, *(one.role for one in reservations)):
        check_role(role or ANYBODY)
    if resource.revocable is not None or resource.shared is not None:
        raise InvalidResourceError("revocable and shared resources can't be given at the start")
    if resource.disk is None:
        return
    if resource.disk.persistence is not None or resource.disk.volume is not None:
        raise InvalidResourceError("persistent volumes can't be given at the start")
    source = resource.disk.source
    if resource.name != "disk" or source is None or source.type not in _SOURCES:
        raise InvalidResourceError(f"only disk has a disk.source, with a type of {', '.join(_SOURCES)}")
    if source.type == "MOUNT" and (source.mount is None or not source.mount.root):
        raise InvalidResourceError("disk.source.mount.root is missing")


def _check_amount(resource: Resource) -> None:
    """Raise ValueError for what is no amount, or so little that it would be nothing."""
    if not Resources.parse([resource]) and resource.scalar is not None and resource.scalar.value > 0:
        raise InvalidResourceError(
            f"resource '{resource.name}' is {resource.scalar.value:g}, which is less than Mesos counts; "
            "give 0.001 or more, or 0"
        )


def _of_role(resource: Resource, role: str) -> Resource:
    if role == ANYBODY or resource.reservations or resource.role not in (None, ""):
        return resource
    return msgspec.structs.replace(resource, role=None, reservations=[ReservationInfo("STATIC", role)])


def _resource(name: str, value: str) -> Resource:
    if value.startswith("["):
        return Resource(name, "RANGES", ranges=_ranges(name, value))
    if value.startswith("{"):
        return Resource(name, "SET", set=Set(_items(name, value, "{}")))
    if not _NUMBER.fullmatch(value):
        raise FlagError(f"{name}: {value!r} is neither a number nor [ranges] nor {{a set}}")
    return Resource(name, "SCALAR", scalar=Scalar(float(value)))


def _ranges(name: str, value: str) -> Ranges:
    return Ranges([_range(name, span) for span in _items(name, value, "[]")])


def _items(name: str, value: str, brackets: str) -> list[str]:
    if not value.endswith(brackets[1]):
        raise FlagError(f"{name}: {value!r} lacks the closing {brackets[1]}")
    return [item.strip() for item in value[1:-1].split(",") if item.strip()]


def _range(name: str, span: str) -> Range:
    begin, _, end = (side.strip() for side in span.partition("-"))
    if not (begin.isascii() and begin.isdigit() and end.isascii() and end.isdigit()):
        raise FlagError(f"{name}: {span!r} is no range such as 31000-32000")
    return Range(int(begin), int(end))


def parse_attributes(text: str) -> list[Attribute]:
    """The flag ``--attributes``. Raises FlagError."""
    attributes = []
    for part, at in _parts(contents("--attributes", text)):
        name, separator, value = (piece.strip() for piece in part.partition(":"))
        if not separator or not name or not value:
            raise FlagError(f"--attributes, character {at + 1}: {part!r} is not name:value")
        try:
            attributes.append(_attribute(name, value))
        except FlagError as error:
            raise FlagError(f"--attributes, character {at + 1}: {error}") from None
    return attributes


def _attribute(name: str, value: str) -> Attribute:
    if value.startswith("["):
        return Attribute(name, "RANGES", ranges=_ranges(name, value))
    if value.startswith("{"):
        raise FlagError(f"{name}: an attribute can't be a set; give a text, a number or [ranges]")
    if _NUMBER.fullmatch(value):
        return Attribute(name, "SCALAR", scalar=Scalar(float(value)))
    return Attribute(name, "TEXT", text=Text(value))


def as_text(attributes: Iterable[Attribute]) -> str:
    """As the flag has them: ``rack:r1;racks:[1-4]``."""
    return ";".join(f"{one.name}:{_value(one)}" for one in attributes)


def _value(one: Attribute) -> str:
    if one.scalar is not None:
        return f"{one.scalar.value:g}"
    if one.ranges is not None:
        return f"[{','.join(f'{span.begin}-{span.end}' for span in one.ranges.range or ())}]"
    return one.text.value if one.text is not None else ""


def offered(given: list[Resource], data: str, default_role: str = ANYBODY) -> Resources:
    """``given``, and what the machine has of cpus, mem, disk and ports where nothing is given. Raises OSError."""
    found = _detect(data)
    named = {resource.name for resource in given}
    rest = Resources(
        {name: amount for name, amount in found.scalars.items() if name not in named},
        {name: spans for name, spans in found.ranges.items() if name not in named},
    )
    if default_role != ANYBODY:
        rest = rest.tagged(Tag((Reservation(default_role),)))
    return Resources.parse(given) + rest


def described(given: list[Resource], resources: Resources) -> list[Resource]:
    """``resources`` in the order in which Mesos tells an agent's: as they were given, then what was detected."""
    names = [*(resource.name for resource in given), "cpus", "gpus", "mem", "disk", "ports"]
    return sorted(resources.messages(), key=lambda one: names.index(one.name) if one.name in names else len(names))


def _detect(data: str) -> Resources:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB
    disk = os.statvfs(data)
    total = disk.f_blocks * disk.f_frsize // MIB
    amounts = Resources.of(
        cpus=len(os.sched_getaffinity(0)),
        mem=memory - min(1024, memory // 2),
        disk=total - min(5 * 1024, total // 2),
    )
    return amounts + Resources(ranges={"ports": DEFAULT_PORTS})
