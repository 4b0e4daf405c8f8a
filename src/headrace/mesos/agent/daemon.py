"""Puts the agent together: store, core, link, launcher, fetcher, API; and starts it in the right order.

After a restart the processes of tasks are looked for before the master hears a word, so that the first
registration tells the truth. SIGTERM and SIGINT end the daemon and leave the tasks; SIGUSR1 ends both for good.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import random
import resource
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import msgspec

import headrace
from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Effect
from headrace.kernel.daemon import UserError, announce
from headrace.kernel.http import HttpClient, HttpServer
from headrace.kernel.ids import random_ids
from headrace.kernel.shell import Shell
from headrace.kernel.store import Durability, Store, open_store
from headrace.mesos.agent.api import AgentApi
from headrace.mesos.agent.containers import Fact
from headrace.mesos.agent.core import AgentConfig, AgentCore
from headrace.mesos.agent.events import (
    AgentInput,
    Begin,
    CancelFetch,
    Exit,
    Fetch,
    ProbeHealth,
    Reconnect,
    RemoveSandbox,
    Send,
    ShutdownRequested,
    SignalContainer,
    StartContainer,
)
from headrace.mesos.agent.fetcher import Fetcher
from headrace.mesos.agent.fetcher_cache import FetcherCache
from headrace.mesos.agent.flags import Flags
from headrace.mesos.agent.launcher import Launcher, base_environment
from headrace.mesos.agent.layout import Layout
from headrace.mesos.agent.link import MasterLink
from headrace.mesos.agent.offered import FlagError, offered, parse_attributes, parse_resources
from headrace.mesos.agent.prober import Prober
from headrace.mesos.agent.records import ENDED, FETCHING, Saved, load
from headrace.mesos.messages.common import AgentInfo
from headrace.mesos.resources import EMPTY, Resources

log = logging.getLogger(__name__)

LAYOUT = 1
LAST_WORDS = 3.0
"""Seconds that the last calls to the master may take."""


class AgentDaemon:
    """One agent. ``run`` returns when it has been asked to stop."""

    def __init__(self, flags: Flags, store: Store) -> None:
        self._flags = flags
        self._clock = SystemClock()
        self._http = HttpClient()
        self._gone = asyncio.Event()
        self._layout = Layout(flags.data)
        self._saved = _load(store, flags)
        self._store = store
        self._files = ThreadPoolExecutor(1, thread_name_prefix="gc")
        cache = FetcherCache(self._layout.fetch_cache, flags.fetcher_cache_size_mib * 1024 * 1024)
        self._fetcher = Fetcher(self._layout, self._http, cache, self._post)

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set or nothing is left to do. Raises UserError, OSError."""
        api = AgentApi(self._flags, self._layout, self._clock.now())
        server = HttpServer(api, host=self._flags.host, port=self._flags.port)
        await server.start()
        self._address = own_address(self._flags.host, self._flags.master)
        self._hostname = self._flags.hostname or self._address
        endpoint = f"{self._hostname}:{server.port}"
        core = AgentCore(self._config(server.port), self._saved, new_id=random_ids, new_uuid=_new_uuid)
        api.attach(core, self._fetcher, server.port)
        self._shell: Shell[AgentInput] = Shell(core, self._store, self._perform, self._clock)
        environment = base_environment(self._flags.executor_environment_variables)
        self._launcher = Launcher(self._layout, environment, endpoint, self._post)
        self._prober = Prober(self._layout, environment, endpoint, self._http, self._post)
        self._link = MasterLink(self._flags.master, self._http, core.registration, self._post, random.random)
        await self._recover(core)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._post, ShutdownRequested("asked to by SIGUSR1"))
        announce("agent", f"http://{self._flags.host}:{server.port}")
        try:
            await self._serve(stop)
        finally:
            self._launcher.stop()
            await self._prober.stop()
            await self._fetcher.stop()
            await server.stop()
            self._http.close()
            self._files.shutdown()
            self._store.close()

    async def _serve(self, stop: asyncio.Event) -> None:
        """Run core and link until there is a reason to end; raises what the core raises."""
        shell = asyncio.create_task(self._shell.run())
        await asyncio.sleep(0)  # lets the core take up what was found before the link asks it
        parts = [shell, asyncio.create_task(self._link.run())]
        ends = [asyncio.create_task(stop.wait()), asyncio.create_task(self._gone.wait())]
        done, _ = await asyncio.wait([*parts, *ends], return_when=asyncio.FIRST_COMPLETED)
        if ends[1] in done:
            await self._link.drain(LAST_WORDS)
        for task in [*parts, *ends]:
            task.cancel()
        await asyncio.gather(*parts, *ends, return_exceptions=True)
        for task in parts:
            if task in done:
                task.result()

    async def _recover(self, core: AgentCore) -> None:
        left = [task for task in core.tasks if task.phase not in (FETCHING, ENDED)]
        found = await self._launcher.find([Fact(task.container_id, task.pid) for task in left])
        if core.tasks:
            log.info("found %d tasks of an earlier agent, %d of them with a process", len(core.tasks), len(found))
        self._post(Begin(), *found)

    def _post(self, *events: AgentInput) -> None:
        self._shell.post(*events)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(call):
                self._link.send(call)
            case StartContainer(spec):
                self._launcher.start(spec)
            case SignalContainer(container_id, force, _):
                self._launcher.signal(container_id, force)
            case Fetch():
                self._fetcher.fetch(effect)
            case ProbeHealth():
                self._prober.probe(effect)
            case CancelFetch(container_id):
                self._fetcher.cancel(container_id)
            case RemoveSandbox(place):
                self._files.submit(self._layout.remove, place)
            case Reconnect():
                self._link.reconnect()
            case Exit():
                self._gone.set()
            case _:
                raise TypeError(f"an agent can't carry out {type(effect).__name__}")

    def _config(self, port: int) -> AgentConfig:
        flags = self._flags
        try:
            resources = offered(parse_resources(flags.resources), str(flags.data))
            attributes = parse_attributes(flags.attributes)
        except FlagError as error:
            raise UserError(str(error)) from None
        log.info("offers %s", resources)
        info = AgentInfo(self._hostname, port, resources.messages(), attributes or None)
        self._compare(info, resources)
        return AgentConfig(info, headrace.__version__, self._address, flags.gc_delay)

    def _compare(self, info: AgentInfo, resources: Resources) -> None:
        """Say what has changed since the last start; refuse less than the tasks that run have."""
        before = self._saved.agent
        if before is None:
            return
        if Resources.parse(before.resources) != resources:
            log.warning("resources were %s before this start", Resources.parse(before.resources))
        if before.attributes != (info.attributes or []):
            log.warning("attributes were %s before this start", before.attributes)
        held = EMPTY
        for record, state in self._saved.tasks:
            if state.phase != ENDED:
                held = held + Resources.parse(record.task.resources)
        if not resources.contains(held):
            raise UserError(
                f"--resources: the tasks that run on this agent hold {held}, which is more than {resources}; "
                "give at least that, or end the tasks first"
            )


