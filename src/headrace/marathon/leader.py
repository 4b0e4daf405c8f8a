"""The Marathon that leads: the shell that joins core, store, scheduler client, API and probes."""

from __future__ import annotations

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from headrace.kernel.core import Effect
from headrace.kernel.daemon import UserError
from headrace.kernel.http import HttpClient
from headrace.kernel.ids import random_ids
from headrace.kernel.shell import Shell
from headrace.kernel.store import Store
from headrace.marathon import flags, repository
from headrace.marathon.api.events import EventBus
from headrace.marathon.api.facts import Facts
from headrace.marathon.api.routes import Api
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import ForgetFramework, Probe, Publish, ReadLogs, SendCall, Start, Subscribe
from headrace.marathon.front import Front
from headrace.marathon.last_lines import LastLines
from headrace.marathon.mesos_counts import count_call, count_event
from headrace.marathon.probes import Prober
from headrace.marathon.secrets import SecretFiles
from headrace.mesos.client import ClientEvent, SchedulerClient
from headrace.mesos.credentials import CredentialClient, read_secret
from headrace.mesos.messages.scheduler import Call, UpdateFramework

_KEEP_ALIVE = 15.0
_ABDICATION = 0.5
"""Seconds from the answer to the end."""


class Leader:
    """All parts of a Marathon that leads.

    ``entries`` is what the store holds. ``before`` returns when the master may be asked for a subscription.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        store: Store,
        entries: dict[str, bytes],
        front: Front,
        *,
        before: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._options, self._front = options, front
        self._http = _client_for(options)
        self._bus = EventBus(front.counts, options.event_stream_max_outstanding_messages)
        content = repository.read(entries)
        secrets = SecretFiles(Path(options.secrets_dir)) if options.secrets_dir else None
        self._core = MarathonCore(content, flags.settings(options), random_ids, random.randrange, secrets)
        self._shell: Shell[Any] = Shell(self._core, store, self._perform, front.clock)
        self._prober = Prober(lambda outcome: self._shell.post(outcome), options.max_concurrent_marathon_health_checks)
        self._last_lines = LastLines(lambda outcome: self._shell.post(outcome))
        self.abdicated = asyncio.Event()
        """Somebody wants another one to lead."""
        self._client = SchedulerClient(
            options.master,
            flags.framework(options, content.framework_id, self._core.books.roles),
            self._heard,
            http=self._http,
            clock=front.clock,
            before=before,
        )
        self._api = Api(self._shell, self._bus, front.counts, self._facts())

    async def run(self) -> None:
        """Lead until cancelled. Raises UserError, StoreError."""
        self._client.framework = msgspec.structs.replace(
            self._client.framework, webui_url=self._options.webui_url or self._front.leader_url()
        )
        self._shell.post(Start())
        self._front.leads(self._api)
        self._front.announce()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._shell.run())
                group.create_task(self._client.run())
                group.create_task(self._keep_streams_alive())
        finally:
            await self._prober.stop()
            await self._last_lines.stop()
            self._bus.close()
            self._http.close()

    def _facts(self) -> Facts:
        options, front = self._options, self._front
        return Facts(
            leader=lambda: front.leader(),
            info=lambda: flags.info(options, front.listeners.ports),
            config=lambda: flags.config(options),
            abdicate=self._abdicate,
            metrics_prefix=options.metrics_name_prefix,
            prometheus=options.metrics_prometheus,
            patience=options.zk_timeout / 1000 if options.zk is not None else None,
        )

    def _heard(self, event: ClientEvent) -> None:
        count_event(self._front.counts.counters, event)
        self._shell.post(event)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendCall(call):
                count_call(self._front.counts.counters, call)
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
        asyncio.get_running_loop().call_later(_ABDICATION, self.abdicated.set)


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
