"""Wires the master: store, core, shell, HTTP server."""

from __future__ import annotations

import asyncio
import logging
import random
import socket

from headrace.kernel.clock import SystemClock
from headrace.kernel.daemon import UserError, announce
from headrace.kernel.http.messages import Request, Response
from headrace.kernel.http.server import HttpServer
from headrace.kernel.ids import random_ids
from headrace.kernel.log import StoryLog, Verbosity, log_file
from headrace.kernel.shell import Shell
from headrace.kernel.store import open_store
from headrace.mesos import MESOS_VERSION
from headrace.mesos.logging_toggle import LoggingToggle
from headrace.mesos.master.api.operator_reads import Reads
from headrace.mesos.master.api.routes import MasterApi
from headrace.mesos.master.api.streams import Streams
from headrace.mesos.master.api.views import Views
from headrace.mesos.master.core.events import MasterEvent, Started
from headrace.mesos.master.core.master import MasterCore
from headrace.mesos.master.flags import Flags, duration
from headrace.mesos.messages.common import Address, MasterCapability, MasterInfo
from headrace.mesos.own_log import OwnLog

log = logging.getLogger(__name__)

LAYOUT = 1
_MAX_BODY = 64 * 1024 * 1024
"""An agent reports all of its tasks at once; for others the doors have lower limits."""


async def serve(flags: Flags, stop: asyncio.Event) -> None:
    """Run the master until ``stop`` is set. Raises UserError, StoreError or OSError for what a user can mend."""
    store = open_store(f"sqlite://{flags.data}/master.db", component="master", layout=LAYOUT)
    try:
        server = HttpServer(_recovering, host=flags.host, port=flags.port, max_body=_MAX_BODY)
        await server.start()
        try:
            clock = SystemClock()
            core = MasterCore(_master_info(flags, server.port), flags.settings, random.shuffle)
            core.books.stories.listener = StoryLog(log, _matters)
            streams = Streams()
            shell: Shell[MasterEvent] = Shell(core, store, streams.perform, clock)
            shell.post(Started(store.load()))
            views = Views(core.books, flags.given, flags.cluster, clock)
            reads = Reads(
                core.books,
                core.maintenance,
                core.quotas,
                core.weights,
                flags.given,
                clock,
                OwnLog("/master/log", log_file()),
                LoggingToggle(Verbosity(), duration),
            )
            server.handler = MasterApi(
                shell,
                streams,
                random_ids,
                views.paths(),
                reads,
                domain_required=flags.settings.require_agent_domain,
            )
            announce("master", f"http://{_url_host(flags.host)}:{server.port}")
            await _run_until(stop, shell)
        finally:
            await server.stop()
    finally:
        store.close()


async def _run_until(stop: asyncio.Event, shell: Shell[MasterEvent]) -> None:
    """Run the shell; a bug in it ends the master."""
    running = asyncio.create_task(shell.run())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        running.cancel()
        stopping.cancel()


def _matters(subject: str, what: str) -> bool:
    """Whether operators want it in the log: what becomes of agents, frameworks, roles, machines; not tasks, offers."""
    return not subject.startswith(("task/", "operation/")) and not what.startswith(("offer of", "inverse offer of"))


def _recovering(_: Request) -> Response:
    return Response.text("Master has not finished recovery", 503)


def _master_info(flags: Flags, port: int) -> MasterInfo:
    hostname, ip = _reachable_as(flags)
    return MasterInfo(
        random_ids(),
        int.from_bytes(socket.inet_aton(ip), "little"),
        port,
        f"master@{ip}:{port}",
        hostname,
        MESOS_VERSION,
        Address(hostname, ip, port),
        # the last is QUOTA_V2, which Mesos's v1 API has no name for and shows like this
        [MasterCapability("AGENT_UPDATE"), MasterCapability("AGENT_DRAINING"), MasterCapability()],
        flags.domain,
    )


def _reachable_as(flags: Flags) -> tuple[str, str]:
    """The name and the IPv4 address that others are told."""
    everywhere = flags.host in ("", "0.0.0.0", "::")  # noqa: S104
    name = flags.hostname or (socket.gethostname() if everywhere else flags.host)
    try:
        return name, socket.gethostbyname(name)
    except OSError as error:
        raise UserError(f"can't find the address of {name!r}: {error.strerror}; give --hostname") from error


def _url_host(host: str) -> str:
    return "127.0.0.1" if host in ("", "0.0.0.0") else host  # noqa: S104
