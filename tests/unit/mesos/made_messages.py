"""Makes messages of any kind from their declarations, for property tests."""

from __future__ import annotations

import base64
import math
from random import Random
from typing import Any, TypeVar

import msgspec

from headrace.kernel.protobuf.declared import Field, fields_of

M = TypeVar("M", bound=msgspec.Struct)

_WHOLE = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**63 - 1),
}
_LETTERS = 'abz019 -_./\0\n"\\\u00e9\u20ac\U0001f40e'
_DEPTH = 6


def made(kind: type[M], rng: Random, depth: int = 0) -> M:
    """A message in which some fields are set; lists that may be unset are not empty: the wire has no such thing."""
    values: dict[str, Any] = {}
    for field in fields_of(kind):
        if field.required or (depth < _DEPTH and rng.random() < 0.4):
            values[field.name] = _value(field, rng, depth)
    return kind(**values)


def _value(field: Field, rng: Random, depth: int) -> Any:
    if not (field.repeated or field.map):
        return _one(field, rng, depth)
    count = 0 if field.required and depth >= _DEPTH else rng.randint(1, 2)
    if field.map:
        return {_text(rng): _one(field, rng, depth) for _ in range(count)}
    return [_one(field, rng, depth) for _ in range(count)]


def _one(field: Field, rng: Random, depth: int) -> Any:
    if field.message is not None:
        return made(field.message, rng, depth + 1)
    if field.enum is not None:
        return rng.choice(sorted(field.enum.numbers))
    if field.kind in _WHOLE:
        least, most = _WHOLE[field.kind]
        return rng.choice((least, most, 0, rng.randint(least, most), rng.randint(0, 200)))
    match field.kind:
        case "double":
            number = rng.choice((0.0, -1.5, 1e300, 5e-324, math.ldexp(rng.random(), rng.randint(-60, 60))))
            return rng.choice(("Infinity", number)) if field.infinite else number
        case "bool":
            return rng.random() < 0.5
        case "bytes":
            return base64.b64encode(rng.randbytes(rng.randint(0, 20))).decode()
    return _text(rng)


def _text(rng: Random) -> str:
    return "".join(rng.choices(_LETTERS, k=rng.choice((0, 1, 5, 140))))
