"""Calls made up from the types of the messages: valid, and with something wrong in them. Seeded; no I/O.

Nothing that is made up does harm if it is obeyed: strings come from a short list, commands among them.
"""

from __future__ import annotations

import base64
import copy
import json
import random
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any

import msgspec

from headrace.kernel.protobuf import Enum
from headrace.mesos.messages.common import ContainerID

WORDS = [
    "",
    "a",
    "*",
    "test",
    "test/below",
    "x" * 300,
    "../../up",
    "/nowhere/at/all",
    "a b",
    "\x00",
    "ü€😀",
    "null",
    "-1",
    "%00",
]
COMMANDS = ["true", "exit 3", "sleep 0.05", "", "no-such-command"]
NAMES = ["cpus", "mem", "disk", "ports", "gpus", "strange", ""]
NUMBERS = [0, 1, -1, 0.01, 0.1, 32, 2**31, 2**32, 2**53 + 1, 2**63 - 1]
WRONG: list[Any] = [None, True, 0, -1, 1.5, 2**64, 10**400, 1e308, "", "text", [], {}, [[]], [None]]
WRONG += [{"value": None}, {"": {}}]
HUGE = 200_000
LARGE = 2000
DEPTHS = (50, 500, 5_000, 100_000)
DEEPEST = 6
"""Messages may contain themselves; below this only what must be there is."""

Ids = Mapping[str, Sequence[str]]
"""Ids that exist, by the end of the field that may have them: ``framework_id``, ``agent_id``, …"""


class Deep:
    """Stands for so many arrays in each other, which Python's own encoder could not write."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


class Maker:
    """Makes values of types; ``rng`` decides."""

    def __init__(self, rng: random.Random, ids: Ids) -> None:
        self.rng = rng
        self._ids = ids

    def call(self, kind: type) -> dict[str, Any]:
        """A message with a ``type``, and its body if the type has one."""
        hints = hints_of(kind)
        enum = enum_of(hints["type"])
        assert enum is not None, f"{kind} has no type"
        name = self.rng.choice(list(enum.numbers))
        call = {"type": name}
        for field, hint in hints.items():
            if field == "type":
                continue
            mine = field == name.lower() or field.endswith("_id")
            if mine or self.rng.random() < 0.02:
                call[field] = self.of(hint, field, 1)
        return call

    def one_of(self, union: Any) -> dict[str, Any]:
        """One of several messages that are told apart by their tag."""
        kind = self.rng.choice(typing.get_args(union))
        return {"type": kind.__struct_config__.tag, **self.of(kind, "", 1)}

    def of(self, hint: Any, field: str, depth: int) -> Any:
        """A value of a type, for a field of that name."""
        origin = typing.get_origin(hint)
        if origin is Annotated:
            enum = enum_of(hint)
            return self.rng.choice(list(enum.numbers)) if enum else self.of(typing.get_args(hint)[0], field, depth)
        if origin in (typing.Union, types.UnionType):
            return self.of(
                self.rng.choice([one for one in typing.get_args(hint) if one is not type(None)]), field, depth
            )
        if origin in (list, tuple):
            count = self.rng.choice((0, 1, 1, 1, 2, 3)) if depth < DEEPEST else 0
            return [self.of(typing.get_args(hint)[0], field, depth + 1) for _ in range(count)]
        if origin is dict:
            return {self._text(field): self.of(typing.get_args(hint)[1], field, depth + 1)}
        return self._plain(hint, field, depth)

    def _plain(self, hint: Any, field: str, depth: int) -> Any:
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            return self._message(hint, field, depth)
        if hint is bool:
            return self.rng.random() < 0.5
        if hint is int:
            return int(self.rng.choice(NUMBERS))
        if hint is float:
            return self.rng.choice(NUMBERS)
        return self._text(field)

    def _message(self, kind: type[msgspec.Struct], field: str, depth: int) -> Any:
        if kind is ContainerID and (paths := self._ids.get("container")) and self.rng.random() < 0.7:
            return _container(self.rng.choice(paths))
        out = {}
        likely = 0.5 if depth < DEEPEST - 2 else 0.0
        for info in msgspec.structs.fields(kind):
            if info.required or self.rng.random() < likely:
                name = field if info.name == "value" else info.name
                out[info.encode_name] = self.of(hints_of(kind)[info.name], name, depth + 1)
        return out

    def _text(self, field: str) -> str:
        known = self._ids.get(field.removesuffix("s"))
        if known and self.rng.random() < 0.8:
            return self.rng.choice(known)
        if field in ("uuid", "data"):
            return base64.b64encode(self.rng.randbytes(16)).decode()
        if field == "name" and self.rng.random() < 0.8:
            return self.rng.choice(NAMES)
        return self.rng.choice(COMMANDS if field in ("command", "value", "arguments") else WORDS)


class Spoiler:
    """Puts something wrong into a document, at a random place."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def spoil(self, document: Any, most: int = 3) -> Any:
        """The document with one to ``most`` places changed."""
        for _ in range(min(most, self._rng.choice((1, 1, 2, 3)))):
            places = list(_places(document))
            if not places:
                return self._wrong(document)
            if len(places) > LARGE:
                break  # what was multiplied is not multiplied again
            parent, key = self._rng.choice(places)
            how = self._rng.random()
            if how < 0.2:
                del parent[key]
            elif how < 0.3 and isinstance(parent, list):
                parent += [parent[key]] * self._rng.choice((1, 50, 3000))
            elif how < 0.4 and isinstance(parent, dict):
                parent[self._rng.choice(("unknown", "", "\x00", "type", "value"))] = self._wrong(None)
            else:
                parent[key] = self._wrong(parent[key])
        return document

    def _wrong(self, value: Any) -> Any:
        how = self._rng.random()
        if how < 0.04:
            return "x" * HUGE
        if how < 0.07:
            return Deep(self._rng.choice(DEPTHS))
        if how < 0.10:
            return [value] * 2000 if not isinstance(value, (list, dict)) else [value] * 50
        return copy.deepcopy(self._rng.choice(WRONG))

    def bytes_of(self, body: bytes) -> bytes:
        """The body with some bytes changed, cut off, or put in."""
        how = self._rng.random()
        if how < 0.3:
            return body[: self._rng.randrange(len(body) + 1)]
        if how < 0.5:
            return self._rng.randbytes(self._rng.choice((0, 1, 10, 1000)))
        at = self._rng.randrange(len(body) + 1)
        if how < 0.6:
            return body[:at] + self._rng.randbytes(3) + body[at:]
        spoilt = bytearray(body)
        for _ in range(self._rng.choice((1, 1, 5))):
            if spoilt:
                spoilt[self._rng.randrange(len(spoilt))] = self._rng.randrange(256)
        return bytes(spoilt)


