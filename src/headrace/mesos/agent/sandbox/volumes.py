"""The directories of persistent volumes: made empty, kept across restarts, gone with all data when destroyed.

What is removed is first moved aside, so that a volume made anew under the same name never shows old data; the
removal itself, which may take long, is done in a thread.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from headrace.mesos.agent.core.events import KeepVolumes, MakeVolume, RemoveVolume
from headrace.mesos.agent.isolation.persistent import persistent_path
from headrace.mesos.agent.sandbox.layout import Layout, remove_tree
from headrace.mesos.messages.common import DiskSource

log = logging.getLogger(__name__)

_ASIDE = ".removed"


class Volumes:
    """Carries out what the core decides about volumes. ``later`` runs a function in a thread."""

    def __init__(self, layout: Layout, later: Callable[..., object], new_name: Callable[[], str]) -> None:
        self._layout = layout
        self._later = later
        self._new_name = new_name

    def perform(self, effect: MakeVolume | RemoveVolume | KeepVolumes) -> None:
        """Do it; a problem is logged, and comes back as that of the first task that uses the volume."""
        try:
            match effect:
                case MakeVolume():
                    self._make(effect)
                case RemoveVolume():
                    self._remove(effect)
                case KeepVolumes(volumes):
                    self._keep(volumes)
        except OSError as error:
            log.error("persistent volume: %s", error)

    def _make(self, volume: MakeVolume) -> None:
        path = self._path(volume)
        if path.exists():
            self._clear(path)
        path.mkdir(mode=0o755, parents=True, exist_ok=True)

    def _remove(self, volume: RemoveVolume) -> None:
        self._clear(self._path(volume))

    def _keep(self, volumes: list[MakeVolume]) -> None:
        """Also removes what an agent that was killed had no time to remove."""
        wanted = {self._path(volume) for volume in volumes}
        for path in wanted:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        aside = self._layout.data / "volumes" / _ASIDE
        if aside.exists():
            self._later(remove_tree, aside)
        for path in (self._layout.data / "volumes" / "roles").glob("*/*"):
            if path not in wanted:
                log.warning("removes %s, which belongs to no persistent volume", path)
                self._clear(path)

    def _clear(self, path: Path) -> None:
        """Move a directory, or, where it is a mount point, what is in it, out of the way and remove it later."""
        if os.path.ismount(path):
            for inside in list(path.iterdir()):
                self._move_aside(inside)
        else:
            with contextlib.suppress(FileNotFoundError):
                self._move_aside(path)

    def _move_aside(self, path: Path) -> None:
        aside = self._layout.data / "volumes" / _ASIDE
        aside.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = aside / self._new_name()
        try:
            os.rename(path, target)
        except FileNotFoundError:
            raise
        except OSError:  # on another disk: there is no aside
            self._removed_at_once(path)
        else:
            self._later(remove_tree, target)

    @staticmethod
    def _removed_at_once(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()

    def _path(self, volume: MakeVolume | RemoveVolume) -> Path:
        source = msgspec.json.decode(volume.source, type=DiskSource) if volume.source else None
        return persistent_path(self._layout, volume.role, volume.volume_id, source)
