"""Where the directory of a persistent volume lies: the same for all tasks that hold it, as in Mesos."""

from __future__ import annotations

from pathlib import Path

from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import DiskSource, Resource
from headrace.mesos.resources import tag_of


def persistent_path(layout: Layout, role: str, volume_id: str, source: DiskSource | None = None) -> Path:
    """On the agent's own disk ``layout.volume``; on a PATH disk the same below its root; a MOUNT disk is the volume."""
    if source is None or source.type not in ("PATH", "MOUNT"):
        return layout.volume(role, volume_id)
    place = source.path if source.type == "PATH" else source.mount
    root = layout.data / ((place.root if place is not None else None) or "")
    return root if source.type == "MOUNT" else Layout(root).volume(role, volume_id)


def path_of(layout: Layout, resource: Resource) -> Path:
    """The directory of a resource that is a persistent volume."""
    disk = resource.disk
    assert disk is not None  # noqa: S101 - callers have checked
    assert disk.persistence is not None  # noqa: S101
    return persistent_path(layout, tag_of(resource).role, disk.persistence.id, disk.source)
