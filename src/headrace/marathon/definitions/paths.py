"""App ids: hierarchical paths such as ``/team/service``."""

from __future__ import annotations

import re

_SEGMENT = r"(([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9\-]*[a-z0-9])"
ID_PATTERN = re.compile(rf"(/?((\.\.)|{_SEGMENT})?($|/))+")
"""What an id may look like in a request, relative ones included."""

RESERVED = ("restart", "tasks", "versions", ".", "..")


def canonical(path: str, base: str = "/") -> str:
    """``path`` as an absolute path: relative ones count from ``base``, ``..`` goes up, slashes are single."""
    parts = [] if path.startswith("/") else _parts(base)
    for part in _parts(path):
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def parent(path: str) -> str:
    """The group that a path is in."""
    return canonical("..", path)


def top_group(path: str) -> str | None:
    """The name of the top-level group that an app is in; None for an app at the root."""
    parts = _parts(path)
    return parts[0] if len(parts) > 1 else None


def ancestors(path: str) -> list[str]:
    """All groups above a path, nearest first, without the root."""
    parts = _parts(path)
    return ["/" + "/".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]


def safe(path: str) -> str:
    """The path as it stands in instance ids: ``/a/b`` is ``a_b``."""
    return "_".join(_parts(path))


def task_name(path: str) -> str:
    """The path as a Mesos task name: ``/a/b`` is ``b.a``."""
    return ".".join(reversed(_parts(path)))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