async def main(flags: Flags, stop: asyncio.Event) -> None:
    """Run one agent until ``stop`` is set. Raises UserError, StoreError, OSError."""
    # others may pass through, as tasks of other users must, but not look around
    flags.data.mkdir(mode=0o711, parents=True, exist_ok=True)
    _allow_many_files()
    url = f"sqlite://{flags.data / 'agent.db'}"
    store = open_store(url, component="agent", layout=LAYOUT, durability=Durability.PROCESS)
    await AgentDaemon(flags, store).run(stop)


def own_address(host: str, master: str) -> str:
    """The address to tell others: ``host``, or, if that stands for all, the one that leads to the master."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return host
    parts = urlsplit(master)
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # nothing is sent; the kernel picks the route
        try:
            probe.connect((parts.hostname or "", parts.port or 0))
            return str(probe.getsockname()[0])
        except OSError as error:
            raise UserError(
                f"--host {host}: can't tell which of this machine's addresses leads to {master} ({error}); "
                "give --hostname and --host"
            ) from None


def _load(store: Store, flags: Flags) -> Saved:
    try:
        return load(store.load())
    except msgspec.DecodeError as error:
        raise UserError(f"{flags.data / 'agent.db'} can't be read ({error}); give another --data directory") from None


def _new_uuid() -> str:
    return base64.b64encode(os.urandom(16)).decode()


def _allow_many_files() -> None:
    """Each running task costs one descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
