"""The artifact server: files that TaskManagers' tasks fetch, each under one exact path.

    /artifacts/<sha256>/<name>        a file named by its content
    /artifacts/private/<path>?key=…   a configuration file or a secret, for who has the key (logs leave out a query)

The digest stands in the URL's fragment too, so that an agent's fetcher recognizes a file that it already
has, whichever cluster it came with. What is private is not kept in agents' caches.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from urllib.parse import quote

from headrace.flink.appmaster.secret import same
from headrace.flink.overlays.shipment import Artifact
from headrace.kernel.http import FileBody, HttpError, Request, Response, Router
from headrace.mesos.messages.common import CommandUri

_RANGE = re.compile(r"bytes=([0-9]*)-([0-9]*)")
_MOST_DIGITS = 18
"""No file has more bytes than a number of so many digits says."""


class ArtifactServer:
    """Serves the files that were added, and nothing else. ``base`` is this server's URL, ``secret`` is unguessable."""

    def __init__(self, base: str, secret: str) -> None:
        self._base = base
        self._secret = secret
        self._public: dict[tuple[str, str], Artifact] = {}
        self._private: dict[str, Artifact] = {}

    def add(self, artifact: Artifact) -> CommandUri:
        """Offer a file; returns how tasks get it."""
        if artifact.digest:
            name = artifact.source.name
            self._public[artifact.digest, name] = artifact
            path = f"{artifact.digest}/{quote(name)}#sha256={artifact.digest}"
        else:
            self._private[artifact.target] = artifact
            path = f"private/{quote(artifact.target)}?key={self._secret}"
        return CommandUri(
            f"{self._base}/artifacts/{path}",
            executable=artifact.executable,
            extract=False,
            cache=bool(artifact.digest),
            output_file=artifact.target,
        )

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/artifacts/private/{target:rest}", self._get_private)
        router.add("GET", "/artifacts/{digest}/{name}", self._get_public)

    def _get_public(self, request: Request, digest: str, name: str) -> Response:
        return _answer(request, self._public.get((digest, name)))

    def _get_private(self, request: Request, target: str) -> Response:
        known = same(request.parameter("key").encode(), self._secret.encode())
        return _answer(request, self._private.get(target) if known else None)


def _answer(request: Request, artifact: Artifact | None) -> Response:
    """The file, or the one range of it that is asked for. Raises HttpError."""
    if artifact is None:
        raise HttpError(404, f"There is no artifact at {request.path}")
    path = artifact.source
    try:
        status = path.stat()
    except OSError:
        raise HttpError(410, f"{path.name} was offered here, but its file is gone") from None
    size = status.st_size
    headers = {
        "Cache-Control": "private",
        "Accept-Ranges": "bytes",
        "Last-Modified": formatdate(int(status.st_mtime), usegmt=True),
    }
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", "")) if request.method == "GET" else None
    if asked is None or not (asked[1] or asked[2]):
        return Response(200, FileBody(path, 0, size), "application/octet-stream", headers)
    begin, end = _span(asked[1], asked[2], size)
    if begin > end:
        return Response(416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {begin}-{end}/{size}"
    return Response(206, FileBody(path, begin, end - begin + 1), "application/octet-stream", headers)


def _span(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte of a range; nothing is left if the first comes after the last."""
    if max(len(first), len(last)) > _MOST_DIGITS:
        return size, size - 1
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1
