"""Whether something can be an id, and whether it is small enough."""

from __future__ import annotations

import msgspec

MAX_ID = 255
MAX_SIZE = 1024 * 1024
"""Bytes of JSON of a task or an executor: an agent that registers must be able to name all that it runs."""

_encode = msgspec.json.Encoder().encode


def identifier(value: str) -> str | None:
    """Whether this can be the id of a task, an executor, a volume, …"""
    if not value:
        return "ID must not be empty"
    if len(value) > MAX_ID:
        return f"ID must not be greater than {MAX_ID} characters"
    if value in (".", ".."):
        return f"'{value}' is disallowed"
    if any(c == "/" or c == "\\" or not c.isprintable() for c in value):
        return f"'{value}' contains invalid characters"
    return None


def size(what: str, info: msgspec.Struct) -> str | None:
    """Whether this can be handed around; ``what`` it is, as a Task."""
    length = len(_encode(info))
    if length > MAX_SIZE:
        return f"{what} is too large: its description is {length} bytes long, and at most {MAX_SIZE} are allowed"
    return None
