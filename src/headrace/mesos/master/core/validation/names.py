"""Whether something can be an id or a role, and whether it is small enough."""

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


def role(name: str) -> str | None:
    """Whether ``name`` can be a role."""
    if name == "*":
        return None
    if not name:
        return "Empty role name is invalid"
    if name.startswith("/"):
        return f"Role '{name}' cannot start with a slash"
    if name.endswith("/"):
        return f"Role '{name}' cannot end with a slash"
    for part in name.split("/"):
        if not part:
            return f"Role '{name}' cannot contain two adjacent slashes"
        if part in (".", "..", "*"):
            return f"Role '{name}' cannot include '{part}' as a component"
        if part.startswith("-"):
            return f"Role component '{part}' is invalid because it begins with a dash"
        if any(c in "\b\t\n\v\f\r " for c in part):
            return f"Role component '{part}' is invalid because it contains backspace or whitespace"
    return None


def is_subrole(name: str, parent: str) -> bool:
    """Whether ``name`` lies below ``parent`` in the tree of roles."""
    return name.startswith(parent + "/")
