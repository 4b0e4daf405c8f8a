"""Where the directory of a persistent volume lies: the same for all tasks that hold it, as in Mesos."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import Resource
from headrace.mesos.resources import tag_of


def persistent_path(layout: Layout, role: str, volume_id: str, source: Mapping[str, Any] | None = None) -> Path:
    """On the agent's own disk ``layout.volume``; on a PATH disk the same below its root; a MOUNT disk is the volume."""
    kind = (source or {}).get("type")
    if source is None or kind not in ("PATH", "MOUNT"):
        return layout.volume(role, volume_id)
    root = layout.data / ((source.get(kind.lower()) or {}).get("root") or "")
    return root if kind == "MOUNT" else Layout(root).volume(role, volume_id)


def path_of(layout: Layout, resource: Resource) -> Path:
    """The directory of a resource that is a persistent volume."""
    disk = resource.disk
    assert disk is not None  # noqa: S101 - callers have checked
    assert disk.persistence is not None  # noqa: S101
    return persistent_path(layout, tag_of(resource).role, disk.persistence.id, disk.source)
