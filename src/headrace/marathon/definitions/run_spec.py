"""What can be run: apps and pods; how they are stored, and their versions."""

from __future__ import annotations

import msgspec

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.pod import Pod

RunSpec = App | Pod


def with_version(run_spec: RunSpec, version: str, *, config_changed: bool, before: RunSpec | None) -> RunSpec:
    """The definition as of ``version``: a scaling keeps the time of the last configuration change."""
    info = msgspec.structs.replace(
        run_spec.version_info,
        last_scaling_at=version,
        last_config_change_at=version if config_changed or before is None else before.config_version,
    )
    return msgspec.structs.replace(run_spec, version=version, version_info=info)


def encode(run_spec: RunSpec) -> bytes:
    """As stored."""
    return msgspec.json.encode(run_spec)


def decode(data: bytes) -> RunSpec:
    """From ``encode``'s form."""
    return _DECODER.decode(data)


_DECODER: msgspec.json.Decoder[RunSpec] = msgspec.json.Decoder(RunSpec)
