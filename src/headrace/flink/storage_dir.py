"""What high availability keeps in files: names of clusters, ``storageDir`` as Flink reads it, and removing safely.

A cluster's name becomes a directory's, a znode's and a part of file names beside them, so it must be a plain one:
what is removed at a cluster's end is its own then, and nobody else's.
"""

from __future__ import annotations

import logging
import re
import stat
from pathlib import Path
from posixpath import normpath

from headrace.kernel.daemon import UserError

TYPE = "high-availability.type"
STORAGE, CLUSTER_ID = "high-availability.storageDir", "high-availability.cluster-id"
RESULTS = "job-result-store.storage-path"

_RESULT_STORE = "job-result-store"
_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff/\\:@]")
_BESIDE = (".slot", ".done", ".new")
"""Ends of the files beside clusters' directories."""

log = logging.getLogger(__name__)


def plain_name(text: str, where: str) -> str:
    """The cluster's name, without slashes around it. Raises UserError, in which ``where`` says what was given.

    Flink makes a path of it, for which a colon ends a scheme and a backslash is a slash; @ marks slots.
    """
    name = text.strip("/")
    if name in ("", ".", "..") or name != name.strip() or _NOT_IN_NAMES.search(name):
        raise UserError(
            f"{where} is {text!r}, which can't be a directory's name; give a name other than . and .., "
            "without / \\ : @ and control characters"
        )
    if name == _RESULT_STORE or name.endswith(_BESIDE):
        raise UserError(f"{where} is {text!r}, a name that is kept for files beside clusters; give another name")
    return name


def local_path(storage: str) -> Path | None:
    """The directory that Flink and we mean by a ``storageDir``; None if that is another file system's, or unclear.

    Flink decodes no %20, and takes ``file://host/path`` for a mistake; see its class Path.
    """
    path = storage.removeprefix("file:")
    if path != storage:
        path = path.removeprefix("//")
        if "%" in path:
            return None
    if not path.startswith("/") or "\\" in path or "\0" in path:
        return None
    return Path(normpath("/" + path.lstrip("/")))


def needs_local(storage: str) -> Path:
    """The directory of a ``storageDir`` that has to be one. Raises UserError."""
    found = local_path(storage)
    if found is None:
        raise UserError(
            f"option {STORAGE} is {storage!r}, but jobs are kept in files of a local or NFS directory: give its path, "
            f"/path or file:///path (without % and backslashes), or use ZooKeeper: {TYPE}=zookeeper"
        )
    return found


def remove(storage: Path, *below: str, markers: tuple[str, ...] = (), but: str = "") -> None:
    """Remove a directory below ``storage``, if it is one and no link; with ``markers``, only if one is in it.

    ``but``: files whose names begin so stay, and the directory with them.
    That it is not there is no error; why else it stays, the log says.
    """
    from shutil import rmtree

    directory = storage
    for name in below:
        if name in ("", ".", "..") or "/" in name:
            raise ValueError(f"{name!r} is no directory's name")
        directory /= name
        try:
            if not stat.S_ISDIR(directory.lstat().st_mode):
                log.error("%s is not removed: it is a link or a file, not a directory of ours", directory)
                return
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("%s is not removed: %s", directory, error.strerror)
            return
    if markers and not any((directory / marker).is_file() for marker in markers):
        log.error("%s is not removed: it has no file %s, so it may not be ours", directory, " or ".join(markers))
        return
    for _ in range(2):  # a JobManager that was just killed may have written something more
        if not but:
            rmtree(directory, ignore_errors=True)
            continue
        for path in directory.iterdir():
            if path.is_dir() and not path.is_symlink():
                rmtree(path, ignore_errors=True)
            elif not path.name.startswith(but):
                path.unlink(missing_ok=True)
