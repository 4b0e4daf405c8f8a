"""The secrets of a definition at the moment of a launch: read then, told to the agent, kept nowhere. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import Secret, SecretValue

Values = dict[str, bytes]
"""Secrets by the names that the definition has for them."""


class OncePerEvent:
    """Finds secrets by ``find``, asked once for each source until ``forget``: many instances may need the same."""

    def __init__(self, find: Callable[[str], bytes | None]) -> None:
        self._find = find
        self._found: dict[str, bytes | None] = {}

    def __call__(self, source: str) -> bytes | None:
        """The secret of a source, None if there is none."""
        if source not in self._found:
            self._found[source] = self._find(source)
        return self._found[source]

    def forget(self) -> None:
        """The event is over: secrets are kept nowhere, and may be others next time."""
        self._found.clear()


def values(run_spec: RunSpec, find: Callable[[str], bytes | None]) -> Values:
    """All that are there."""
    found = {name: find(one.source) for name, one in run_spec.secrets.items()}
    return {name: value for name, value in found.items() if value is not None}


def missing(run_spec: RunSpec, found: Mapping[str, bytes], directory: str | None) -> str:
    """Which secrets are not there, and the file that each was looked for in; empty if all are there."""
    lacking = [(name, one.source.strip("/")) for name, one in run_spec.secrets.items() if name not in found]
    if not lacking:
        return ""
    if directory is None:
        name, source = lacking[0]
        return f"secret {name} is looked for nowhere: start Marathon with --secrets_dir, and put {source} there"
    files = ", ".join(f"{name} (no file {directory.rstrip('/')}/{source} that can be read)" for name, source in lacking)
    return f"there is no secret {files}"


def message(value: bytes) -> Secret:
    """A secret in Mesos's form."""
    return Secret("VALUE", value=SecretValue(base64.b64encode(value).decode()))
