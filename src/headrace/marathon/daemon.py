"""The daemon: flags, and the shell that joins core, store, scheduler client, API and probes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import getpass
import logging
import random
import socket
from pathlib import Path
from typing import Any

import msgspec

from headrace import __version__
from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Effect
from headrace.kernel.daemon import UserError, announce
from headrace.kernel.http import HttpClient, HttpServer
from headrace.kernel.ids import random_ids
from headrace.kernel.shell import Shell
from headrace.kernel.store import open_store
from headrace.marathon import repository
from headrace.marathon.api.events import EventBus
from headrace.marathon.api.routes import Api
from headrace.marathon.core.books import Settings
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import ForgetFramework, Probe, Publish, SendCall, Start
from headrace.marathon.probes import Prober
from headrace.mesos.client import SchedulerClient
from headrace.mesos.messages.common import Capability, FrameworkInfo, Identifier

log = logging.getLogger(__name__)

CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE")
_KEEP_ALIVE = 15.0


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line. Every flag may be written with ``_`` or ``-``; times are milliseconds where Marathon's are."""
    parser = argparse.ArgumentParser(prog="marathon", description="Marathon-compatible service orchestrator")
    parser.add_argument("command", nargs="?", choices=["run_jar"], help="accepted for scripts, means nothing")

    def flag(name: str, **options: Any) -> None:
        spellings = dict.fromkeys((f"--{name}", "--" + name.replace("_", "-")))
        parser.add_argument(*spellings, **options)

    flag("master", required=True, metavar="HOST:PORT", help="the Mesos master")
    flag("zk", metavar="URL", help="not supported yet: state is kept in --data")
    flag("data", type=Path, default=Path("marathon-data"), metavar="DIR", help="where the state is kept")
    parser.add_argument("--http_address", "--http-address", "--host", default="127.0.0.1", dest="http_address")
    parser.add_argument("--http_port", "--http-port", "--port", type=int, default=8080, dest="http_port")
    flag("hostname", help="the name that this Marathon is known by; default: the address")
    flag("framework_name", default="marathon")
    flag("mesos_role", default="*")
    flag("mesos_user", default=None)
    flag("failover_timeout", type=float, default=604_800.0, help="seconds that tasks outlive an absent Marathon")
    flag("webui_url", default=None)
    flag("env_vars_prefix", default="")
    flag("local_port_min", type=int, default=10_000)
    flag("local_port_max", type=int, default=20_000)
    flag("max_running_deployments", type=int, default=100)
    flag("max_instances_per_offer", type=int, default=5)
    for name, milliseconds in (
        ("task_launch_timeout", 300_000),
        ("task_launch_confirm_timeout", 300_000),
        ("task_lost_expunge_interval", 30_000),
        ("reconciliation_interval", 600_000),
        ("decline_offer_duration", 120_000),
        ("min_revive_offers_interval", 100),
    ):
        flag(name, type=float, default=float(milliseconds), metavar="MS")
    flag("logging_level", default="info", type=str.lower, choices=["debug", "info", "warn", "error"])
    return parser.parse_args(argv)


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
        self._core = MarathonCore(content, _settings(options), random_ids, random.randrange)
        self._shell: Shell[Any] = Shell(self._core, store, self._perform, self._clock)
        self._prober = Prober(lambda outcome: self._shell.post(outcome))
        self._api = Api(self._shell, self._bus, self._leader, self._info)
        self._server = HttpServer(self._api, host=options.http_address, port=options.http_port)
        self._client = SchedulerClient(
            options.master,
            _framework(options, content.framework_id),
            lambda event: self._shell.post(event),
            http=self._http,
            clock=self._clock,
        )

    async def run(self, stop: asyncio.Event) -> None:
        await self._server.start()
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
        return f"{self._options.hostname or self._options.http_address}:{self._server.port}"

    def _info(self) -> dict[str, Any]:
        options = self._options
        shown = {
            name: value for name, value in vars(options).items() if name not in ("command", "zk", "data", "http_port")
        }
        shown["http_address"] = str(options.http_address)
        return {
            "name": options.framework_name,
            "version": __version__,
            "buildref": "headrace",
            "elected": True,
            "marathon_config": shown
            | {"checkpoint": True, "executor": "//cmd", "features": [], "ha": False, "mesos_leader_ui_url": None},
            "zookeeper_config": {},
            "http_config": {"http_port": self._server.port, "https_port": None},
        }


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        role=options.mesos_role,
        env_prefix=options.env_vars_prefix,
        local_hosts=_local_hosts(),
        local_port_min=options.local_port_min,
        local_port_max=options.local_port_max,
        task_launch_timeout=options.task_launch_timeout / 1000,
        task_launch_confirm_timeout=options.task_launch_confirm_timeout / 1000,
        task_lost_expunge_interval=options.task_lost_expunge_interval / 1000,
        reconciliation_interval=options.reconciliation_interval / 1000,
        decline_offer_duration=options.decline_offer_duration / 1000,
        min_revive_offers_interval=options.min_revive_offers_interval / 1000,
        max_instances_per_offer=options.max_instances_per_offer,
        max_running_deployments=options.max_running_deployments,
    )


def _framework(options: argparse.Namespace, framework_id: str | None) -> FrameworkInfo:
    return FrameworkInfo(
        user=options.mesos_user or getpass.getuser(),
        name=options.framework_name,
        id=None if framework_id is None else Identifier(framework_id),
        failover_timeout=options.failover_timeout,
        checkpoint=True,
        roles=[options.mesos_role],
        hostname=options.hostname or socket.gethostname(),
        capabilities=[Capability(one) for one in CAPABILITIES],
    )


def _local_hosts() -> frozenset[str]:
    """The names and addresses of this machine, without asking the network."""
    names = {"localhost", "127.0.0.1", "::1", socket.gethostname()}
    with contextlib.suppress(OSError):
        names |= {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    return frozenset(names)
