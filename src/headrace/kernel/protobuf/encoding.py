"""Structs to bytes, fields by their numbers, repeated numbers one by one, as Mesos's own messages are written."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from headrace.kernel.protobuf.declared import Enum, Field, Kind, fields_of
from headrace.kernel.protobuf.wire import SMALL, varint

Writer = Callable[[Any], bytes]
"""A value as it stands after its tag."""
Append = Callable[[list[bytes], Any], None]
"""Appends tags and values to the parts of a message."""


class EncodeError(ValueError):
    """A value has no form in protocol buffers; the text says where, and why."""


def encode(message: msgspec.Struct) -> bytes:
    """The message as bytes. Raises EncodeError for a value that is not what its type says."""
    try:
        return b"".join(_parts(message))
    except RecursionError:
        raise EncodeError("it is nested too deeply") from None


def member(kind: type[msgspec.Struct], name: str) -> Callable[[bytes], bytes]:
    """What makes a field of a message, or one of a repeated field, of a message within it that is encoded already."""
    [field] = (field for field in fields_of(kind) if field.name == name)
    tag = varint(field.tag)
    return lambda encoded: tag + _framed(encoded)


def _parts(message: msgspec.Struct) -> list[bytes]:
    kind = type(message)
    plan = _plans.get(kind)
    if plan is None:
        plan = _plans[kind] = [_member(field) for field in fields_of(kind)]
    parts: list[bytes] = []
    for name, tag, write, append in plan:
        value = getattr(message, name)
        if value is None:
            continue
        try:
            if write is not None:
                parts.append(tag)
                parts.append(write(value))
            else:
                append(parts, value)
        except EncodeError as error:
            raise EncodeError(f"{name}.{error}") from None
        except (ValueError, TypeError, AttributeError, struct.error) as error:
            raise EncodeError(f"{name}: {error}") from None
    return parts


class _Member(NamedTuple):
    """A field's name and tag; what writes its value if there is always one, else what appends tags and values."""

    name: str
    tag: bytes
    write: Writer | None
    append: Append


_plans: dict[type[msgspec.Struct], list[_Member]] = {}


def _member(field: Field) -> _Member:
    single = not (field.repeated or field.map or field.kind == "enum")
    return _Member(field.name, varint(field.tag), _writer(field) if single else None, _append(field))


def _append(field: Field) -> Append:
    """What appends a field's values, each with the tag, to the parts of its message."""
    if field.map:
        return _map(field)
    tag, write, enum = varint(field.tag), _writer(field), field.enum

    def each(parts: list[bytes], values: Any) -> None:
        for value in values if field.repeated else (values,):
            if enum is None or value in enum.numbers:
                parts += (tag, write(value))

    return each


def _map(field: Field) -> Append:
    tag, append = varint(field.tag), _append(field.entry_value())

    def entries(parts: list[bytes], values: dict[str, Any]) -> None:
        for key, one in values.items():
            entry = [b"\x0a", _string(key)]
            append(entry, one)
            parts += (tag, _framed(b"".join(entry)))

    return entries


def _writer(field: Field) -> Writer:
    if field.kind == "message":
        return _message
    if field.enum is not None:
        return _enum(field.enum)
    return _WRITERS[field.kind]


def _framed(data: bytes) -> bytes:
    length = len(data)
    return (SMALL[length] if length < 0x80 else varint(length)) + data


def _message(message: msgspec.Struct) -> bytes:
    return _framed(b"".join(_parts(message)))


def _enum(enum: Enum) -> Writer:
    return lambda name: varint(enum.numbers[name])


def _string(text: str) -> bytes:
    return _framed(text.encode())


def _base64(text: str) -> bytes:
    return _framed(binascii.a2b_base64(text, strict_mode=True))


def _double(value: float | str) -> bytes:
    return struct.pack("<d", float(value))


def _bool(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


_WRITERS: dict[Kind, Writer] = {
    "string": _string,
    "bytes": _base64,
    "double": _double,
    "bool": _bool,
    "int32": varint,
    "int64": varint,
    "uint32": varint,
    "uint64": varint,
}
