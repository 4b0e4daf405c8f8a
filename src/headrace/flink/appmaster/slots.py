"""Several instances of one app are several clusters: each takes a slot, a place of its own for what it keeps.

The first is ``<directory>``, the next ``<directory>@2`` and so on; ``@`` is in no app's id. An instance takes the
one that it had before, else the first in which something is kept, else the first free one, and holds a lock on the
file ``<directory>.slot`` for as long as it lives. The file also says whose it is, because an application master that
has crashed comes back under its script: until then nobody else may have its slot.

No more are held than the app shall have instances: one that comes too early waits until the one that it replaces
has ended.

The directory may be on several machines; then only the lock counts between them.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from headrace.flink.high_availability import slot_name
from headrace.kernel.output_file import open_regular, read_regular
from headrace.kernel.process_identity import id_space, start_time

SCRIPT_VARIABLE = "HEADRACE_APPMASTER_SCRIPT"
"""The process id of the script that starts us again."""


_NUMBER = re.compile(r"[2-9]|[1-9][0-9]{1,5}")


class Owner(msgspec.Struct, frozen=True):
    """Whose a slot is. ``pid`` 0: nobody would start it again."""

    sandbox: str
    boot: str = ""
    pid: int = 0
    start: int = 0

    def lives(self) -> bool:
        """Whether whoever would start it again is alive, as far as this machine can tell."""
        return bool(self.pid) and self.boot == _machine() and start_time(self.pid) == self.start


def this_owner(sandbox: Path, environment: Mapping[str, str]) -> Owner:
    """This process, started by its script or alone."""
    script = environment.get(SCRIPT_VARIABLE, "")
    if not script.isdecimal() or int(script) not in (os.getppid(), os.getpid()):
        return Owner(str(sandbox))
    return Owner(str(sandbox), _machine(), int(script), start_time(int(script)))


class Slot:
    """A slot that is ours; without a file it is shared with nobody."""

    def __init__(self, number: int = 1, path: Path | None = None, fd: int = -1) -> None:
        self.number = number
        self._path = path
        self._fd = fd

    def lock(self) -> bytes | None:
        """What the file says; None if it is no longer there. Raises BlockingIOError if another process holds it."""
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.pread(self._fd, 65536, 0) if self._path is not None and _is_at(self._fd, self._path) else None

    def write(self, content: bytes) -> None:
        """Say whose it is."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, content, 0)

    def forget(self) -> None:
        """The cluster is gone for good: leave no trace."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another one have it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Slots:
    """The slots of one app: ``directory`` is that of the first."""

    def __init__(self, directory: Path, owner: Owner) -> None:
        self._first = directory
        self._owner = owner

    def take(self, most: int | None) -> Slot | None:
        """A slot; None if ``most`` are held by others. Raises OSError if the files can't be written."""
        self._first.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        known = self._known()
        for number in known:
            if self._owner_of(number) == self._owner.sandbox and (slot := self._lock(number)) is not None:
                return self._claim(slot)
        free = {number: slot for number in known if (slot := self._lock(number)) is not None}
        try:
            if most is not None and len(known) - len(free) >= most:
                return None
            number = self._choose(known, free)
            slot = free.pop(number, None) or self._lock(number, make=True)
            return None if slot is None else self._claim(slot)
        finally:
            for slot in free.values():
                slot.close()

    def _known(self) -> list[int]:
        """The slots that have a file."""
        numbers = []
        for path in self._first.parent.glob("*.slot"):
            name, mark, number = path.name.removesuffix(".slot").partition("@")
            if name == self._first.name and (not mark or _NUMBER.fullmatch(number)):
                numbers.append(int(number or 1))
        return sorted(numbers)

    def _choose(self, known: Iterable[int], free: Iterable[int]) -> int:
        kept = [number for number in free if self._directory(number).exists()]
        unused = itertools.filterfalse(set(known).__contains__, itertools.count(1))
        return kept[0] if kept else min([next(unused), *free])

    def _directory(self, number: int) -> Path:
        return self._first.with_name(slot_name(self._first.name, number))

    def _path(self, number: int) -> Path:
        return self._first.with_name(slot_name(self._first.name, number) + ".slot")

    def _owner_of(self, number: int) -> str:
        """The sandbox of whoever had it last."""
        try:
            owner = _read(read_regular(self._path(number)))
        except FileNotFoundError:
            return ""
        return owner.sandbox if owner is not None else ""

    def _claim(self, slot: Slot) -> Slot:
        slot.write(msgspec.json.encode(self._owner) + b"\n")
        return slot

    def _lock(self, number: int, *, make: bool = False) -> Slot | None:
        """None if it is somebody else's, or its owner removes it at this moment."""
        path = self._path(number)
        try:
            slot = Slot(number, path, open_regular(path, os.O_RDWR | (os.O_CREAT if make else 0)))
        except FileNotFoundError:
            return None
        try:
            before = slot.lock()
        except BlockingIOError:
            before = None
        owner = _read(before) if before is not None else None
        others = owner is not None and owner.sandbox != self._owner.sandbox and owner.lives()
        if before is None or others:
            slot.close()
            return None
        return slot


def _read(content: bytes) -> Owner | None:
    try:
        return msgspec.json.decode(content, type=Owner)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_at(fd: int, path: Path) -> bool:
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _machine() -> str:
    """What process ids are good for: this machine, this boot, this space of ids."""
    return f"{socket.gethostname()} {id_space()}"
