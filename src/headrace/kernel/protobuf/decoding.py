"""Bytes to Structs.

As in Google's libraries: fields come in any order, unknown ones and those of another wire type are skipped, of a
scalar that comes twice the last counts, messages that come twice are merged, numbers may be packed or not.
Stricter than those: text must be UTF-8, and a double finite unless the field is Unbounded, since JSON knows no other;
and a message has so many fields at most, since small ones that are sent take much more memory, and a while to read.
"""

from __future__ import annotations

import binascii
import math
import struct
from collections.abc import Callable
from typing import Any, TypeVar, cast

import msgspec

from headrace.kernel.protobuf.declared import Field, Kind, fields_of
from headrace.kernel.protobuf.wire import BYTES, MAX_DEPTH, Budget, WireError, read_bytes, read_varint, skip

T = TypeVar("T", bound=msgspec.Struct)
Reader = Callable[[bytes, int, int], tuple[Any, int]]
"""Reads a value at a place that is not beyond an end; returns it and where it ends. Raises WireError."""
Spans = list[tuple[int, int]]

MAX_FIELDS = 100_000
"""Fields of one message, with those of the messages in it: they take 0.1 s, as measured, and some tens of MiB."""


class DecodeError(ValueError):
    """The bytes are no such message. ``path`` says where, as ``accept.operations[0]``; it may be empty."""

    def __init__(self, why: str, path: str = "") -> None:
        super().__init__(f"{path}: {why}" if path else why)
        self.why = why
        self.path = path


def decode(data: bytes, kind: type[T], max_fields: int = MAX_FIELDS) -> T:
    """The message that ``data`` is. Raises DecodeError, also for more than ``max_fields``, packed values counted."""
    return cast("T", _message(_plan(kind), data, [(0, len(data))], 0, Budget(max_fields)))


class _Member:
    """A field, and how its values are read: messages by their plan, others by a reader."""

    __slots__ = ("entry", "field", "name", "plan", "read")

    def __init__(self, field: Field) -> None:
        self.field = field
        self.name = field.name
        self.plan: _Plan | None = None
        self.entry = _entry(field) if field.map else None
        self.read: Reader | None = None if field.map or field.kind == "message" else _reader(field)


class _Plan:
    """How a Struct is read: its members by tag, and the names of those without which it is not whole."""

    __slots__ = ("by_tag", "kind", "lists", "required")

    def __init__(self, kind: type[msgspec.Struct]) -> None:
        self.kind = kind
        self.by_tag: dict[int, tuple[_Member, bool]] = {}
        required: list[Field] = []
        for member in map(_Member, fields_of(kind)):
            tag = member.field.tag
            self.by_tag[tag] = (member, False)
            if member.field.repeated and tag & 7 != BYTES:
                self.by_tag[tag & ~7 | BYTES] = (member, True)
            if member.field.required:
                required.append(member.field)
        self.lists = [field for field in required if field.repeated or field.map]
        self.required = [field.name for field in required if not (field.repeated or field.map)]


_plans: dict[type[msgspec.Struct], _Plan] = {}


def _plan(kind: type[msgspec.Struct]) -> _Plan:
    plan = _plans.get(kind)
    if plan is None:
        plan = _plans[kind] = _Plan(kind)
    return plan


def _message(plan: _Plan, data: bytes, spans: Spans, depth: int, budget: Budget) -> msgspec.Struct:
    """One message; several ``spans`` are parts of it that came apart."""
    if depth > MAX_DEPTH:
        raise DecodeError(f"messages are nested more than {MAX_DEPTH} deep")
    values: dict[str, Any] = {}
    held: dict[_Member, Spans] = {}
    for start, end in spans:
        _scan(plan.by_tag, data, start, end, values, held, budget)
    for member, places in held.items():
        values[member.name] = _nested(member, data, places, depth + 1, budget)
    for field in plan.lists:
        values.setdefault(field.name, {} if field.map else [])
    for name in plan.required:
        if name not in values:
            raise DecodeError("Missing required fields", name)
    return plan.kind(**values)


def _scan(
    by_tag: dict[int, tuple[_Member, bool]],
    data: bytes,
    at: int,
    end: int,
    values: dict[str, Any],
    held: dict[_Member, Spans],
    budget: Budget,
) -> None:
    """Take up the fields between two places: scalars as values, messages as where they stand."""
    name = ""
    try:
        while at < end:
            name = ""
            budget.left -= 1
            if budget.left < 0:
                raise budget.spent()
            tag, at = read_varint(data, at, end)
            known = by_tag.get(tag)
            if known is None:
                at = skip(data, at, end, tag, budget)
                continue
            member, packed = known
            name = member.name
            if member.read is None:
                start, at = read_bytes(data, at, end)
                if member in held:
                    held[member].append((start, at))
                else:
                    held[member] = [(start, at)]
            elif packed:
                start, at = read_bytes(data, at, end)
                _packed(member.read, data, start, at, values.setdefault(name, []), budget)
            else:
                value, at = member.read(data, at, end)
                if value is None:
                    continue
                if member.field.repeated:
                    values.setdefault(name, []).append(value)
                else:
                    values[name] = value
    except WireError as error:
        raise DecodeError(str(error), name) from None


def _packed(read: Reader, data: bytes, at: int, end: int, values: list[Any], budget: Budget) -> None:
    while at < end:
        budget.spend()
        value, at = read(data, at, end)
        if value is not None:
            values.append(value)


