"""The secrets of a definition at the moment of a launch: read then, told to the agent, kept nowhere. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping

from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.common import Secret, SecretValue

Values = dict[str, bytes]
"""Secrets by the names that the definition has for them."""


def values(run_spec: RunSpec, find: Callable[[str], bytes | None]) -> Values:
    """All that are there."""
    found = {name: find(one.source) for name, one in run_spec.secrets.items()}
    return {name: value for name, value in found.items() if value is not None}


def missing(run_spec: RunSpec, found: Mapping[str, bytes]) -> str:
    """Which secrets are not there, and where they should be; empty if all are."""
    lacking = [f"{name} (source {one.source})" for name, one in run_spec.secrets.items() if name not in found]
    return f"there is no secret {', '.join(lacking)}; put it below --secrets_dir" if lacking else ""


def message(value: bytes) -> Secret:
    """A secret in Mesos's form."""
    return Secret("VALUE", value=SecretValue(base64.b64encode(value).decode()))
