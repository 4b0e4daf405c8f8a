"""Browsing and reading sandboxes, and the agent's own log, over HTTP, as Mesos's ``/files`` endpoints do.

A path is the sandbox's real one (``directory`` in /state), or ``/frameworks/<id>/executors/<id>/runs/latest/…``, or
``/frameworks/<id>/executors/<id>/tasks/<id>/…`` for a task of an executor's newest group.
Whatever a path goes through, links included, it must end in a sandbox; else there is nothing there.
What a task keeps to itself, a file or directory that neither group nor others may read, is listed but not shown.
A task may change what lies there at any moment: so a path is resolved first, then opened part by part with no link
followed, and what is decided is decided by the open descriptor.

/files/download understands ``Range`` with one range. Of files that are rotated, the header ``Headrace-Rotated``
tells how many bytes were cut off the front so far: with it, whoever follows a file knows where he is.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import quote

from headrace.kernel.http import FileBody, HttpError, Request, Response, Router
from headrace.mesos.agent.sandbox.layout import LATEST, Layout
from headrace.mesos.agent.sandbox.log_rotation import cut_lock, data_begins, rotated_bytes
from headrace.mesos.messages.common import TimeInfo
from headrace.mesos.messages.operator_common import FileInfo
from headrace.mesos.own_log import OwnLog

Handler = Callable[[Request], Response]

ROTATED = "Headrace-Rotated"
BINARY = "application/octet-stream"
PAGE = 64 * 1024
"""Bytes that /files/read returns at most if no length is asked for."""

MOST = 16 * 1024 * 1024
_LOGS = ("stdout", "stderr")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH
_DEPTH = 7
"""Parts of a sandbox's path: <agent>/frameworks/<id>/executors/<id>/runs/<container>; above it all is the agent's."""
_ON_THE_WAY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class _Target(NamedTuple):
    """What is asked for: the path as asked, the sandbox's real one, and the parts below it, no link among them."""

    path: str
    sandbox: str
    parts: list[str]

    @property
    def name(self) -> str:
        """The file's own, wherever links led from."""
        return os.path.basename(os.path.join(self.sandbox, *self.parts))

    def open(self, flags: int) -> int:
        """A descriptor of it. Raises HttpError, also if there is a link by now, and OSError."""
        try:
            return self._open(flags)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            kind = "directory" if flags == _DIRECTORY else "file"
            raise HttpError(404, f"There is no {kind} {self.path}") from None

    def _open(self, flags: int) -> int:
        at = os.open(self.sandbox, _ON_THE_WAY if self.parts else flags)
        try:
            for left, part in zip(range(len(self.parts) - 1, -1, -1), self.parts, strict=True):
                below = os.open(part, _ON_THE_WAY if left else flags, dir_fd=at)
                os.close(at)
                at = below
                if not os.fstat(at).st_mode & _OTHERS_READ:
                    raise HttpError(403, f"{self.path} is private to its task: only its owner may read it")
        except BaseException:
            os.close(at)
            raise
        return at

    def open_file(self) -> BinaryIO:
        """It, if it is a regular file. Raises HttpError, OSError."""
        fd = self.open(_FILE)
        mode = os.fstat(fd).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(fd, "rb")
        os.close(fd)
        raise HttpError(400 if stat.S_ISDIR(mode) else 404, f"There is no file {self.path}")


