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
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Effect
from headrace.kernel.daemon import UserError, announce
from headrace.kernel.http import HttpClient, HttpServer
from headrace.kernel.ids import random_ids
from headrace.kernel.shell import Shell
from headrace.kernel.store import Durability, Store, open_store
from headrace.mesos import MESOS_VERSION
from headrace.mesos.agent.api.container_calls import ContainerCalls
from headrace.mesos.agent.api.executor_api import ExecutorApi
from headrace.mesos.agent.api.routes import AgentApi
from headrace.mesos.agent.api.speaking import streamed
from headrace.mesos.agent.check_runner import CheckRunner, ProcessChecks
from headrace.mesos.agent.containers.session import Sessions
from headrace.mesos.agent.containers.sessions import SessionRunner
from headrace.mesos.agent.core.agent import AgentConfig, AgentCore
from headrace.mesos.agent.core.containers import DOCKER, EXEC, POSIX, SESSION, Containerizer
from headrace.mesos.agent.core.events import (
    AgentInput,
    Begin,
    CancelFetch,
    CloseStream,
    Exit,
    Fetch,
    KeepVolumes,
    MakeVolume,
    ProbeCheck,
    ProbeHealth,
    Reconnect,
    RemoveRun,
    RemoveSandbox,
    RemoveVolume,
    Send,
    ShutdownRequested,
    SignalContainer,
    StartContainer,
    Tell,
    UpdateContainer,
)
from headrace.mesos.agent.core.records import Saved, load
from headrace.mesos.agent.flags.agent import Flags
from headrace.mesos.agent.isolation.choice import choose
from headrace.mesos.agent.isolation.isolation import Active, Isolation
from headrace.mesos.agent.launcher import Launcher, base_environment
from headrace.mesos.agent.link import MasterLink
from headrace.mesos.agent.offered import FlagError, described, offered, parse_attributes, parse_resources
from headrace.mesos.agent.prober import Prober
from headrace.mesos.agent.restart import compare
from headrace.mesos.agent.sandbox import upkeep
from headrace.mesos.agent.sandbox.fetcher import Fetcher
from headrace.mesos.agent.sandbox.fetcher_cache import FetcherCache
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.sandbox.volumes import Volumes
from headrace.mesos.agent.told import story_log
from headrace.mesos.masters import master_hosts
from headrace.mesos.messages.common import AgentInfo

if TYPE_CHECKING:
    from headrace.mesos.agent.docker.containerizer import DockerContainerizer

log = logging.getLogger(__name__)

LAYOUT = 1
LAST_WORDS = 10.0
"""Seconds that the last calls to the master may take."""


