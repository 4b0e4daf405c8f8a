"""A real ZooKeeper server, started by ``headrace zookeeper``, killed and started again by tests."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.kernel.zookeeper import Session, parse
from tests.cluster.harness import HeldPort, wait_for

HEADRACE = Path(sys.executable).parent / "headrace"


class ZooKeeper:
    """One server on a port of its own; its data outlive it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._port = HeldPort()  # also while it is dead
        self.hosts = f"127.0.0.1:{self._port.number}"
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, path: str) -> str:
        return f"zk://{self.hosts}{path}"

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        port, data = str(self._port.number), str(self.directory / "data")
        command = [str(HEADRACE), "zookeeper", "--port", port, "--data", data]
        with (self.directory / "out").open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        try:
            wait_for(self._answers, f"ZooKeeper is up; see {self.directory}", 120, pause=0.05)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Be there without a word."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "out").read_text()
        with socket.create_connection(("127.0.0.1", self._port.number), timeout=10) as connection:
            connection.sendall(b"srvr")
            return b"Zookeeper version" in connection.recv(1000)


@contextmanager
def zookeeper(directory: Path) -> Iterator[ZooKeeper]:
    """A running server; killed at the end."""
    it = ZooKeeper(directory)
    it.start()
    try:
        yield it
    finally:
        it.kill()


async def tree(server: ZooKeeper, path: str) -> list[str]:
    """Every znode from ``path`` down; none if there is no such znode."""
    session = Session(parse(server.address(path), "tree"), timeout=30)
    await session.open()
    try:
        return sorted(await _below(session, path))
    finally:
        await session.close()


async def _below(session: Session, path: str) -> list[str]:
    if await session.call("exists", path) is None:
        return []
    children = await session.call("get_children", path)
    return [path, *[one for child in children for one in await _below(session, f"{path}/{child}")]]
