"""Unpacks archives into a sandbox, and nowhere else.

Names that lead out of the target, device nodes and links out of it are refused, not skipped: an archive that
tries is not one to run a part of.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zipfile

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 1024 * 1024


class ArchiveError(Exception):
    """An archive that is none, or that is not to be trusted; says why."""


def is_archive(name: str) -> bool:
    """Whether a file of this name would be unpacked."""
    return name.endswith((*TAR_ENDINGS, ".zip", ".gz"))


def unpack(archive: Path, name: str, target: Path) -> None:
    """Unpack by the ending of ``name``; a ``.gz`` becomes one file without that ending.

    Raises ArchiveError, OSError.
    """
    # The modules are imported here because an agent that never unpacks needs none of their memory.
    import gzip
    import lzma
    import tarfile
    import zipfile
    import zlib

    try:
        if name.endswith(TAR_ENDINGS):
            with tarfile.open(archive) as tar:
                tar.extractall(target, filter="data")
        elif name.endswith(".zip"):
            with zipfile.ZipFile(archive) as pack:
                for entry in pack.infolist():
                    _unzip(pack, entry, target)
        else:
            with gzip.open(archive) as packed, (target / Path(name).name.removesuffix(".gz")).open("wb") as out:
                while chunk := packed.read(_CHUNK):
                    out.write(chunk)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
        raise ArchiveError(f"can't unpack it: {error}") from error


def _unzip(pack: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    mode = entry.external_attr >> 16
    path = target / entry.filename
    root = os.path.realpath(target)
    if os.path.commonpath([root, os.path.realpath(path)]) != root:
        raise ArchiveError(f"{entry.filename!r} leads out of the sandbox")
    if stat.S_ISLNK(mode):
        _link(pack.read(entry).decode("utf-8", "surrogateescape"), path, root)
        return
    if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_IFMT(mode) == 0):
        raise ArchiveError(f"{entry.filename!r} is a device or the like")
    pack.extract(entry, target)
    if mode & 0o111 and not entry.is_dir():
        path.chmod(0o755)


def _link(text: str, path: Path, root: str) -> None:
    where = os.path.realpath(path.parent / text)
    if os.path.isabs(text) or os.path.commonpath([root, where]) != root:
        raise ArchiveError(f"the link {path.name!r} leads out of the sandbox")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(text)
