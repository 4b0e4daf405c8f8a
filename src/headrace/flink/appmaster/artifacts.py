"""The artifact server: files that TaskManagers' tasks fetch, each under one exact path.

    /artifacts/<sha256>/<name>.jar       a jar, named by its content
    /artifacts/conf/config.yaml?key=…    a configuration file, for who has the key (logs leave out a query)

The digest stands in the URL's fragment too, so that an agent's fetcher recognizes a jar that it already
has, whichever cluster it came with. Configuration is not kept in agents' caches.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from headrace.flink.appmaster.secret import same
from headrace.flink.appmaster.tasks import CONF_DIR, LIB_DIR
from headrace.flink.distribution import Jar
from headrace.kernel.http import FileBody, HttpError, Request, Response, Router
from headrace.mesos.messages.common import CommandUri

_HEADERS = {"Cache-Control": "private"}


class ArtifactServer:
    """Serves the files that were added, and nothing else. ``base`` is this server's URL, ``secret`` is unguessable."""

    def __init__(self, base: str, secret: str) -> None:
        self._base = base
        self._secret = secret
        self._files: dict[tuple[str, str], Path] = {}

    def add_jars(self, jars: Iterable[Jar]) -> list[CommandUri]:
        """Offer jars; returns how tasks get them."""
        return [self._add(jar.path, jar.sha256, f"{LIB_DIR}/{jar.path.name}", cache=True) for jar in jars]

    def add_conf(self, path: Path) -> CommandUri:
        """Offer a configuration file."""
        return self._add(path, "conf", f"{CONF_DIR}/{path.name}", cache=False)

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/artifacts/{key}/{name}", self._get)

    def _add(self, path: Path, key: str, output_file: str, *, cache: bool) -> CommandUri:
        self._files[key, path.name] = path
        url = f"{self._base}/artifacts/{key}/{path.name}" + (f"#sha256={key}" if cache else f"?key={self._secret}")
        return CommandUri(url, executable=False, extract=False, cache=cache, output_file=output_file)

    def _has_key(self, request: Request) -> bool:
        return same(request.parameter("key").encode(), self._secret.encode())

    def _get(self, request: Request, key: str, name: str) -> Response:
        path = self._files.get((key, name))
        if path is None or (key == "conf" and not self._has_key(request)):
            raise HttpError(404, f"There is no artifact at {request.path}")
        try:
            size = path.stat().st_size
        except OSError:
            raise HttpError(410, f"{name} was offered here, but its file is gone") from None
        return Response(200, FileBody(path, 0, size), "application/octet-stream", _HEADERS)
