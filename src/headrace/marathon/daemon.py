"""The daemon: the shell that joins core, store, scheduler client, API and probes.

Exit status, besides those of every daemon: 103 when it gives up its leadership (DELETE /v2/leader), 111 when it can't
listen, 112 for a command line that is not understood. They are Marathon's.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
from pathlib import Path
from typing import Any

import msgspec

from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Effect
from headrace.kernel.daemon import Leave, UserError, announce
from headrace.kernel.election import Election, SingleElection
from headrace.kernel.http import HttpClient
from headrace.kernel.ids import random_ids
from headrace.kernel.shell import Shell
from headrace.kernel.store import open_store
from headrace.marathon import flags, repository
from headrace.marathon.api.counts import Counts
from headrace.marathon.api.door import Door, Rules, origins
from headrace.marathon.api.events import EventBus
from headrace.marathon.api.facts import Facts
from headrace.marathon.api.routes import Api
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import ForgetFramework, Probe, Publish, ReadLogs, SendCall, Start, Subscribe
from headrace.marathon.last_lines import LastLines
from headrace.marathon.listening import Listeners
from headrace.marathon.mesos_counts import count_call, count_event
from headrace.marathon.probes import Prober
from headrace.marathon.secrets import SecretFiles
from headrace.mesos.client import ClientEvent, SchedulerClient
from headrace.mesos.credentials import CredentialClient, read_secret
from headrace.mesos.messages.scheduler import Call, UpdateFramework

log = logging.getLogger(__name__)

EXIT_LEADERSHIP, EXIT_BIND, EXIT_FLAGS = 103, 111, 112
_KEEP_ALIVE = 15.0
_ABDICATION = 0.5
"""Seconds from the answer to the end."""


async def main(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set. Raises Leave with a status of Marathon's."""
    store = open_store(
        f"sqlite://{options.data.absolute() / 'marathon.db'}",
        component=repository.COMPONENT,
        layout=repository.LAYOUT,
    )
    try:
        await _Daemon(options, store).run(stop)
    finally:
        store.close()


class _Daemon:
    """All parts of a running Marathon."""

    def __init__(self, options: argparse.Namespace, store: Any) -> None:
        self._options = options
        self._clock = SystemClock()
        self._counts = Counts(self._clock)
        self._http = _client_for(options)
        self._bus = EventBus(self._counts, options.event_stream_max_outstanding_messages)
        content = repository.read(store.load())
        secrets = SecretFiles(Path(options.secrets_dir)) if options.secrets_dir else None
        self._core = MarathonCore(content, flags.settings(options), random_ids, random.randrange, secrets)
        self._shell: Shell[Any] = Shell(self._core, store, self._perform, self._clock)
        self._prober = Prober(lambda outcome: self._shell.post(outcome), options.max_concurrent_marathon_health_checks)
        self._last_lines = LastLines(lambda outcome: self._shell.post(outcome))
        self._abdicated = asyncio.Event()
        self._listeners = Listeners(options, self._door())
        self._election: Election = SingleElection("")
        self._client = SchedulerClient(
            options.master,
            flags.framework(options, content.framework_id, self._core.books.roles),
            self._heard,
            http=self._http,
            clock=self._clock,
        )

    def _door(self) -> Door:
        options = self._options
        facts = Facts(
            leader=lambda: self._election.leader(),
            info=lambda: flags.info(options, self._listeners.ports),
            config=lambda: flags.config(options),
            abdicate=self._abdicate,
            metrics_prefix=options.metrics_name_prefix,
            prometheus=options.metrics_prometheus,
        )
        rules = Rules(
            options.http_credentials,
            options.http_realm,
            options.http_max_concurrent_requests,
            origins(options.access_control_allow_origin),
            options.http_compression,
        )
        return Door(Api(self._shell, self._bus, self._counts, facts), rules, self._counts, self._leader_url)

    async def run(self, stop: asyncio.Event) -> None:
        try:
            await self._listeners.start()
        except OSError as error:
            raise Leave(EXIT_BIND, error.strerror or str(error)) from error
        self._election = SingleElection(f"{flags.advertised(self._options)}:{self._listeners.port}")
        await self._election.lead()
        self._client.framework = msgspec.structs.replace(
            self._client.framework, webui_url=self._options.webui_url or self._leader_url()
        )
        self._shell.post(Start())
        announce("marathon", self._listeners.url)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._shell.run()),
                    group.create_task(self._client.run()),
                    group.create_task(self._keep_streams_alive()),
                ]
                await _first(stop, self._abdicated)
                for task in tasks:
                    task.cancel()
        finally:
            await self._prober.stop()
            await self._last_lines.stop()
            self._bus.close()
            await self._listeners.stop()
            self._http.close()
        if self._abdicated.is_set():
            raise Leave(EXIT_LEADERSHIP, "the leadership was given up (DELETE /v2/leader)")

    def _heard(self, event: ClientEvent) -> None:
        count_event(self._counts.counters, event)
        self._shell.post(event)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendCall(call):
                count_call(self._counts.counters, call)
                self._client.call(call)
            case Publish(kind, fields):
                self._bus.publish(kind, fields)
            case Probe():
                self._prober.start(effect)
            case ReadLogs():
                self._last_lines.read(effect)
            case Subscribe(roles, suppressed):
                self._stand_for(roles, suppressed)
            case ForgetFramework():
                self._client.framework = msgspec.structs.replace(self._client.framework, id=None)
            case _:
                raise TypeError(f"unknown effect {effect!r}")

    def _stand_for(self, roles: list[str], suppressed: list[str]) -> None:
        """Now, if there is a subscription, and in the next ones."""
        client = self._client
        client.framework = msgspec.structs.replace(client.framework, roles=roles)
        client.suppressed_roles = list(suppressed)
        update = UpdateFramework(client.framework, suppressed_roles=suppressed)
        client.call(Call("UPDATE_FRAMEWORK", update_framework=update))

    async def _keep_streams_alive(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_ALIVE)
            self._bus.keep_alive()

    def _abdicate(self) -> None:
        asyncio.get_running_loop().call_later(_ABDICATION, self._abdicated.set)

    def _leader_url(self) -> str:
        leader = self._election.leader()
        return f"{self._listeners.scheme}://{leader}" if leader else ""


def _client_for(options: argparse.Namespace) -> HttpClient:
    """What speaks to the master. Raises UserError."""
    secret, file = options.mesos_authentication_secret, options.mesos_authentication_secret_file
    if not options.mesos_authentication:
        return HttpClient()
    if file:
        secret = read_secret("--mesos_authentication_secret_file", file)
    if not secret:
        raise UserError("--mesos_authentication needs a secret: give --mesos_authentication_secret_file")
    return CredentialClient(options.mesos_authentication_principal, secret)


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(one.wait()) for one in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