class AgentDaemon:
    """One agent. ``run`` returns when it has been asked to stop."""

    def __init__(self, flags: Flags, store: Store, active: Active) -> None:
        self._flags = flags
        self._clock = SystemClock()
        self._http = HttpClient()
        self._gone = asyncio.Event()
        self._layout = Layout(flags.data)
        self._isolation = Isolation(active, self._layout)
        self._saved = _load(store, flags)
        self._store = store
        self._files = ThreadPoolExecutor(1, thread_name_prefix="gc")
        self._volumes = Volumes(self._layout, self._files.submit, random_ids)
        self._executors = ExecutorApi()
        self._sessions = Sessions()
        self._calls = ContainerCalls(self._sessions)
        cache = FetcherCache(flags.fetcher_cache_dir, flags.sandboxes.fetcher_cache_size)
        sandboxes = flags.sandboxes
        self._fetcher = Fetcher(
            self._layout,
            self._http,
            cache,
            self._post,
            stall=sandboxes.fetcher_stall_timeout,
            hadoop_home=sandboxes.hadoop_home,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set or nothing is left to do. Raises UserError, OSError."""
        api = AgentApi(self._flags, self._layout, self._clock.now(), self._executors, self._calls)
        server = HttpServer(api, host=self._flags.host, port=self._flags.port, streams=streamed)
        await server.start()
        self._address = own_address(self._flags.host, self._flags.master)
        self._hostname = self._flags.hostname or self._address
        endpoint = f"{self._hostname}:{server.port}"
        core = AgentCore(self._config(server.port), self._saved, new_id=random_ids, new_uuid=_new_uuid)
        core.stories.listener = story_log()
        api.attach(core, self._fetcher, server.port)
        self._shell: Shell[AgentInput] = Shell(core, self._store, self._perform, self._clock)
        environment = base_environment(self._flags.executor_environment_variables)
        self._launcher = Launcher(self._layout, environment, endpoint, self._post, self._isolation)
        sessions = SessionRunner(self._layout, environment, endpoint, self._post, self._isolation, self._sessions)
        self._containerizers: dict[str, Containerizer] = {POSIX: self._launcher, SESSION: sessions}
        runners: dict[str, CheckRunner] = {POSIX: ProcessChecks(self._layout, environment, endpoint, self._isolation)}
        if self._flags.docker.enabled:
            self._containerizers[DOCKER] = runners[DOCKER] = await self._docker(endpoint)
            self._containerizers[EXEC] = self._docker_sessions()
        self._prober = Prober(runners, self._http, self._post)
        self._link = MasterLink(self._flags.master, self._http, core.registration, self._post, random.random)
        await self._recover(core)
        self._executors.attach(self._shell)
        self._calls.attach(self._shell, core)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._post, ShutdownRequested("asked to by SIGUSR1"))
        announce("agent", f"http://{self._flags.host}:{server.port}")
        try:
            await self._serve(core, stop)
        finally:
            for containerizer in self._containerizers.values():
                containerizer.stop()
            await self._prober.stop()
            await self._fetcher.stop()
            await server.stop()
            self._http.close()
            self._files.shutdown()
            self._store.close()

    async def _serve(self, core: AgentCore, stop: asyncio.Event) -> None:
        """Run core and link until there is a reason to end; raises what the core raises."""
        shell = asyncio.create_task(self._shell.run())
        await asyncio.sleep(0)  # lets the core take up what was found before the link asks it
        beside = upkeep.parts(self._flags, self._layout, core, self._post)
        parts = [shell, *map(asyncio.create_task, (self._link.run(), *beside))]
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

    async def _docker(self, endpoint: str) -> DockerContainerizer:
        from headrace.mesos.agent.docker.containerizer import DockerContainerizer  # few agents have it
        from headrace.mesos.agent.docker.starting import Settings

        flags = self._flags
        settings = Settings(
            flags.executor_environment_variables,
            endpoint,
            flags.docker.remove_delay,
            flags.docker.stop_timeout,
            flags.isolation.cgroups_enable_cfs,
        )
        containerizer = DockerContainerizer(flags.docker.socket, self._layout, settings, self._post)
        await containerizer.check()
        return containerizer

    def _docker_sessions(self) -> Containerizer:
        from headrace.mesos.agent.docker.exec_sessions import ExecSessions

        return ExecSessions(self._flags.docker.socket, self._layout, self._post, self._sessions)

    async def _recover(self, core: AgentCore) -> None:
        left = core.left()
        for kind in left.keys() - self._containerizers.keys():
            raise UserError(
                f"--containerizers: {len(left[kind])} {kind} containers of this agent may still run; "
                f"add {'docker' if kind == EXEC else kind.lower()}, or end their tasks first"
            )
        found: list[Any] = []
        for kind, containerizer in self._containerizers.items():
            found += await containerizer.find(left.get(kind, ()))
        if core.tasks:
            log.info("found %d tasks of an earlier agent, %d containers with a process", len(core.tasks), len(found))
        self._post(Begin(), *found)

    def _post(self, *events: AgentInput) -> None:
        self._shell.post(*events)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(call):
                self._link.send(call)
            case UpdateContainer(spec):
                self._containerizers[spec.kind].update(spec)
            case StartContainer(spec):
                self._containerizers[spec.kind].start(spec)
            case SignalContainer(container_id, force, kind, number):
                self._containerizers[kind].signal(container_id, force, number)
            case Tell(stream, event):
                self._executors.streams.tell(stream, event)
            case Fetch():
                self._fetcher.fetch(effect)
            case ProbeHealth():
                self._prober.probe(effect)
            case ProbeCheck():
                self._prober.check(effect)
            case CancelFetch(container_id):
                self._fetcher.cancel(container_id)
            case RemoveSandbox(place):
                self._files.submit(self._layout.remove, place)
            case RemoveRun(container_id):
                self._files.submit(self._layout.remove_run, container_id)
            case MakeVolume() | RemoveVolume() | KeepVolumes():
                self._volumes.perform(effect)
            case CloseStream(stream):
                self._executors.streams.close(stream)
            case Reconnect():
                self._link.reconnect()
            case Exit():
                self._gone.set()
            case _:
                raise TypeError(f"an agent can't carry out {type(effect).__name__}")

    def _config(self, port: int) -> AgentConfig:
        flags = self._flags
        try:
            given = parse_resources(flags.resources, flags.default_role)
            resources = offered(given, str(flags.data), flags.default_role)
            attributes = parse_attributes(flags.attributes)
        except FlagError as error:
            raise UserError(str(error)) from None
        log.info("offers %s", resources)
        info = AgentInfo(self._hostname, port, described(given, resources), attributes or None, domain=flags.domain)
        compare(self._saved, info, resources)
        return AgentConfig(
            info,
            MESOS_VERSION,
            self._address,
            flags.gc_delay,
            flags.sandboxes.gc_disk_headroom,
            flags.executors,
            containerizers=(POSIX, DOCKER) if flags.docker.enabled else (POSIX,),
        )


async def main(flags: Flags, stop: asyncio.Event) -> None:
    """Run one agent until ``stop`` is set. Raises UserError, StoreError, OSError."""
    # others may pass through, as tasks of other users must, but not look around
    flags.data.mkdir(mode=0o711, parents=True, exist_ok=True)
    _allow_many_files()
    url = f"sqlite://{flags.data / 'agent.db'}"
    store = open_store(url, component="agent", layout=LAYOUT, durability=Durability.PROCESS)
    active = choose(flags.isolation, flags.data)
    isolation = msgspec.structs.replace(flags.isolation, isolation=",".join(active.names))
    await AgentDaemon(msgspec.structs.replace(flags, isolation=isolation), store, active).run(stop)


def own_address(host: str, master: str) -> str:
    """The address to tell others: ``host``, or, if that stands for all, the one that leads to the master."""
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        return host
    name = master_hosts(master)[0]
    family = socket.AF_INET6 if host == "::" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:  # nothing is sent; the kernel picks the route
        try:
            probe.connect((name, 9))
            return str(probe.getsockname()[0])
        except OSError as error:
            raise UserError(
                f"--host {host}: can't tell which of this machine's addresses leads to {name} ({error}); "
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
