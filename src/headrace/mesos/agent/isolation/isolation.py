"""What is active on this agent, and what it means for one container: at its start, while it runs, at its end.

What is done for a container is written to ``<run_dir>/isolation`` before it is done, so that an agent of later finds
the cgroups and namespaces, whatever its own flags are.
"""

from __future__ import annotations

import logging
import pwd
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec

from headrace.kernel import process
from headrace.mesos.agent.core.containers import ContainerSpec, Limitation
from headrace.mesos.agent.isolation import cgroups, namespaces, volumes
from headrace.mesos.agent.isolation.cgroups import Cgroups, Part
from headrace.mesos.agent.isolation.memory_watch import MemoryWatch
from headrace.mesos.agent.isolation.problems import IsolationProblem
from headrace.mesos.agent.isolation.rlimits import limited
from headrace.mesos.agent.sandbox.layout import Layout, remove_tree
from headrace.mesos.messages.common import ContainerInfo, LinuxInfo

log = logging.getLogger(__name__)

_DONE, _LIMITATION = "isolation", "limitation"


class Active(msgspec.Struct, frozen=True):
    """The isolators by their names, and what they stand for."""

    names: tuple[str, ...] = ("posix/cpu", "posix/mem")
    cgroups: Cgroups | None = None
    own_ids: bool = False
    own_mounts: bool = False


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """What has been done for a container. ``namespaces``: mnt, pid."""

    parts: list[Part] = []
    namespaces: list[str] = []


class Start(msgspec.Struct, frozen=True):
    """How to start a container's command: for ``kernel.process.start``."""

    argv: list[str]
    enter: list[Path] = []
    before: list[str] = []


_NOTHING = Done()


