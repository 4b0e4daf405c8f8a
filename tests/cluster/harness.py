"""Real daemons for tests and benches: started on free ports, killed by id, gone at the end."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any

from headrace.kernel.daemon import read_ready

_FIRST = {"gw0": 25000, "gw1": 29000, "gw2": 27000}.get(os.environ.get("PYTEST_XDIST_WORKER", ""), 31000)
PORTS = f"[{_FIRST}-{_FIRST + 1000}]"
"""What agents offer; tests that run side by side have ports of their own."""
RESOURCES = f"cpus:8;mem:8192;disk:8192;ports:{PORTS}"


def wait_for(condition: Callable[[], Any], what: str, timeout: float = 60.0, pause: float = 0.02) -> Any:
    """The first true value of ``condition``. Raises AssertionError that names ``what``."""
    deadline = time.monotonic() + timeout
    while True:
        with suppress(OSError, HTTPException):  # also of a server that is killed in the middle of an answer
            if value := condition():
                return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(pause)


def get(url: str, timeout: float = 30) -> Any:
    """A JSON document."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:  # noqa: S310 - our own daemons
        return json.load(answer)


class HeldPort:
    """A free port that stays its owner's while nobody listens on it, as when a daemon is dead.

    The kernel gives a port that is bound to nobody else; who asks for this one may listen on it all the same.
    """

    def __init__(self) -> None:
        with socket.socket() as it:
            it.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            it.bind(("127.0.0.1", 0))
            self.number = int(it.getsockname()[1])
            weakref.finalize(self, os.close, it.detach())


class Daemon:
    """One process ``python -m module``; its stderr goes to ``<log_dir>/<name>.log``.

    ``prefix``: a command that becomes the one that follows it.
    """

    def __init__(self, name: str, module: str, arguments: list[str], log_dir: Path, prefix: Sequence[str] = ()) -> None:
        self.name, self.log = name, log_dir / f"{name}.log"
        self._port = HeldPort()
        self._command = [*prefix, sys.executable, "-m", module, *arguments]
        at = self._command.index("--port") + 1
        if self._command[at] == "0":
            self._command[at] = str(self._port.number)
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def start(self) -> Daemon:
        """Start it and wait for its ready line."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
            )
        try:
            self._await_ready(self._process)
        except BaseException:
            self._end(self._process)
            raise
        return self

    def _await_ready(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            assert selector.select(60), f"{self.name} is not ready within 60 s: {self.log.read_text()}"
        ready = read_ready(process.stdout.readline())
        assert ready is not None, f"{self.name} did not start: {self.log.read_text()}"
        self.url = ready.url
        self._fix_port()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        assert self._process is not None
        return self._process.poll()

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def send(self, number: int) -> None:
        """Send a signal to the daemon alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it, wait for its end; returns its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            status = self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._end(self._process)
            raise AssertionError(f"{self.name} did not end within 60 s of signal {number}") from None
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status

    @staticmethod
    def _end(process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def _fix_port(self) -> None:
        """A later start takes the port that the first one got."""
        port = self.url.rpartition(":")[2]
        at = self._command.index("--port") + 1
        self._command[at] = port


class Cluster:
    """A master, agents and, if asked for, a Marathon, below one directory.

    ``prefixes`` of daemons' commands, by name; ``master`` are further flags of the master.
    """

    def __init__(
        self,
        directory: Path,
        prefixes: Mapping[str, Sequence[str]] = MappingProxyType({}),
        master: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self._prefixes = prefixes
        self.agents: list[Daemon] = []
        self.master = self._daemon("master", "headrace.mesos.master", [*master])
        self.marathon: Daemon | None = None
        self.marathons: list[Daemon] = []

    def add_agent(self, *arguments: str) -> Daemon:
        """One more agent, started."""
        name = f"agent-{len(self.agents) + 1}"
        agent = self._daemon(name, "headrace.mesos.agent", ["--master", self.master.url, *arguments]).start()
        self.agents.append(agent)
        return agent

    def add_marathon(self, *arguments: str, name: str = "marathon") -> Daemon:
        """Marathon, started."""
        self.marathon = self._daemon(name, "headrace.marathon", ["--master", self.master.url, *arguments]).start()
        self.marathons.append(self.marathon)
        return self.marathon

    def _daemon(self, name: str, module: str, arguments: list[str]) -> Daemon:
        data = self.directory / name
        data.mkdir(parents=True)
        prefix = self._prefixes.get(name, ())
        return Daemon(name, module, ["--port", "0", "--data", str(data), *arguments], self.directory, prefix)


@contextmanager
def cluster(
    directory: Path,
    *,
    agents: int = 1,
    resources: str = RESOURCES,
    prefixes: Mapping[str, Sequence[str]] = MappingProxyType({}),
    master: Sequence[str] = (),
) -> Iterator[Cluster]:
    """A running cluster; at the end all tasks and daemons are ended."""
    it = Cluster(directory, prefixes, master)
    it.master.start()
    try:
        for _ in range(agents):
            it.add_agent("--resources", resources)
        yield it
    finally:
        with ExitStack() as ends:  # also when one of them does not end as it should
            ends.callback(it.master.stop)
            for agent in it.agents:
                ends.callback(agent.stop, signal.SIGUSR1)
            for marathon in it.marathons:
                ends.callback(marathon.stop)
