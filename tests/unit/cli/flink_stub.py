"""A stub of what the commands for Flink jobs talk to: Flink's REST API, the master, the application master."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]


class Stub:
    """Answers by ``"GET /path"`` without its query: a body, a status and a body, or what a function makes of the body.

    A list is answered one by one, its last again and again. ``asked`` has all requests with their bodies.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, bytes]] = []

    def bodies(self, request: str) -> list[Any]:
        """The JSON bodies of one kind of request."""
        return [json.loads(body) if body else None for what, body in self.asked if what == request]

    def answer(self, request: str, body: bytes) -> tuple[int, bytes]:
        self.asked.append((request, body))
        found: Any = self.answers.get(request, (404, {"errors": [f"no {request} here"]}))
        if isinstance(found, list):
            found = found.pop(0) if len(found) > 1 else found[0]
        if isinstance(found, Callable):  # type: ignore[arg-type]
            found = found(body)
        status, content = found if isinstance(found, tuple) else (200, found)
        return status, content if isinstance(content, bytes) else json.dumps(content).encode()


@contextmanager
def stub() -> Iterator[Stub]:
    """It listens on a free port of the loopback device."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, content = it.answer(f"{self.command} {self.path.partition('?')[0]}", self.rfile.read(length))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever hangs up in the middle may do so."""

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    it = Stub(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
