"""What Marathon shows to the network from its start to its end, whoever leads: listeners, the door, what is counted."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Awaitable, Callable

from headrace.kernel.clock import SystemClock
from headrace.kernel.daemon import Leave, announce
from headrace.kernel.http import Request, Response
from headrace.marathon import flags
from headrace.marathon.api.counts import Counts
from headrace.marathon.api.door import Door, Rules, origins
from headrace.marathon.listening import Listeners
from headrace.marathon.standby import Standby

log = logging.getLogger(__name__)

EXIT_LEADERSHIP, EXIT_BIND = 103, 111
ABDICATED = "the leadership was given up (DELETE /v2/leader)"


class Front:
    """``api`` answers requests once this Marathon leads, ``standby`` before."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.clock = SystemClock()
        self.counts = Counts(self.clock)
        self.leader: Callable[[], str | None] = lambda: None
        """``host:port`` of whoever leads."""
        self.api: Callable[[Request], Awaitable[Response]] | None = None
        self.standby: Standby | None = None
        rules = Rules(
            options.http_credentials,
            options.http_realm,
            options.http_max_concurrent_requests,
            origins(options.access_control_allow_origin),
            options.http_compression,
        )
        self.announced = False
        """Whether the ready line is out."""
        self.listeners = Listeners(options, Door(self._answer, rules, self.counts, self.leader_url))

    @property
    def address(self) -> str:
        """``host:port`` that others know this Marathon by."""
        return f"{flags.advertised(self._options)}:{self.listeners.port}"

    async def start(self) -> None:
        """Listen. Raises Leave."""
        try:
            await self.listeners.start()
        except OSError as error:
            raise Leave(EXIT_BIND, error.strerror or str(error)) from error

    async def stop(self) -> None:
        await self.listeners.stop()
        if self.standby is not None:
            self.standby.close()

    def announce(self) -> None:
        """Print the ready line, once."""
        if not self.announced:
            self.announced = True
            announce("marathon", self.listeners.url)

    def leads(self, api: Callable[[Request], Awaitable[Response]]) -> None:
        """From here on ``api`` answers, also what has waited."""
        self.api = api
        if self.standby is not None:
            self.standby.close()

    def leader_url(self) -> str:
        """Of whoever leads; empty if nobody does."""
        leader = self.leader()
        return f"{self.listeners.scheme}://{leader}" if leader else ""

    async def _answer(self, request: Request) -> Response:
        while self.api is None:
            response = await self.standby(request) if self.standby is not None else Response(503)
            if response is not None:
                return response
        return await self.api(request)