def encode(document: Any) -> bytes:
    """As JSON, ``Deep`` included."""
    deep: dict[str, int] = {}

    def stand_in(value: Any) -> str:
        assert isinstance(value, Deep), value
        name = f"deep-{len(deep)}-{value.depth}"
        deep[name] = value.depth if sum(deep.values()) < max(DEPTHS) else 0
        return name

    text = json.dumps(document, default=stand_in)
    for name, depth in deep.items():
        text = text.replace(f'"{name}"', "[" * depth + "]" * depth, 1)
    return text.encode()


def _container(path: str) -> dict[str, Any]:
    """``parent/child`` as an id."""
    parent, _, name = path.rpartition("/")
    return {"value": name, "parent": _container(parent)} if parent else {"value": name}


def _places(document: Any) -> typing.Iterator[tuple[Any, Any]]:
    """Every place in a document: container and key."""
    items: Sequence[tuple[Any, Any]] = ()
    if isinstance(document, dict):
        items = list(document.items())
    elif isinstance(document, list):
        items = list(enumerate(document))
    for key, value in items:
        yield document, key
        yield from _places(value)


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The types of a message's fields."""
    return typing.get_type_hints(kind, include_extras=True)


def enum_of(hint: Any) -> Enum | None:
    """The enumeration behind a field, optional or not."""
    for one in (hint, *typing.get_args(hint)):
        found = next((more for more in getattr(one, "__metadata__", ()) if isinstance(more, Enum)), None)
        if found is None and typing.get_origin(one) is not None and one is not hint:
            found = enum_of(one)
        if found is not None:
            return found
    return None


Make = Callable[[Maker], Any]