class Files:
    """The four endpoints. Virtual paths mean the agent's present id, then any earlier one that has the run.

    ``log`` is the agent's own, at a path that no sandbox can have.
    """

    def __init__(self, layout: Layout, agent_id: Callable[[], str], log: OwnLog) -> None:
        self._layout = layout
        self._agent_id = agent_id
        self.log = log

    def routes(self, router: Router, prefix: str) -> None:
        """Add the endpoints below ``prefix``."""
        handlers = (("browse", self.browse), ("read", self.read), ("download", self.download), ("debug", self.debug))
        of_log = self.log.paths()
        for name, handler in handlers:
            for ending in ("", ".json"):
                either = self._either(of_log[f"/files/{name}"], _explained(handler))
                router.add("GET", f"{prefix}/files/{name}{ending}", either)

    def _either(self, of_log: Handler, of_sandboxes: Handler) -> Handler:
        return lambda request: (of_log if self.log.has(request.parameter("path")) else of_sandboxes)(request)

    def browse(self, request: Request) -> Response:
        """What a directory holds."""
        return Response.json([_described(path, status) for path, status in self._entries(request.parameter("path"))])

    def infos(self, path: str) -> list[FileInfo]:
        """What a directory holds, for LIST_FILES. Raises HttpError."""
        with _errors_explained():
            return [
                FileInfo(
                    name,
                    status.st_nlink,
                    status.st_size,
                    TimeInfo(int(status.st_mtime) * 1_000_000_000),
                    status.st_mode,
                    _user(status.st_uid),
                    _group(status.st_gid),
                )
                for name, status in self._entries(path)
            ]

    def part(self, path: str, offset: int, length: int | None) -> tuple[int, bytes]:
        """A file's size and a part of it, PAGE at most, for READ_FILE. Raises HttpError."""
        with _errors_explained():
            target = self._resolve(path)
            with target.open_file() as file, cut_lock:
                size = os.fstat(file.fileno()).st_size
                if offset >= size:
                    return size, b""
                file.seek(_begin(target.name, file.fileno(), offset))
                return size, file.read(PAGE if length is None else min(length, PAGE))

    def _entries(self, path: str) -> list[tuple[str, os.stat_result]]:
        """What a directory holds: paths, and what the system says of each."""
        target = self._resolve(path)
        fd = target.open(_DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            looked = [(f"{target.path}/{_shown(entry.name)}", _status(entry)) for entry in found]
        finally:
            os.close(fd)
        return [(name, status) for name, status in looked if status is not None]

    def read(self, request: Request) -> Response:
        """A part of a file as text; offset -1 tells the size."""
        target = self._resolve(request.parameter("path"))
        offset, length = _number(request, "offset", -1), _number(request, "length", PAGE)
        with target.open_file() as file, cut_lock:
            size = os.fstat(file.fileno()).st_size
            headers = _rotation_of(target.name, file.fileno())
            if offset == -1:
                return Response.json({"data": "", "offset": size}, headers=headers)
            length = PAGE if length == -1 else length
            if offset < 0 or length < 0:
                raise HttpError(400, "offset and length must be -1 or more")
            if offset >= size:
                return Response.json({"data": "", "offset": offset}, headers=headers)
            offset = _begin(target.name, file.fileno(), offset)
            file.seek(offset)
            data = file.read(min(length, MOST))
            more = offset + len(data) < size
        return Response.json({"data": _text(data, more), "offset": offset}, headers=headers)

    def download(self, request: Request) -> Response:
        """A whole file, or a range of it."""
        target = self._resolve(request.parameter("path"))
        name = quote(os.path.basename(target.path), safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        wanted = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
        if wanted is None or wanted[0] == "bytes=-":
            headers["Accept-Ranges"] = "bytes"
            with target.open_file() as file:
                size = os.fstat(file.fileno()).st_size
            whole = FileBody(Path(target.sandbox, *target.parts), 0, size, target.open_file)
            return Response(200, whole, BINARY, headers)
        return _part(target, wanted[1], wanted[2], headers)

    def debug(self, _: Request) -> Response:
        """Which virtual path stands for what."""
        newest = self.log.real_paths()
        for place in self._layout.places():
            runs = self._layout.executor_runs(place)
            virtual = f"/frameworks/{place.framework_id}/executors/{place.executor_id}/runs/{LATEST}"
            if place.agent_id == self._agent_id() or virtual not in newest:
                newest[virtual] = os.path.realpath(runs / LATEST)
        return Response.json(newest)

    def _resolve(self, path: str) -> _Target:
        """Where the path leads now. Raises HttpError."""
        if not path:
            raise HttpError(400, "Expecting 'path=value' in query")
        if "\0" in path or not path.startswith("/"):
            raise HttpError(400, "path must be absolute")
        path = path.rstrip("/") or "/"
        real = os.path.realpath(self._on_disk(path))
        root = os.path.realpath(self._layout.sandboxes)
        inside = os.path.relpath(real, root).split(os.sep)
        if inside[0] == ".." or len(inside) < _DEPTH:
            raise HttpError(404, f"There is nothing at {path}; paths begin with a sandbox's directory, see /state")
        return _Target(path, os.path.join(root, *inside[:_DEPTH]), inside[_DEPTH:])

    def _on_disk(self, path: str) -> str:
        parts = path.split("/")[1:]
        if len(parts) < 4 or parts[0] not in ("framework", "frameworks") or parts[2] not in ("executor", "executors"):
            return path
        if any(part in ("", ".", "..") for part in parts):
            raise HttpError(400, "path must not hold empty parts, . or ..")
        if parts[4:5] == ["tasks"]:
            parts[4:5] = ["runs", LATEST, "tasks"]
        below = Path("frameworks", parts[1], "executors", *parts[3:])
        agents = sorted(os.listdir(self._layout.sandboxes)) if self._layout.sandboxes.is_dir() else []
        agents.sort(key=lambda agent: agent != self._agent_id())
        found = next((agent for agent in agents if (self._layout.sandboxes / agent / below).exists()), "none")
        return str(self._layout.sandboxes / found / below)


def _rotation_of(name: str, fd: int) -> dict[str, str]:
    return {ROTATED: str(rotated_bytes(fd))} if name in _LOGS else {}


def _begin(name: str, fd: int, offset: int) -> int:
    """Where to read: a rotated file may begin with a hole, which nobody has written."""
    return data_begins(fd, offset) if name in _LOGS else offset


def _part(target: _Target, first: str, last: str, headers: dict[str, str]) -> Response:
    """A range: ``first`` to ``last``, or the last ``last`` bytes; 16 MiB of it at most."""
    with target.open_file() as file, cut_lock:
        size = os.fstat(file.fileno()).st_size
        headers |= _rotation_of(target.name, file.fileno())
        begin = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if begin >= size or begin > end:
            headers["Content-Range"] = f"bytes */{size}"
            return Response(416, b"", None, headers)
        begin = _begin(target.name, file.fileno(), begin)
        file.seek(begin)
        data = file.read(max(0, min(end + 1 - begin, MOST)))
    if not data:
        return Response(416, b"", None, headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {begin}-{begin + len(data) - 1}/{size}"
    return Response(206, data, BINARY, headers)


def _explained(handler: Handler) -> Handler:
    """``handler``, with the system's errors told as what they are to the reader."""

    def explained(request: Request) -> Response:
        with _errors_explained():
            return handler(request)

    return explained


@contextlib.contextmanager
def _errors_explained() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise HttpError(404, "It has just been removed") from None
    except PermissionError:
        raise HttpError(403, "The agent may not read it") from None
    except OSError as error:
        raise HttpError(400, f"It can't be read: {error.strerror}") from None


def _shown(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What the system says of a directory's entry; None if it has been removed since."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _described(path: str, status: os.stat_result) -> dict[str, Any]:
    return {
        "path": path,
        "size": status.st_size,
        "mode": stat.filemode(status.st_mode),
        "nlink": status.st_nlink,
        "mtime": float(int(status.st_mtime)),
        "uid": _user(status.st_uid),
        "gid": _group(status.st_gid),
    }


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _number(request: Request, name: str, default: int) -> int:
    text = request.parameter(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise HttpError(400, f"{name} must be a whole number, not {text[:40]!r}") from None


def _text(data: bytes, more: bool) -> str:
    """Text of bytes; a character that the end cuts in two is left for the next page if there is one."""
    if more:
        for back in range(1, min(4, len(data)) + 1):
            byte = data[-back]
            if byte & 0xC0 == 0x80:
                continue
            if byte >= 0xC0 and back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4) and back < len(data):
                data = data[:-back]
            break
    return data.decode("utf-8", "replace")
