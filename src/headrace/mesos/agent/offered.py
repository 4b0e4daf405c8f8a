"""What an agent offers: the flags ``--resources`` and ``--attributes``, and what the machine has.

    cpus:8;mem:8192;ports:[31000-32000,33000-33010];colours:{red,blue}     or a JSON list of Resource
    rack:r1;zone:z;slots:4

Named resources replace what was detected, the others stay, as in Mesos. Memory and disk are in MiB.
"""

from __future__ import annotations

import os

import msgspec

from headrace.mesos.messages.common import Attribute, Range, Ranges, Resource, Scalar, Set, Text
from headrace.mesos.resources import InvalidResourceError, Resources

MIB = 1024 * 1024
DEFAULT_PORTS = ((31000, 32000),)


class FlagError(ValueError):
    """A flag's value that can't be understood; says where and how it would be right."""


def parse_resources(text: str) -> Resources:
    """The flag ``--resources``. Raises FlagError."""
    text = text.strip()
    if text.startswith("["):
        return _from_json(text)
    total = Resources()
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, separator, value = part.partition(":")
        name = name.strip()
        if not separator or not name:
            raise FlagError(f"--resources: {part!r} is not name:value")
        if "(" in name:
            raise FlagError(f"--resources: {name!r}: reserved resources are not supported; give the plain name")
        try:
            total = total + Resources.parse([_resource(name, value.strip())])
        except InvalidResourceError as error:
            raise FlagError(f"--resources: {error}") from None
    return total


def _from_json(text: str) -> Resources:
    try:
        return Resources.parse(msgspec.json.decode(text, type=list[Resource]))
    except (msgspec.DecodeError, InvalidResourceError) as error:
        raise FlagError(f"--resources: not a JSON list of resources: {error}") from None


def _resource(name: str, value: str) -> Resource:
    if value.startswith("["):
        return Resource(name, "RANGES", ranges=Ranges([_range(name, span) for span in _items(name, value, "[]")]))
    if value.startswith("{"):
        return Resource(name, "SET", set=Set(_items(name, value, "{}")))
    try:
        return Resource(name, "SCALAR", scalar=Scalar(float(value)))
    except ValueError:
        raise FlagError(f"--resources: {name}: {value!r} is neither a number nor [ranges] nor {{a set}}") from None


def _items(name: str, value: str, brackets: str) -> list[str]:
    if not value.endswith(brackets[1]):
        raise FlagError(f"--resources: {name}: {value!r} lacks the closing {brackets[1]}")
    return [item.strip() for item in value[1:-1].split(",") if item.strip()]


def _range(name: str, span: str) -> Range:
    begin, _, end = span.partition("-")
    if not begin.strip().isdigit() or not end.strip().isdigit():
        raise FlagError(f"--resources: {name}: {span!r} is no range such as 31000-32000")
    return Range(int(begin), int(end))


def parse_attributes(text: str) -> list[Attribute]:
    """The flag ``--attributes``. Raises FlagError."""
    attributes = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, separator, value = (piece.strip() for piece in part.partition(":"))
        if not separator or not name or not value:
            raise FlagError(f"--attributes: {part!r} is not name:value")
        attributes.append(_attribute(name, value))
    return attributes


def _attribute(name: str, value: str) -> Attribute:
    try:
        return Attribute(name, "SCALAR", scalar=Scalar(float(value)))
    except ValueError:
        return Attribute(name, "TEXT", text=Text(value))


def offered(given: Resources, data: str) -> Resources:
    """``given``, and what the machine has of cpus, mem, disk and ports where nothing is given. Raises OSError."""
    found = _detect(data)
    named = {*given.scalars, *given.ranges, *given.sets}
    return given + Resources(
        {name: amount for name, amount in found.scalars.items() if name not in named},
        {name: spans for name, spans in found.ranges.items() if name not in named},
    )


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
