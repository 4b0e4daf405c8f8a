"""Browsing and reading sandboxes over HTTP, as Mesos's ``/files`` endpoints do.

A path is the sandbox's real one (``directory`` in /state), or ``/frameworks/<id>/executors/<id>/runs/latest/…``, or
``/frameworks/<id>/executors/<id>/tasks/<id>/…`` for a task of an executor's newest group.
Whatever a path goes through, links included, it must end in a sandbox; else there is nothing there.
What a task keeps to itself, a file or directory that neither group nor others may read, is listed but not shown.

/files/download understands ``Range`` with one range. Of files that are rotated, the header ``Headrace-Rotated``
tells how many bytes were cut off the front so far: with it, whoever follows a file knows where he is.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from headrace.kernel.http import FileBody, HttpError, Request, Response, Router
from headrace.mesos.agent.sandbox.layout import LATEST, Layout
from headrace.mesos.agent.sandbox.log_rotation import cut_lock, data_begins, rotated_bytes

ROTATED = "Headrace-Rotated"
BINARY = "application/octet-stream"
PAGE = 64 * 1024
"""Bytes that /files/read returns at most if no length is asked for."""

MOST = 16 * 1024 * 1024
_LOGS = ("stdout", "stderr")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_OTHERS_READ = stat.S_IRGRP | stat.S_IROTH


class Files:
    """The four endpoints. Virtual paths mean the agent's present id, then any earlier one that has the run."""

    def __init__(self, layout: Layout, agent_id: Callable[[], str]) -> None:
        self._layout = layout
        self._agent_id = agent_id

    def routes(self, router: Router, prefix: str) -> None:
        """Add the endpoints below ``prefix``."""
        handlers = (("browse", self.browse), ("read", self.read), ("download", self.download), ("debug", self.debug))
        for name, handler in handlers:
            for ending in ("", ".json"):
                router.add("GET", f"{prefix}/files/{name}{ending}", _explained(handler))

    def browse(self, request: Request) -> Response:
        """What a directory holds."""
        path, real = self._resolve(request)
        if not os.path.isdir(real):
            raise HttpError(404, f"There is no directory {path}")
        with os.scandir(real) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        described = (_describe(path, entry) for entry in found)
        return Response.json([entry for entry in described if entry is not None])

    def read(self, request: Request) -> Response:
        """A part of a file as text; offset -1 tells the size."""
        path, real = self._resolve(request)
        offset, length = _number(request, "offset", -1), _number(request, "length", PAGE)
        if not os.path.isfile(real):
            raise HttpError(400 if os.path.isdir(real) else 404, f"There is no file {path}")
        with open(real, "rb") as file, cut_lock:
            size = os.fstat(file.fileno()).st_size
            headers = _rotation_of(real, file.fileno())
            if offset == -1:
                return Response.json({"data": "", "offset": size}, headers=headers)
            length = PAGE if length == -1 else length
            if offset < 0 or length < 0:
                raise HttpError(400, "offset and length must be -1 or more")
            if offset >= size:
                return Response.json({"data": "", "offset": offset}, headers=headers)
            offset = _begin(real, file.fileno(), offset)
            file.seek(offset)
            data = file.read(min(length, MOST))
            more = offset + len(data) < size
        return Response.json({"data": _text(data, more), "offset": offset}, headers=headers)

    def download(self, request: Request) -> Response:
        """A whole file, or a range of it."""
        path, real = self._resolve(request)
        if not os.path.isfile(real):
            raise HttpError(404, f"There is no file {path}")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(os.path.basename(path), safe='')}"}
        wanted = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
        if wanted is None or wanted[0] == "bytes=-":
            headers["Accept-Ranges"] = "bytes"
            return Response(200, FileBody(Path(real), 0, os.path.getsize(real)), BINARY, headers)
        return _part(real, wanted[1], wanted[2], headers)

    def debug(self, _: Request) -> Response:
        """Which virtual path stands for which sandbox."""
        newest: dict[str, str] = {}
        for place in self._layout.places():
            runs = self._layout.executor_runs(place)
            virtual = f"/frameworks/{place.framework_id}/executors/{place.executor_id}/runs/{LATEST}"
            if place.agent_id == self._agent_id() or virtual not in newest:
                newest[virtual] = os.path.realpath(runs / LATEST)
        return Response.json(newest)

    def _resolve(self, request: Request) -> tuple[str, str]:
        """The path as asked for, and as it is on disk. Raises HttpError."""
        path = request.parameter("path")
        if not path:
            raise HttpError(400, "Expecting 'path=value' in query")
        if "\0" in path or not path.startswith("/"):
            raise HttpError(400, "path must be absolute")
        path = path.rstrip("/") or "/"
        real = os.path.realpath(self._on_disk(path))
        root = os.path.realpath(self._layout.sandboxes)
        # a sandbox is six directories below: <agent>/frameworks/<id>/executors/<id>/runs/<container>
        inside = os.path.relpath(real, root).split(os.sep)
        if inside[0] == ".." or len(inside) < 7:
            raise HttpError(404, f"There is nothing at {path}; paths begin with a sandbox's directory, see /state")
        _refuse_private(path, os.path.join(root, *inside[:7]), inside[7:])
        return path, real

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


