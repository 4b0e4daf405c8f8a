"""The daemon: the shell that joins core, store, scheduler client, API and probes."""

from __future__ import annotations

import argparse
import asyncio
import logging
import random
from typing import Any

import msgspec

from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Effect
from headrace.kernel.daemon import UserError, announce
from headrace.kernel.election import Election, SingleElection
from headrace.kernel.http import HttpClient, HttpServer
from headrace.kernel.ids import random_ids
from headrace.kernel.shell import Shell
from headrace.kernel.store import open_store
from headrace.marathon import flags, repository
from headrace.marathon.api.events import EventBus
from headrace.marathon.api.routes import Api
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import ForgetFramework, Probe, Publish, SendCall, Start
from headrace.marathon.probes import Prober
from headrace.mesos.client import SchedulerClient

log = logging.getLogger(__name__)

_KEEP_ALIVE = 15.0


async def main(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set."""
    if options.zk:
        raise UserError("--zk is not supported yet: leave it out; the state is kept in a file under --data")
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
        self._http = HttpClient()
        self._bus = EventBus(self._clock)
        content = repository.read(store.load())
        self._core = MarathonCore(content, flags.settings(options), random_ids, random.randrange)
        self._shell: Shell[Any] = Shell(self._core, store, self._perform, self._clock)
        self._prober = Prober(lambda outcome: self._shell.post(outcome))
        self._api = Api(self._shell, self._bus, self._leader, self._info)
        self._server = HttpServer(
            self._api,
            host=options.http_address,
            port=options.http_port,
            allowed_hosts=[options.hostname] if options.hostname else (),
        )
        self._election: Election = SingleElection("")
        self._client = SchedulerClient(
            options.master,
            flags.framework(options, content.framework_id),
            lambda event: self._shell.post(event),
            http=self._http,
            clock=self._clock,
        )

    async def run(self, stop: asyncio.Event) -> None:
        await self._server.start()
        self._election = SingleElection(f"{self._options.hostname or self._options.http_address}:{self._server.port}")
        await self._election.lead()
        self._client.framework = msgspec.structs.replace(
            self._client.framework, webui_url=self._options.webui_url or f"http://{self._leader()}"
        )
        self._shell.post(Start())
        announce("marathon", f"http://{self._options.http_address}:{self._server.port}")
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._shell.run()),
                    group.create_task(self._client.run()),
                    group.create_task(self._keep_streams_alive()),
                ]
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await self._prober.stop()
            self._bus.close()
            await self._server.stop()
            self._http.close()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case SendCall(call):
                self._client.call(call)
            case Publish(kind, fields):
                self._bus.publish(kind, fields)
            case Probe():
                self._prober.start(effect)
            case ForgetFramework():
                self._client.framework = msgspec.structs.replace(self._client.framework, id=None)
            case _:
                raise TypeError(f"unknown effect {effect!r}")

    async def _keep_streams_alive(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_ALIVE)
            self._bus.keep_alive()

    def _leader(self) -> str:
        return self._election.leader() or ""

    def _info(self) -> dict[str, Any]:
        return flags.info(self._options, self._leader(), self._server.port)
