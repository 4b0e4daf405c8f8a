"""A daemon's own log over HTTP: ``/files/…``, LIST_FILES and READ_FILE for the one file that it has.

Its path is virtual (``/master/log``). A daemon whose stderr is no file has no log to show, and nothing is at that path.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

from headrace.kernel.http.messages import FileBody, Request, Response
from headrace.mesos.door import TEXT, text
from headrace.mesos.messages.operator_common import FileData, FileInfos, PartOfFile

PAGE = 64 * 1024
"""The most that is read at a time: 16 pages of memory, as in Mesos."""


class OwnLog:
    """``path`` is the virtual one; ``file`` opens the log whatever it is called by now."""

    def __init__(self, path: str, file: Path | None) -> None:
        self._path = path
        self._file = file

    # v0

    def paths(self) -> dict[str, Callable[[Request], Response]]:
        """Handlers of GET by path."""
        return {
            "/files/browse": self._browse,
            "/files/read": self._read,
            "/files/download": self._download,
            "/files/debug": self._debug,
        }

    def _browse(self, request: Request) -> Response:
        return self._found(request) or Response.json([])  # a file holds nothing

    def _read(self, request: Request) -> Response:
        if wrong := self._found(request):
            return wrong
        given = {name: request.parameter(name, "-1") or "-1" for name in ("offset", "length")}
        for name, value in given.items():
            if value != "-1" and not (value.isascii() and value.isdigit() and len(value) < 19):
                return text(400, f"Failed to parse {name}: Failed to convert '{value[:40]}' to number.\n")
        offset, length = int(given["offset"]), int(given["length"])
        if offset == -1:
            return Response.json({"data": "", "offset": self._size()})
        data = self._part(offset, PAGE if length == -1 else length)
        return Response.json({"data": data.decode("utf-8", "replace"), "offset": offset})

    def _download(self, request: Request) -> Response:
        if wrong := self._found(request):
            return wrong
        assert self._file is not None  # noqa: S101 - found
        name = self._path.strip("/").replace("/", "-")
        headers = {"Content-Disposition": f"attachment; filename={name}"}
        return Response(200, FileBody(self._file, 0, self._size()), "application/octet-stream", headers)

    def _debug(self, _: Request) -> Response:
        return Response.json(self.real_paths())

    def real_paths(self) -> dict[str, str]:
        """Which virtual path stands for which file."""
        return {self._path: os.path.realpath(self._file)} if self._file is not None else {}

    def _found(self, request: Request) -> Response | None:
        path = request.parameter("path")
        if not path:
            return text(400, "Expecting 'path=value' in query.\n")
        return None if self.has(path) else Response(404, b"", TEXT)

    # v1

    def list(self, path: str) -> FileInfos | None:
        """The answer to LIST_FILES; None if there is nothing."""
        return FileInfos() if self.has(path) else None

    def read(self, asked: PartOfFile) -> FileData | None:
        """The answer to READ_FILE; None if there is nothing."""
        if not self.has(asked.path):
            return None
        data = self._part(asked.offset, PAGE if asked.length is None else asked.length)
        return FileData(self._size(), base64.b64encode(data).decode())

    def has(self, path: str) -> bool:
        """Whether this is the log's path, and there is a log."""
        return self._file is not None and path.rstrip("/") == self._path

    def _size(self) -> int:
        return self._file.stat().st_size if self._file is not None else 0

    def _part(self, offset: int, length: int) -> bytes:
        if self._file is None:
            return b""
        with self._file.open("rb") as file:
            if offset >= os.fstat(file.fileno()).st_size:
                return b""  # there is no such place to go to
            file.seek(offset)
            return file.read(min(length, PAGE))
