"""Where the application master listens: for the driver and for people, and for TaskManagers that fetch artifacts.

One server for both; with TLS, the artifact server is one of its own, and the other listens on loopback only.
"""

from __future__ import annotations

import asyncio
import errno

from headrace.flink.appmaster import tls
from headrace.flink.listener import Listener
from headrace.kernel.http import HttpServer, Router

PORT_PATIENCE = 5.0
"""Seconds to wait for our own port after a restart."""


class Doors:
    """The listening servers. ``port_before``: that of an earlier process, which the driver knows; 0 if none."""

    def __init__(self, listener: Listener, port_before: int) -> None:
        certificate = tls.context(listener)
        self.router = Router()
        """The driver's endpoint, /state and /health."""
        self.artifacts = self.router if certificate is None else Router()
        """The artifact server."""
        self._listener = listener
        self._port_before = port_before
        names = [listener.address]
        self._near = listener.near if certificate is None else "127.0.0.1"
        bind = listener.bind if certificate is None else "127.0.0.1"
        port = port_before or (listener.port if certificate is None else 0)
        self._server = HttpServer(self.router, host=bind, port=port, allowed_hosts=names)
        self._artifact_server = self._server
        if certificate is not None:
            self._artifact_server = HttpServer(
                self.artifacts, host=listener.bind, port=listener.port, allowed_hosts=names, tls=certificate
            )

    @property
    def port(self) -> int:
        """The port that a later process must take again."""
        return self._server.port

    @property
    def own_url(self) -> str:
        """Under which processes of this machine reach this one."""
        host = f"[{self._near}]" if ":" in self._near else self._near
        return f"http://{host}:{self._server.port}"

    @property
    def state_url(self) -> str:
        """Where commands on any machine find ``/state``; empty if only this machine does."""
        return self.artifacts_url if self._artifact_server is self._server else ""

    @property
    def artifacts_url(self) -> str:
        """Under which agents reach the artifact server."""
        return self._listener.url(self._artifact_server.port)

    async def open(self) -> None:
        """Listen; for the port from before it is waited. Raises OSError."""
        deadline = asyncio.get_running_loop().time() + PORT_PATIENCE
        while True:
            try:
                await self._server.start()
                break
            except OSError as error:
                late = asyncio.get_running_loop().time() >= deadline
                if error.errno != errno.EADDRINUSE or not self._port_before or late:
                    raise
            await asyncio.sleep(0.1)
        if self._artifact_server is not self._server:
            await self._artifact_server.start()

    async def close(self) -> None:
        """Stop listening."""
        await self._server.stop()
        if self._artifact_server is not self._server:
            await self._artifact_server.stop()
