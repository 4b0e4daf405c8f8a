"""What a Struct's annotations say about its form on the wire."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from headrace.kernel.protobuf.wire import BYTES, FIXED64, VARINT

Kind = Literal["string", "bytes", "bool", "double", "int32", "int64", "uint32", "uint64", "enum", "message"]


class Wire:
    """A type of protocol buffers that a Python type does not tell by itself."""

    __slots__ = ("kind",)

    def __init__(self, kind: Kind) -> None:
        self.kind = kind


class Enum:
    """The numbers of an enumeration whose values are strings in memory.

    An unknown number, or string, is as good as none.
    """

    __slots__ = ("names", "numbers")

    def __init__(self, **numbers: int) -> None:
        self.numbers = numbers
        self.names = {number: name for name, number in numbers.items()}


Int32 = Annotated[int, Wire("int32"), msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, Wire("int64"), msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Uint32 = Annotated[int, Wire("uint32"), msgspec.Meta(ge=0, le=2**32 - 1)]
Uint64 = Annotated[int, Wire("uint64"), msgspec.Meta(ge=0, le=2**63 - 1)]
"""No more than 2^63 - 1: msgspec has no room for a higher bound."""

Base64 = Annotated[str, Wire("bytes")]
"""Bytes; JSON has them as base64, and so has memory."""

Unbounded = Annotated[float | str, Wire("double")]
"""A double that may be infinite: JSON, which has no such number, says ``Infinity`` or ``-Infinity``."""


WIRE_TYPES: dict[Kind, int] = {
    "string": BYTES,
    "bytes": BYTES,
    "message": BYTES,
    "double": FIXED64,
    "bool": VARINT,
    "int32": VARINT,
    "int64": VARINT,
    "uint32": VARINT,
    "uint64": VARINT,
    "enum": VARINT,
}


class Field(msgspec.Struct, frozen=True):
    """One field: its name and number, and how its values are written.

    ``required``: it has no default. ``map``: entries of a string and such a value.
    """

    name: str
    number: int
    kind: Kind
    required: bool
    repeated: bool = False
    map: bool = False
    infinite: bool = False
    enum: Enum | None = None
    message: type[msgspec.Struct] | None = None

    @property
    def tag(self) -> int:
        """Number and wire type, as they stand before a value."""
        return self.number << 3 | (BYTES if self.map else WIRE_TYPES[self.kind])

    def entry_value(self) -> Field:
        """Of a map: the value of an entry; the key is a string with the number 1."""
        return Field("value", 2, self.kind, False, infinite=self.infinite, enum=self.enum, message=self.message)


def fields_of(struct: type[msgspec.Struct]) -> list[Field]:
    """Those that have a number, by number. Raises TypeError for one that has no form in protocol buffers."""
    hints = get_type_hints(struct, include_extras=True)
    required = {field.name for field in msgspec.structs.fields(struct) if field.required}
    found = [
        field for name, hint in hints.items() if (field := _field(struct, name, hint, name in required)) is not None
    ]
    numbers = [field.number for field in found]
    if len(set(numbers)) != len(numbers):
        raise TypeError(f"{struct.__qualname__} gives a number to two fields")
    return sorted(found, key=lambda field: field.number)


def _field(struct: type[msgspec.Struct], name: str, hint: Any, required: bool) -> Field | None:
    bare, extras = _open(hint)
    number = next((extra for extra in extras if isinstance(extra, int)), None)
    if number is None:
        return None
    origin = get_origin(bare)
    repeated, as_map = origin is list, origin is dict
    if repeated or as_map:
        bare, more = _open(get_args(bare)[-1])
        extras += more
    kind = _kind(bare, extras)
    if kind is None:
        raise TypeError(f"{struct.__qualname__}.{name} has a type that protocol buffers can't write: {bare}")
    return Field(
        name,
        number,
        kind,
        required,
        repeated,
        as_map,
        get_origin(bare) is not None,
        next((extra for extra in extras if isinstance(extra, Enum)), None),
        bare if kind == "message" else None,
    )


def _open(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """A type without ``Annotated`` and ``| None``, and what was in the Annotated."""
    extras: tuple[Any, ...] = ()
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            extras += hint.__metadata__
            hint = hint.__origin__
        elif origin in (Union, types.UnionType) and type(None) in get_args(hint):
            left = [one for one in get_args(hint) if one is not type(None)]
            hint = left[0] if len(left) == 1 else Union[tuple(left)]  # noqa: UP007 - made of a list
            if len(left) > 1:
                return hint, extras
        else:
            return hint, extras


_PLAIN: dict[Any, Kind] = {str: "string", bool: "bool", float: "double"}


def _kind(bare: Any, extras: tuple[Any, ...]) -> Kind | None:
    for extra in extras:
        if isinstance(extra, Enum):
            return "enum"
        if isinstance(extra, Wire):
            return extra.kind
    if isinstance(bare, type) and issubclass(bare, msgspec.Struct):
        return "message"
    return _PLAIN.get(bare)
