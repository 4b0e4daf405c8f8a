"""Flink itself: the jars of lib/, plugins, and for a command of the user's own the scripts of bin/.

Plugins that only an option brings to life (metrics reporters, external resources) are shipped if it is there.
Nothing is shipped to agents or into images that have Flink.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace.flink.overlays.shipment import Artifact, Ground, Shipment

TARGET = "flink"

_ON_DEMAND = {"metrics-": "metrics.reporter", "external-resource-": "external-resource"}
"""Beginnings of plugins' names, and of the options that they are for."""


def ship(ground: Ground) -> Shipment:
    """The distribution that the JobManager runs."""
    if ground.flink_home:
        return Shipment()
    flink = ground.flink
    artifacts = [Artifact(jar.path, f"{TARGET}/lib/{jar.path.name}", jar.sha256) for jar in flink.jars]
    directories = [path for path in _entries(flink.home / "plugins") if _wanted(path, ground.options)]
    if ground.own_command:
        directories.append(flink.home / "bin")
    for directory in directories:
        for path in sorted(path for path in directory.rglob("*") if path.is_file()):
            target = f"{TARGET}/{path.relative_to(flink.home)}"
            artifacts.append(Artifact(path, target, flink.digest(path), os.access(path, os.X_OK)))
    return Shipment(tuple(artifacts))


def _entries(plugins: Path) -> Iterator[Path]:
    return (path for path in sorted(plugins.glob("*")) if path.is_dir())


def _wanted(plugin: Path, options: Mapping[str, str]) -> bool:
    for beginning, option in _ON_DEMAND.items():
        if plugin.name.startswith(beginning):
            return any(key.startswith(option) for key in options)
    return True
