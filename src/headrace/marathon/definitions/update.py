"""Partial updates: top-level fields that are given replace the app's own; ``null`` is the same as absent."""

from __future__ import annotations

from typing import Any

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Violation, invalid
from headrace.marathon.definitions.writing import definition

_SUCCESSORS = {"uris": "fetch", "ports": "portDefinitions"}


def merged(app: App, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of ``app`` with those of an update (both read by the schema)."""
    base = definition(app)
    for old, new in _SUCCESSORS.items():
        if old in fields:
            base.pop(new, None)
    base.pop("networks", None)
    given = {name: value for name, value in fields.items() if name not in ("id", "version")}
    return base | given


def rollback_version(fields: dict[str, Any]) -> str | None:
    """The version to go back to, if the update asks for that. Raises Rejected 422 if it asks for more besides."""
    version: str | None = fields.get("version")
    if version is not None and set(fields) - {"version", "id"}:
        raise invalid([Violation("/", "The 'version' field may only be combined with the 'id' field.")])
    return version
