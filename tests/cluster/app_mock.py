"""An app as Marathon's own tests have one: ``python app_mock.py PORT [CERTIFICATE]``.

``/ping`` answers ``pong`` and ``$MARK``; ``/health`` and ``/ready`` answer 200 once the files ``$HEALTH`` and
``$READY`` are there (at once if there is no such variable); ``/suicide`` ends the process.
"""

from __future__ import annotations

import http.server
import os
import ssl
import sys
from pathlib import Path
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        gate = {"/health": "HEALTH", "/ready": "READY"}.get(self.path, "")
        if self.path == "/suicide":
            os._exit(1)
        self.send_response(200 if gate not in os.environ or Path(os.environ[gate]).exists() else 503)
        self.end_headers()
        self.wfile.write(f"pong {os.environ.get('MARK', '')}".encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[2])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
