"""The shell around the supervisor's core: processes, signals, the gateway, what the user reads."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from headrace.cli.up.addresses import Addresses
from headrace.cli.up.command_lines import command_line
from headrace.cli.up.core import (
    MISTAKES,
    AllReady,
    BecameReady,
    Begin,
    Exited,
    Finish,
    Kind,
    Say,
    Signal,
    Start,
    StopAsked,
    Supervisor,
    SupervisorEvent,
    Sweep,
    Swept,
)
from headrace.cli.up.daemon_process import DaemonProcess
from headrace.cli.up.guard import Guard
from headrace.cli.up.settings import DaemonSpec, Settings
from headrace.deploy import leftovers
from headrace.kernel.clock import SystemClock
from headrace.kernel.core import Effect
from headrace.kernel.daemon import Ready
from headrace.kernel.shell import Shell
from headrace.kernel.store import MemoryStore

log = logging.getLogger(__name__)


class UpShell:
    """Carries out the supervisor's effects."""

    def __init__(
        self,
        settings: Settings,
        specs: list[DaemonSpec],
        addresses: Addresses,
        guard: Guard,
        *,
        java_home: Path | None,
        say: Callable[[str], None],
        on_ready: Callable[[], None],
        on_stop: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._specs = {spec.name: spec for spec in specs}
        self._ports = {spec.name: spec.port for spec in specs}
        self._addresses = addresses
        self._guard = guard
        self._java_home = java_home
        self._say = say
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._processes: dict[str, DaemonProcess] = {}
        self._core = Supervisor([(spec.name, spec.kind) for spec in specs])
        self._shell: Shell[SupervisorEvent] = Shell(self._core, MemoryStore(), self._perform, SystemClock())
        self._finished: asyncio.Future[Finish] = asyncio.get_running_loop().create_future()
        self._sweeping: asyncio.Task[None] | None = None

    def stop(self, status: int = 0) -> None:
        """Begin the end; called again, hurry."""
        self._shell.post(StopAsked(status))

    async def run(self) -> int:
        """Start everything; return the exit status when everything has ended."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._interrupted)
        self._shell.post(Begin())
        running = asyncio.create_task(self._shell.run())
        running.add_done_callback(self._broken)
        finish = await self._finished
        running.cancel()
        if finish.error:
            sys.stderr.write(f"headrace up: {finish.error}\n")
        return finish.status

    def _broken(self, running: asyncio.Task[None]) -> None:
        if not running.cancelled() and (error := running.exception()) is not None and not self._finished.done():
            self._finished.set_exception(error)

    def _interrupted(self) -> None:
        if not self._core.stopping:
            self._on_stop()
        self.stop()

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Start(name):
                self._start(self._specs[name])
            case Signal(name, number):
                self._processes[name].signal(number)
            case Say(text):
                self._say(text)
            case AllReady():
                self._addresses.publish(self._settings.root)
                self._on_ready()
            case Sweep():
                self._sweeping = asyncio.create_task(self._sweep())
            case Finish():
                self._finished.set_result(effect)

    def _start(self, spec: DaemonSpec) -> None:
        argv = command_line(
            spec, self._ports[spec.name], self._settings, master=self._addresses.master, java_home=self._java_home
        )
        self._processes[spec.name] = DaemonProcess(
            argv,
            environment=os.environ,
            log=self._settings.log_of(spec.name),
            on_ready=lambda ready: self._ready(spec, ready),
            on_exit=lambda status: self._exited(spec, status),
        )
        self._tell_guard()

    def _ready(self, spec: DaemonSpec, ready: Ready) -> None:
        port = ready.url.rpartition(":")[2].rstrip("/")
        self._ports[spec.name] = int(port)  # a restart takes the same one
        self._addresses.learn(spec, ready.url)
        self._shell.post(BecameReady(spec.name, ready.url))

    def _exited(self, spec: DaemonSpec, status: int) -> None:
        process = self._processes.pop(spec.name)
        self._tell_guard()
        reason = process.last_words() if status > 0 else ""
        if status not in MISTAKES and reason:
            reason += f"; see {self._settings.log_of(spec.name)}"
        self._shell.post(Exited(spec.name, status, reason))

    def _tell_guard(self) -> None:
        self._guard.watch(process.pid for process in self._processes.values())

    async def _sweep(self) -> None:
        for spec in self._specs.values():
            if spec.kind is Kind.AGENT:
                count = await leftovers.end(self._settings.root / spec.name)
                if count:
                    log.warning("ended %d processes of tasks that outlived %s", count, spec.name)
        self._shell.post(Swept())
