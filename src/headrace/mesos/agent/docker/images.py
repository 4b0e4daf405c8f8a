"""Image names, credentials for their registries, and what the engine tells while it pulls one. Pure functions."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

_DOCKER_HUB = "https://index.docker.io/v1/"


class PullError(Exception):
    """The engine could not get the image; its own words."""


def with_tag(image: str) -> str:
    """The image's whole name: what has neither tag nor digest means ``latest``."""
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"


def registry_of(image: str) -> str:
    """The registry of an image, as credentials are filed under: ``host[:port]``, or Docker Hub's URL."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else _DOCKER_HUB


def credentials(image: str, configuration: bytes) -> str | None:
    """The X-Registry-Auth header for an image, from a ``.docker/config.json`` or ``.dockercfg``; None if it has none.

    Raises ValueError if it can't be read, without showing what it holds.
    """
    try:
        content: Any = msgspec.json.decode(configuration)
        found = _entry(content.get("auths", content), registry_of(image))
        if found is None:
            return None
        user, password = found.get("username", ""), found.get("password", "")
        if found.get("auth"):
            user, _, password = base64.b64decode(found["auth"]).decode().partition(":")
        answer = {"username": user, "password": password, "serveraddress": registry_of(image)}
        if found.get("identitytoken"):
            answer["identitytoken"] = found["identitytoken"]
    except (msgspec.DecodeError, AttributeError, TypeError, ValueError):
        raise ValueError("holds no credentials as `docker login` writes them") from None
    return base64.urlsafe_b64encode(msgspec.json.encode(answer)).decode()


def _entry(entries: dict[str, Any], registry: str) -> dict[str, Any] | None:
    wanted = _bare(registry)
    for name, entry in entries.items():
        if _bare(name) == wanted and isinstance(entry, dict):
            return entry
    return None


def _bare(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


class PullProgress:
    """Makes lines for people of the engine's stream of JSON objects: one for each step of each layer."""

    def __init__(self) -> None:
        self._rest = b""
        self._last: dict[str, str] = {}

    def feed(self, chunk: bytes) -> list[str]:
        """Take a chunk; return the lines that it completes. Raises PullError if the engine reports a failure."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        return [text for line in lines if line.strip() and (text := self._line(line))]

    def _line(self, line: bytes) -> str | None:
        try:
            step: Any = msgspec.json.decode(line)
        except msgspec.DecodeError:
            return None
        if not isinstance(step, dict):
            return None
        if "error" in step:
            raise PullError(str(step["error"]))
        part, status = str(step.get("id", "")), str(step.get("status", ""))
        if not status or self._last.get(part) == status:
            return None
        self._last[part] = status
        return f"{part}: {status}" if part else status
