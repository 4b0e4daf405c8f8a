"""Where things lie under the agent's data directory; the sandboxes lie as in Mesos.

slaves/<agent>/frameworks/<framework>/executors/<task>/runs/<container>/   the sandbox
slaves/…/runs/latest                                                     link to the newest
meta/runs/<container>/                                                   lock, pid, status of the process
fetch-cache/                                                             fetched files
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from headrace.mesos.agent.containers import Place

_PATIENCE = 5


class Layout:
    """Paths below ``data``, and the making and removing of sandboxes."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.sandboxes = data / "slaves"
        self.runs = data / "meta" / "runs"
        self.fetch_cache = data / "fetch-cache"

    def sandbox(self, place: Place) -> Path:
        """The working directory of a task."""
        return self.executor_runs(place) / place.container_id

    def executor_runs(self, place: Place) -> Path:
        """All sandboxes of a task id."""
        executors = self.sandboxes / place.agent_id / "frameworks" / place.framework_id / "executors"
        return executors / place.executor_id / "runs"

    def run_dir(self, container_id: str) -> Path:
        """Where the supervisor keeps its files."""
        return self.runs / container_id

    def create(self, place: Place) -> Path:
        """Make the sandbox if it isn't there; returns it. Raises OSError."""
        for _ in range(_PATIENCE):
            try:
                return self._create(place)
            except FileNotFoundError:  # a directory above, empty until now, is just being removed
                continue
        return self._create(place)

    def clear(self, place: Place) -> Path:
        """Make the sandbox anew, empty; returns it. Raises OSError."""
        _remove_tree(self.sandbox(place))
        return self.create(place)

    def remove(self, place: Place) -> None:
        """Remove a run's files, and the directories above that are empty then."""
        _remove_tree(self.sandbox(place))
        _remove_tree(self.run_dir(place.container_id))
        runs = self.executor_runs(place)
        with contextlib.suppress(OSError):
            if os.readlink(runs / "latest") == place.container_id:
                os.unlink(runs / "latest")
        with contextlib.suppress(OSError):
            for directory in (runs, *runs.parents[:5]):
                os.rmdir(directory)

    def _create(self, place: Place) -> Path:
        sandbox = self.sandbox(place)
        os.makedirs(sandbox, exist_ok=True)
        latest = sandbox.parent / "latest"
        try:
            os.symlink(place.container_id, latest)
        except FileExistsError:
            if os.readlink(latest) != place.container_id:
                fresh = sandbox.parent / f".latest.{place.container_id}"
                with contextlib.suppress(FileExistsError):
                    os.symlink(place.container_id, fresh)
                os.replace(fresh, latest)
        return sandbox


def _remove_tree(directory: Path) -> None:
    from shutil import rmtree  # seldom needed, and not small

    rmtree(directory, ignore_errors=True)
