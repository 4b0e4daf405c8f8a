"""The parts of the wire format: varints, tags, and what is skipped.

A field is a tag (its number, shifted, and a wire type) and its bytes. Nothing here knows of messages.
"""

from __future__ import annotations

VARINT, FIXED64, BYTES, GROUP, GROUP_END, FIXED32 = 0, 1, 2, 3, 4, 5
"""The wire types."""

MAX_DEPTH = 100
"""How deep messages may be nested, as in Google's libraries."""

_MAX_VARINT = 10
_FIXED = {FIXED64: 8, FIXED32: 4}


class WireError(ValueError):
    """These bytes are no protocol buffers; the text says why."""


class Budget:
    """How many fields may still come: a byte or two of a field make an object, and take a while."""

    __slots__ = ("left", "most")

    def __init__(self, most: int) -> None:
        self.left = self.most = most

    def spend(self) -> None:
        """One more has come. Raises WireError."""
        self.left -= 1
        if self.left < 0:
            raise self.spent()

    def spent(self) -> WireError:
        """What to raise when there are too many."""
        return WireError(f"the message has more than {self.most} fields, those of the messages in it counted")


def read_varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A number below 2^64, and where it ends. Raises WireError."""
    if at < end and (byte := data[at]) < 0x80:  # most are so small
        return byte, at + 1
    result = shift = 0
    stop = min(end, at + _MAX_VARINT)
    while at < stop:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise WireError("it ends within a number" if stop == end else "a number is longer than 10 bytes")


def read_bytes(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Where the bytes that follow their length begin and end. Raises WireError."""
    length, start = read_varint(data, at, end)
    if length > end - start:
        raise WireError(f"{length} bytes are announced, but only {end - start} are left")
    return start, start + length


def skip(data: bytes, at: int, end: int, tag: int, budget: Budget) -> int:
    """Where a field that nobody knows ends; those of a group are spent. Raises WireError."""
    open_groups: list[int] = []
    while True:
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise WireError("a field has the number 0")
        if kind == GROUP:
            open_groups.append(number)
            if len(open_groups) > MAX_DEPTH:
                raise WireError(f"groups are nested more than {MAX_DEPTH} deep")
        elif kind == GROUP_END:
            if not open_groups or open_groups.pop() != number:
                raise WireError("a group ends that has not begun")
        else:
            at = _skip_value(data, at, end, kind)
        if not open_groups:
            return at
        budget.spend()
        tag, at = read_varint(data, at, end)


def _skip_value(data: bytes, at: int, end: int, kind: int) -> int:
    if kind == VARINT:
        return read_varint(data, at, end)[1]
    if kind == BYTES:
        return read_bytes(data, at, end)[1]
    if kind not in _FIXED:
        raise WireError(f"there is no wire type {kind}")
    at += _FIXED[kind]
    if at > end:
        raise WireError("it ends within a number")
    return at


def varint(number: int) -> bytes:
    """A number as it is written; a negative one takes 10 bytes."""
    if 0 <= number < 0x80:
        return SMALL[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


SMALL = [bytes((number,)) for number in range(0x80)]
"""Varints of one byte."""
