"""Versions of apps and pods: which changes are configuration changes and which only scale."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.pod import Pod

RunSpec = App | Pod
RunSpecT = TypeVar("RunSpecT", App, Pod)


def with_version(run_spec: RunSpecT, version: str, *, config_changed: bool, before: RunSpec | None) -> RunSpecT:
    """The definition as of ``version``: a scaling keeps the time of the last configuration change."""
    info = msgspec.structs.replace(
        run_spec.version_info,
        last_scaling_at=version,
        last_config_change_at=version if config_changed or before is None else before.config_version,
    )
    return msgspec.structs.replace(run_spec, version=version, version_info=info)