def _rotation_of(real: str, fd: int) -> dict[str, str]:
    return {ROTATED: str(rotated_bytes(fd))} if os.path.basename(real) in _LOGS else {}


def _begin(real: str, fd: int, offset: int) -> int:
    """Where to read: a rotated file may begin with a hole, which nobody has written."""
    return data_begins(fd, offset) if os.path.basename(real) in _LOGS else offset


def _part(real: str, first: str, last: str, headers: dict[str, str]) -> Response:
    """A range: ``first`` to ``last``, or the last ``last`` bytes; 16 MiB of it at most."""
    with open(real, "rb") as file, cut_lock:
        size = os.fstat(file.fileno()).st_size
        headers |= _rotation_of(real, file.fileno())
        begin = int(first) if first else max(0, size - int(last))
        end = min(int(last), size - 1) if first and last else size - 1
        if begin >= size or begin > end:
            headers["Content-Range"] = f"bytes */{size}"
            return Response(416, b"", None, headers)
        begin = _begin(real, file.fileno(), begin)
        file.seek(begin)
        data = file.read(max(0, min(end + 1 - begin, MOST)))
    if not data:
        return Response(416, b"", None, headers | {"Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {begin}-{begin + len(data) - 1}/{size}"
    return Response(206, data, BINARY, headers)


def _explained(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """``handler``, with the system's errors told as what they are to the reader."""

    def explained(request: Request) -> Response:
        try:
            return handler(request)
        except (FileNotFoundError, NotADirectoryError):
            raise HttpError(404, "It has just been removed") from None
        except PermissionError:
            raise HttpError(403, "The agent may not read it") from None
        except OSError as error:
            raise HttpError(400, f"It can't be read: {error.strerror}") from None

    return explained


def _refuse_private(path: str, sandbox: str, parts: list[str]) -> None:
    """Raise HttpError 403 if what is at ``parts`` below the sandbox, or a directory on the way, is private."""
    at = sandbox
    for part in parts:
        at = os.path.join(at, part)
        try:
            mode = os.lstat(at).st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise HttpError(404, f"There is nothing at {path}") from None
        if not mode & _OTHERS_READ:
            raise HttpError(403, f"{path} is private to its task: only its owner may read it")


def _describe(path: str, entry: os.DirEntry[str]) -> dict[str, Any] | None:
    """What is told of a directory's entry; None if it has been removed since."""
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return {
        "path": f"{path}/{os.fsencode(entry.name).decode('utf-8', 'replace')}",
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
