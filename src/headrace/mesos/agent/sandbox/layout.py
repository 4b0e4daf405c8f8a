"""Where things lie under the agent's data directory; the sandboxes lie as in Mesos.

slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>/   the sandbox
slaves/…/runs/latest                                            link to the newest
slaves/…/runs/<executor's container>/containers/<container>/    the sandbox of a task of an executor's group
slaves/…/<sandbox>/containers/<name>/                           that of a nested container
containers/<name>/                                              the sandbox of a standalone container
slaves/…/runs/<executor's container>/tasks/<task>               link to that, by the task's id
volumes/roles/<role>/<id>/                                      a persistent volume
meta/runs/<container>/                                          lock, pid, status of the process
fetch-cache/                                                    fetched files, unless the flag names another place
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from headrace.mesos.agent.core.containers import Place

LATEST = "latest"
CONTAINERS = "containers"
TASKS = "tasks"
_PATIENCE = 5
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Layout:
    """Paths below ``data``, and the making and removing of sandboxes."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.sandboxes = data / "slaves"
        self.runs = data / "meta" / "runs"

    def sandbox(self, place: Place) -> Path:
        """The working directory of a task or executor."""
        runs = self.executor_runs(place) if place.framework_id else self.data / CONTAINERS
        if "." in place.container_id:
            return runs.joinpath(f"{os.sep}{CONTAINERS}{os.sep}".join(place.container_id.split(".")))
        if place.parent_id:
            return runs / place.parent_id / CONTAINERS / place.container_id
        return runs / place.container_id

    def executor_runs(self, place: Place) -> Path:
        """All sandboxes of an executor id."""
        executors = self.sandboxes / place.agent_id / "frameworks" / place.framework_id / "executors"
        return executors / place.executor_id / "runs"

    def run_dir(self, container_id: str) -> Path:
        """Where the supervisor keeps its files."""
        return self.runs / container_id

    def volume(self, role: str, volume_id: str) -> Path:
        """A persistent volume on the agent's own disk. Slashes of the role are blanks, which no role can hold."""
        return self.data / "volumes" / "roles" / role.replace("/", " ") / volume_id

    def secrets(self, container_id: str) -> Path:
        """Where the secrets of a container are while it runs: outside of its sandbox, which others may look into."""
        return self.data / "secrets" / container_id

    def secret(self, container_id: str, number: int) -> Path:
        """The file of one of them."""
        return self.secrets(container_id) / str(number)

    def create(self, place: Place, task_id: str = "") -> Path:
        """Make the sandbox if it isn't there; returns it. Raises OSError.

        ``task_id``: that of a task in an executor's group, by which its sandbox can be found, too.
        """
        for _ in range(_PATIENCE):
            try:
                return self._create(place, task_id)
            except FileNotFoundError:  # a directory above, empty until now, is just being removed
                continue
        return self._create(place, task_id)

    def clear(self, place: Place) -> Path:
        """Make the sandbox anew, empty; returns it. Raises OSError."""
        remove_tree(self.sandbox(place))
        return self.create(place)

    def remove(self, place: Place) -> None:
        """Remove a run's files, those of the runs in it, and the directories above that are empty then."""
        remove_tree(self.run_dir(place.container_id))
        if "." in place.container_id:
            sandbox = self.sandbox(place)
            _remove_nested(sandbox.parents[1], sandbox.name)
            return
        if not place.framework_id:
            remove_tree(self.sandbox(place))
            return
        if place.parent_id:
            _remove_nested(self.executor_runs(place) / place.parent_id, place.container_id)
            return
        remove_tree(self.sandbox(place))
        runs = self.executor_runs(place)
        with contextlib.suppress(OSError):
            if os.readlink(runs / LATEST) == place.container_id:
                os.unlink(runs / LATEST)
        with contextlib.suppress(OSError):
            for directory in (runs, *runs.parents[:5]):
                os.rmdir(directory)

    def remove_run(self, container_id: str) -> None:
        """Remove what is kept about a run beside its sandbox."""
        remove_tree(self.run_dir(container_id))

    def places(self) -> Iterator[Place]:
        """All runs whose sandboxes are on disk, but those in the sandboxes of executors."""
        for runs in self.sandboxes.glob("*/frameworks/*/executors/*/runs"):
            agent_id, _, framework_id, _, executor_id, _ = runs.relative_to(self.sandboxes).parts
            for container_id in _directories(runs):
                yield Place(agent_id, framework_id, executor_id, container_id)

    def run_dirs(self) -> list[str]:
        """The containers whose processes have left files."""
        return _directories(self.runs)

    def _create(self, place: Place, task_id: str) -> Path:
        sandbox = self.sandbox(place)
        os.makedirs(sandbox, exist_ok=True)
        if not place.framework_id and "." not in place.container_id:
            return sandbox
        if "." in place.container_id:
            _check_above(sandbox)
            return sandbox
        if not place.parent_id:
            _point(sandbox.parent / LATEST, place.container_id)
            return sandbox
        _check_above(sandbox)
        _point(sandbox.parents[2] / LATEST, place.parent_id)
        if task_id:
            links = sandbox.parents[1] / TASKS
            os.makedirs(links, exist_ok=True)
            _point(links / task_id, f"../{CONTAINERS}/{place.container_id}")
        return sandbox


def _check_above(sandbox: Path) -> None:
    """Raise OSError if a container has put a link where the sandboxes in its own are to lie."""
    if os.path.realpath(sandbox.parent) != os.path.join(os.path.realpath(sandbox.parents[1]), CONTAINERS):
        raise OSError(f"{sandbox.parent} is not the agent's own any more: it is a link")


def _directories(above: Path) -> list[str]:
    try:
        with os.scandir(above) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _point(link: Path, target: str) -> None:
    """Make ``link`` a link to ``target``, whatever it was; at no moment is there none."""
    try:
        os.symlink(target, link)
    except FileExistsError:
        if not link.is_symlink() or os.readlink(link) != target:
            fresh = link.with_name(f".{link.name[:100]}.{os.path.basename(target)}")
            with contextlib.suppress(FileExistsError):
                os.symlink(target, fresh)
            os.replace(fresh, link)


def _remove_nested(parent: Path, container_id: str) -> None:
    """Remove a sandbox in an executor's, which may have made links there: none is followed."""
    with contextlib.suppress(OSError):
        at = os.open(parent, _DIRECTORY)
        try:
            with _opened(CONTAINERS, at) as containers:
                _remove_tree_at(container_id, containers)
            with _opened(TASKS, at) as tasks:
                for name in os.listdir(tasks):
                    with contextlib.suppress(OSError):
                        if os.readlink(name, dir_fd=tasks).endswith(f"/{container_id}"):
                            os.unlink(name, dir_fd=tasks)
        finally:
            os.close(at)


@contextlib.contextmanager
def _opened(name: str, above: int) -> Iterator[int]:
    fd = os.open(name, _DIRECTORY, dir_fd=above)
    try:
        yield fd
    finally:
        os.close(fd)


def _remove_tree_at(name: str, above: int) -> None:
    from shutil import rmtree  # seldom needed, and not small

    rmtree(name, ignore_errors=True, dir_fd=above)


def remove_tree(directory: Path) -> None:
    """Remove a directory and what is in it, as far as it can be removed."""
    from shutil import rmtree  # seldom needed, and not small

    rmtree(directory, ignore_errors=True)
