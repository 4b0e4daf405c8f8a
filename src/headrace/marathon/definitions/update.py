"""Partial updates: top-level fields that are given replace the app's own.

In Marathon ``null`` is the same as absent, so that nothing can ever be cleared; here a field that is ``null`` gets
its default back.
"""

from __future__ import annotations

from typing import Any

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Violation, invalid
from headrace.marathon.definitions.writing import definition

_SUCCESSORS = {
    "uris": ("fetch",),
    "ports": ("portDefinitions",),
    "ipAddress": ("networks",),
}


def merged(app: App, fields: dict[str, Any], body: Any = None) -> dict[str, Any]:
    """The fields of ``app`` with those of an update (both read by the schema); ``body`` is the update's own JSON."""
    base = definition(app)
    for old, successors in _SUCCESSORS.items():
        if old in fields:
            for new in successors:
                base.pop(new, None)
    given = {name: value for name, value in fields.items() if name not in ("id", "version")}
    _networks(base, given)
    cleared = [name for name, value in body.items() if value is None] if isinstance(body, dict) else []
    return {name: value for name, value in base.items() if name == "id" or name not in cleared} | given


def rollback_version(fields: dict[str, Any]) -> str | None:
    """The version to go back to, if the update asks for that. Raises Rejected 422 if it asks for more besides."""
    version: str | None = fields.get("version")
    if version is not None and set(fields) - {"version", "id"}:
        raise invalid([Violation("/", "The 'version' field may only be combined with the 'id' field.")])
    return version


def _networks(base: dict[str, Any], given: dict[str, Any]) -> None:
    """A container that brings its own (deprecated) network replaces the networks; a host's ports go with the host."""
    docker = (given.get("container") or {}).get("docker") or {}
    if docker.get("network") and "networks" not in given:
        base.pop("networks", None)
    modes = {one.get("mode", "container") for one in given.get("networks", [])}
    if modes and "host" not in modes:
        base.pop("portDefinitions", None)
