"""Fetched files that are kept for the next task: which there are, which may go.

A key names content where it can: a URI that ends in ``#sha256=<hex>`` is known by that digest, so the same file
from elsewhere is the same entry; any other by URL and user. ``CacheIndex`` is pure; ``FetcherCache`` owns the
directory. A cached file's modification time is set to ``SEALED``: whoever writes to it through a hard link
breaks that seal, and the entry is thrown away at its next use.
"""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import hashlib

SEALED = 946_684_800
"""2000-01-01, in epoch seconds."""

DIGEST = "sha256="


class CacheIndex:
    """Sizes by key in order of last use; what is being used never goes."""

    def __init__(self, capacity: int) -> None:
        """``capacity`` in bytes."""
        self.capacity = capacity
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._pins: dict[str, int] = {}
        self.used = 0

    def __contains__(self, key: str) -> bool:
        return key in self._sizes

    def __len__(self) -> int:
        return len(self._sizes)

    def pin(self, key: str) -> bool:
        """Use an entry: it is the newest now and stays until ``unpin``. False if there is none."""
        if key not in self._sizes:
            return False
        self._sizes.move_to_end(key)
        self._pins[key] = self._pins.get(key, 0) + 1
        return True

    def unpin(self, key: str) -> None:
        """Use no more."""
        left = self._pins.get(key, 0) - 1
        if left > 0:
            self._pins[key] = left
        else:
            self._pins.pop(key, None)

    def add(self, key: str, size: int) -> list[str] | None:
        """Enter an entry as the newest; returns the keys to remove for it, None if there is no room."""
        goes: list[str] = []
        room = self.capacity - self.used + self._sizes.get(key, 0)
        for old, old_size in self._sizes.items():
            if room >= size:
                break
            if old != key and old not in self._pins:
                goes.append(old)
                room += old_size
        if room < size:
            return None
        for old in goes:
            self.discard(old)
        self.discard(key)
        self._sizes[key] = size
        self.used += size
        return goes

    def discard(self, key: str) -> None:
        """Forget an entry."""
        self.used -= self._sizes.pop(key, 0)

    def validate(self) -> None:
        """Raise AssertionError if the books don't balance."""
        assert self.used == sum(self._sizes.values())  # noqa: S101
        assert self.used <= self.capacity  # noqa: S101


def split_digest(uri: str) -> tuple[str, str]:
    """The URI without its fragment, and the SHA-256 that the fragment demands (empty if none).

    Raises ValueError for a digest that is none.
    """
    address, _, fragment = uri.partition("#")
    if not fragment.startswith(DIGEST):
        return address, ""
    digest = fragment.removeprefix(DIGEST).lower()
    if len(digest) != 64 or any(c not in "0123456789abcdef" for c in digest):
        raise ValueError(f"the fragment #{fragment[:80]} holds no SHA-256 (64 hexadecimal digits)")
    return address, digest


def new_hash(data: bytes = b"") -> hashlib._Hash:
    """SHA-256. Imported when it is first needed: an agent that caches nothing saves 0.6 MB."""
    import hashlib

    return hashlib.sha256(data)


def cache_key(address: str, digest: str, user: str) -> str:
    """The file name of an entry."""
    return f"sha256-{digest}" if digest else "url-" + new_hash(f"{address}\0{user}".encode()).hexdigest()


class FetcherCache:
    """The cache's directory. All methods are quick but ``seal``'s rename across file systems, which can't be."""

    def __init__(self, directory: Path, capacity: int) -> None:
        """``capacity`` in bytes. Takes over what an earlier agent left. Raises OSError."""
        self.directory = directory
        self.index = CacheIndex(capacity)
        directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        found = []
        for entry in os.scandir(directory):
            status = entry.stat(follow_symlinks=False)
            if entry.name.startswith(("sha256-", "url-")) and status.st_mtime == SEALED:
                found.append((status.st_atime, entry.name, status.st_size))
            elif entry.name.startswith(("sha256-", "url-", "tmp-")):  # the directory may be shared with others
                _remove(entry)
        for _, key, size in sorted(found):
            if not self._add(key, size):
                self._unlink(key)

    def pin(self, key: str, now: float) -> Path | None:
        """The file of an entry, kept until ``unpin``; None if there is none that can be trusted."""
        path = self.directory / key
        if not self.index.pin(key):
            return None
        try:
            intact = os.stat(path).st_mtime == SEALED
            if intact:
                os.utime(path, (now, SEALED))  # the access time tells a later agent what was used last
                return path
        except OSError:
            pass
        self.index.unpin(key)
        self.index.discard(key)
        self._unlink(key)
        return None

    def unpin(self, key: str) -> None:
        """The file has been used."""
        self.index.unpin(key)

    def temporary(self, key: str, number: int) -> Path:
        """Where to fetch to."""
        return self.directory / f"tmp-{number}-{key}"

    def reserve(self, temporary: Path, size: int) -> bool:
        """Make room for what is about to be fetched to ``temporary``; False if there is not enough."""
        if not self._add(temporary.name, size):
            return False
        self.index.pin(temporary.name)
        return True

    def give_up(self, temporary: Path) -> None:
        """Nothing more is fetched to ``temporary``: free its room, and the file if it is still there."""
        self.index.unpin(temporary.name)
        self.index.discard(temporary.name)
        temporary.unlink(missing_ok=True)

    def seal(self, key: str, file: Path, now: float) -> bool:
        """Take a fetched file in; False if there is no room, and the file stays where it is. Raises OSError."""
        self.index.unpin(file.name)
        self.index.discard(file.name)
        if not self._add(key, file.stat().st_size):
            return False
        file.chmod(file.stat().st_mode & 0o444)  # what was private stays so
        os.utime(file, (now, SEALED))
        os.replace(file, self.directory / key)
        return True

    def _add(self, key: str, size: int) -> bool:
        goes = self.index.add(key, size)
        for old in goes or ():
            self._unlink(old)
        return goes is not None

    def _unlink(self, key: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.directory / key)


def _remove(entry: os.DirEntry[str]) -> None:
    if not entry.is_dir(follow_symlinks=False):
        os.unlink(entry)
        return
    from shutil import rmtree  # seldom needed, and not small

    rmtree(entry.path, ignore_errors=True)