class Isolation:
    """Carries out what is active. ``out_of_memory`` is told of a container whose processes the kernel has ended."""

    def __init__(self, active: Active, layout: Layout) -> None:
        self.active = active
        self._layout = layout
        self._watch: MemoryWatch | None = None
        self._known: dict[str, Done] = {}

    @property
    def names(self) -> str:
        """What is active, as --isolation has it."""
        return ",".join(self.active.names)

    def watch_memory(self, look: Callable[[str], None]) -> None:
        """Have ``look`` called when something may have happened to a container's memory."""
        self._watch = MemoryWatch(look)

    def prepare(self, spec: ContainerSpec, argv: list[str], user: pwd.struct_passwd | None) -> Start:
        """Make ready for a start; the sandbox and the run directory are there. Raises IsolationProblem, OSError.

        After an error, as after the end, the container is to be taken down with ``end`` and ``remove``.
        """
        info = spec.container
        check_container(info)
        argv = limited(info.rlimit_info if info else None, argv)
        own_ids = self.active.own_ids and not _shares_ids(info)
        before = self._namespaces(spec, own_ids, user)
        if self.active.cgroups is None and not before:
            return Start(argv)
        parts = self.active.cgroups.make(spec) if self.active.cgroups else []
        kinds = ["mnt", *(["pid"] if own_ids else [])] if before else []
        run_dir = self._layout.run_dir(spec.place.container_id)
        done = self._known[spec.place.container_id] = Done(parts, kinds)
        (run_dir / _DONE).write_bytes(msgspec.json.encode(done))
        if before:
            namespaces.begin(run_dir)
        return Start(argv, [part.procs for part in parts], before)

    def begin(self, container_id: str) -> None:
        """It runs: watch its memory."""
        part = cgroups.memory_part(self._done(container_id).parts)
        if part is not None and self._watch is not None:
            try:
                self._watch.add(container_id, part)
            except OSError as error:
                log.error("container %s: its memory can't be watched: %s", container_id, error)

    def update(self, spec: ContainerSpec) -> None:
        """It holds other resources now. Raises IsolationProblem, OSError.

        Volumes are linked into its sandbox: its mounts are made at its start.
        """
        parts = self._done(spec.place.container_id).parts
        if self.active.cgroups is not None:
            self.active.cgroups.update(parts, spec)
        wanted = [volume for volume in volumes.wanted(spec, self._layout) if volume.persistent]
        volumes.link(wanted, self._layout.sandbox(spec.place), None)

    def limitation(self, container_id: str) -> Limitation | None:
        """Why it is ended, if that is a limit; kept, as with the cgroup the reason is gone. Raises OSError."""
        parts = self._done(container_id).parts
        if cgroups.memory_part(parts) is None:
            return None
        file = self._layout.run_dir(container_id) / _LIMITATION
        try:
            return msgspec.json.decode(file.read_bytes(), type=Limitation)
        except (FileNotFoundError, msgspec.DecodeError):
            found = cgroups.out_of_memory(parts)
        if found is not None:
            file.write_bytes(msgspec.json.encode(found))
        return found

    def end(self, container_id: str) -> bool:
        """SIGKILL to all of its processes, also those that left its group; True if there is none left."""
        parts = self._done(container_id).parts
        return not parts or cgroups.end_all(parts)

    def remove(self, container_id: str) -> bool:
        """Remove its cgroups, if nothing runs in them any more; True if they are gone, its secrets with them."""
        if self._watch is not None:
            self._watch.drop(container_id)
        parts = self._done(container_id).parts
        if parts and not cgroups.remove(parts):
            return False
        self._known.pop(container_id, None)
        secrets = self._layout.secrets(container_id)
        if secrets.is_dir():
            remove_tree(secrets)
        return True

    def sweep(self, keep: Collection[str]) -> None:
        """Remove what earlier agents left, but for the containers in ``keep``."""
        for left in (self._layout.data / "secrets").glob("*"):
            if left.name not in keep:
                remove_tree(left)
        if self.active.cgroups is not None:
            self.active.cgroups.sweep(keep)

    def inside(self, container_id: str, argv: list[str], directory: Path) -> tuple[list[str], list[Path]]:
        """How to run a command in a running container: its command line, and the files that it enters cgroups by.

        Raises OSError if the container has no process.
        """
        done = self._done(container_id)
        if done.namespaces:
            run_dir = self._layout.run_dir(container_id)
            pid = process.command_pid(run_dir)
            argv = [*namespaces.joining(pid, "pid" in done.namespaces, directory, run_dir), *argv]
        return argv, [part.procs for part in done.parts]

    def has_own_ids(self, container_id: str) -> bool:
        """Whether the container has a namespace of process ids."""
        return bool(container_id) and "pid" in self._done(container_id).namespaces

    def stop(self) -> None:
        """Watch no more; the containers go on."""
        if self._watch is not None:
            self._watch.stop()
        if self.active.cgroups is not None:
            self.active.cgroups.close()

    def _namespaces(self, spec: ContainerSpec, own_ids: bool, user: pwd.struct_passwd | None) -> list[str]:
        wanted = volumes.wanted(spec, self._layout)
        sandbox = self._layout.sandbox(spec.place)
        owner = (user.pw_uid, user.pw_gid) if user is not None else None
        if not self.active.own_mounts:
            volumes.link(wanted, sandbox, owner)
        mounts = volumes.mount_points(wanted, sandbox, owner) if self.active.own_mounts else []
        if not own_ids and not mounts and not self.active.own_mounts:
            return []
        return namespaces.making(self._layout.run_dir(spec.place.container_id), mounts, own_ids)

    def _done(self, container_id: str) -> Done:
        known = self._known.get(container_id)
        if known is None:
            known = self._known[container_id] = self._read(container_id)
        return known

    def _read(self, container_id: str) -> Done:
        try:
            return msgspec.json.decode((self._layout.run_dir(container_id) / _DONE).read_bytes(), type=Done)
        except FileNotFoundError:
            return _NOTHING
        except (OSError, msgspec.DecodeError) as error:
            log.error("container %s: what isolates it can't be read: %s", container_id, error)
            return _NOTHING


def check_container(info: ContainerInfo | None) -> None:
    """Raise IsolationProblem if a container of type MESOS asks for what this agent never does."""
    if info is None:
        return
    if info.mesos is not None and info.mesos.image is not None:
        raise IsolationProblem("container.mesos.image: images need a container of type DOCKER")
    if info.hostname:
        raise IsolationProblem("container.hostname: a container of type MESOS has the agent's host name")
    if info.tty_info is not None:
        raise IsolationProblem("container.tty_info: terminals are not supported by this agent")
    for i, network in enumerate(info.network_infos or ()):
        if network.name:
            raise IsolationProblem(
                f"container.network_infos[{i}].name: containers of type MESOS are in the agent's own network; "
                f"the network {network.name!r} needs a container of type DOCKER"
            )
    _check_linux(info.linux_info)


def _check_linux(info: LinuxInfo | None) -> None:
    if info is None:
        return
    for name in info.__struct_fields__:
        if name != "share_pid_namespace" and getattr(info, name) is not None:
            raise IsolationProblem(f"container.linux_info.{name}: is not supported by this agent; leave it out")


def _shares_ids(info: ContainerInfo | None) -> bool:
    return bool(info and info.linux_info and info.linux_info.share_pid_namespace)