def _nested(member: _Member, data: bytes, spans: Spans, depth: int, budget: Budget) -> Any:
    """The value of a field of messages."""
    field = member.field
    if field.map:
        return _map(member, data, spans, depth, budget)
    plan = member.plan
    if plan is None:
        assert field.message is not None  # noqa: S101 - a field without a reader
        plan = member.plan = _plan(field.message)
    if not field.repeated:
        try:
            return _message(plan, data, spans, depth, budget)
        except DecodeError as error:
            raise _told(error, field.name) from None
    found = []
    for index, span in enumerate(spans):
        try:
            found.append(_message(plan, data, [span], depth, budget))
        except DecodeError as error:
            raise _told(error, f"{field.name}[{index}]") from None
    return found


def _map(member: _Member, data: bytes, spans: Spans, depth: int, budget: Budget) -> dict[str, Any]:
    """A map: entries are messages of a key and a value; of a key that comes twice the last counts."""
    found: dict[str, Any] = {}
    assert member.entry is not None  # noqa: S101 - a map
    for span in spans:
        try:
            entry = _message(member.entry, data, [span], depth, budget)
        except DecodeError as error:
            raise _told(error, member.field.name) from None
        key, value = msgspec.structs.astuple(entry)
        if value is None:
            value = _unset(member.field)
        if value is not None:
            found[key] = value
    return found


def _unset(field: Field) -> Any:
    """What an entry without a value means. Raises DecodeError."""
    if field.message is None:
        return _ZERO.get(field.kind, 0)
    try:
        return _message(_plan(field.message), b"", [], 0, Budget(0))
    except DecodeError as error:
        raise _told(error, field.name) from None


def _told(error: DecodeError, name: str) -> DecodeError:
    """The error, seen from the message that holds the field ``name``."""
    path = f"{name}.{error.path}" if error.path else name
    return DecodeError(error.why, path)


def _entry(field: Field) -> _Plan:
    """How an entry of a map is read."""
    plan = _Plan(_Entry)
    members = [_Member(Field("key", 1, "string", required=False)), _Member(field.entry_value())]
    plan.by_tag = {one.field.tag: (one, False) for one in members}
    return plan


class _Entry(msgspec.Struct):
    key: str = ""
    value: Any = None


# Readers


def _reader(field: Field) -> Reader:
    if field.kind == "enum":
        assert field.enum is not None  # noqa: S101 - the kind says so
        return _enum(field.enum.names)
    if field.kind == "double" and field.infinite:
        return _unbounded
    return _READERS[field.kind]


def _enum(names: dict[int, str]) -> Reader:
    def read(data: bytes, at: int, end: int) -> tuple[str | None, int]:
        number, at = read_varint(data, at, end)
        return names.get(number if number < 2**31 else (number & 0xFFFF_FFFF) - 2**32), at

    return read


def _string(data: bytes, at: int, end: int) -> tuple[str, int]:
    start, stop = read_bytes(data, at, end)
    try:
        return data[start:stop].decode(), stop
    except UnicodeDecodeError:
        raise WireError("it is not UTF-8") from None


def _base64(data: bytes, at: int, end: int) -> tuple[str, int]:
    start, stop = read_bytes(data, at, end)
    return binascii.b2a_base64(data[start:stop], newline=False).decode(), stop


def _double(data: bytes, at: int, end: int) -> tuple[float, int]:
    value, at = _any_double(data, at, end)
    if not math.isfinite(value):
        raise WireError(f"{value} is no number that can be counted with")
    return value, at


def _unbounded(data: bytes, at: int, end: int) -> tuple[float | str, int]:
    value, at = _any_double(data, at, end)
    if math.isinf(value):
        return ("Infinity" if value > 0 else "-Infinity"), at
    if math.isnan(value):
        raise WireError("nan is no number that can be counted with")
    return value, at


def _any_double(data: bytes, at: int, end: int) -> tuple[float, int]:
    if at + 8 > end:
        raise WireError("it ends within a number")
    return struct.unpack_from("<d", data, at)[0], at + 8


def _bool(data: bytes, at: int, end: int) -> tuple[bool, int]:
    number, at = read_varint(data, at, end)
    return number != 0, at


def _int32(data: bytes, at: int, end: int) -> tuple[int, int]:
    number, at = read_varint(data, at, end)
    number &= 0xFFFF_FFFF
    return number - 2**32 if number >= 2**31 else number, at


def _int64(data: bytes, at: int, end: int) -> tuple[int, int]:
    number, at = read_varint(data, at, end)
    return number - 2**64 if number >= 2**63 else number, at


def _uint32(data: bytes, at: int, end: int) -> tuple[int, int]:
    number, at = read_varint(data, at, end)
    return number & 0xFFFF_FFFF, at


def _uint64(data: bytes, at: int, end: int) -> tuple[int, int]:
    number, at = read_varint(data, at, end)
    if number >= 2**63:
        raise WireError(f"{number} is more than 2^63 - 1")
    return number, at


_READERS: dict[Kind, Reader] = {
    "string": _string,
    "bytes": _base64,
    "bool": _bool,
    "double": _double,
    "int32": _int32,
    "int64": _int64,
    "uint32": _uint32,
    "uint64": _uint64,
}
_ZERO: dict[Kind, Any] = {"string": "", "bytes": "", "bool": False, "double": 0.0, "enum": None}
