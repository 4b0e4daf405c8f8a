"""Agents in a process of their own that speak the agent link and do little else: what they cost, the master can't use.

Each has its stream. Calls go over a few connections for all, as the original's fake agents shared one. A task is
RUNNING at once, and FINISHED when that is acknowledged.
"""

from __future__ import annotations

import base64
import gc
import json
import multiprocessing
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import msgspec

from headrace.mesos import MESOS_VERSION

CALLERS = 4
DIALS_AT_ONCE = 256
RESOURCES = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]"
"""Of each agent, as for the original."""
HEAD = "POST /api/v1/agent HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
PING, PONG = b'{"type":"PING"}', b'[{"type":"PONG"}]'
UPDATE = (
    '[{"type":"UPDATE","framework_id":{"value":"%s"},"status":{"task_id":{"value":"%s"},"state":"%s",'
    '"source":"SOURCE_EXECUTOR","agent_id":{"value":"%s"},"timestamp":%f,"uuid":"%s"},"latest_state":"%s"}]'
)
PATIENCE = 120.0


class Id(msgspec.Struct):
    value: str


class Owner(msgspec.Struct):
    id: Id


class Task(msgspec.Struct):
    task_id: Id


class Said(msgspec.Struct):
    """What such an agent reads of an event."""

    type: str
    agent_id: Id | None = None
    framework: Owner | None = None
    framework_id: Id | None = None
    task_id: Id | None = None
    tasks: list[Task] = []


_read = msgspec.json.Decoder(Said).decode


class Fleet:
    """All agents of the process, on one epoll; ``running`` are tasks whose start is not acknowledged yet."""

    def __init__(self, host: str, port: int) -> None:
        self.address = (host, port)
        self.head = HEAD.format(host=f"{host}:{port}").encode()
        self.registered = 0
        self.running: set[str] = set()
        self._poll = select.epoll()
        self._by_fd: dict[int, Caller | LinkAgent] = {}
        self._callers: list[Caller] = []
        self._next = 0

    def start(self, count: int) -> float:
        """Register so many; seconds from the first connection to the last REGISTERED."""
        self._callers = [Caller(self._connect()) for _ in range(CALLERS)]
        self._by_fd.update((caller.socket.fileno(), caller) for caller in self._callers)
        words = [json.dumps(register(number)).encode() for number in range(count)]
        gc.collect()
        gc.freeze()
        began = time.perf_counter()
        for number, word in enumerate(words):
            agent = LinkAgent(self, self._connect(), word)
            self._by_fd[agent.socket.fileno()] = agent
            if number % 16 == 0:
                while number - self.registered >= DIALS_AT_ONCE:
                    self.turn()
        while self.registered < count:
            self.turn()
        return time.perf_counter() - began

    def turn(self) -> None:
        """Take what has come."""
        for fd, _ in self._poll.poll():
            self._by_fd[fd].readable()

    def watch(self, fd: int, what: Any) -> None:
        self._by_fd[fd] = what
        self._poll.register(fd, select.EPOLLIN)

    def _connect(self) -> socket.socket:
        it = socket.create_connection(self.address)
        it.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(it.fileno(), select.EPOLLIN)
        return it

    def call(self, head: bytes, body: bytes) -> None:
        """POST for one of the agents."""
        self._next = (self._next + 1) % CALLERS
        self._callers[self._next].post(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))


class Caller:
    """A connection for calls, one after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._waiting: deque[bytes] = deque()
        self._busy = False

    def post(self, request: bytes) -> None:
        if self._busy:
            self._waiting.append(request)
        else:
            self._busy = True
            self.socket.sendall(request)

    def readable(self) -> None:
        data = self.socket.recv(65536)
        assert data.startswith(b"HTTP/1.1 202 "), data  # its head comes in one piece, and there is no body
        if self._waiting:
            self.socket.sendall(self._waiting.popleft())
        else:
            self._busy = False


class LinkAgent:
    """One agent."""

    __slots__ = ("_buffer", "_fleet", "_head", "id", "socket")

    def __init__(self, fleet: Fleet, connection: socket.socket, word: bytes) -> None:
        self._fleet, self.socket = fleet, connection
        self._head, self._buffer = b"", b""
        self.id = ""
        connection.sendall(b"%bContent-Length: %d\r\n\r\n%b" % (fleet.head, len(word), word))

    def readable(self) -> None:
        data = self.socket.recv(65536)
        assert data, "the master has ended an agent's connection"
        data = self._buffer + data if self._buffer else data
        if not self._head:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            assert head.startswith(b"HTTP/1.1 200 "), head
            [stream] = [line for line in head.split(b"\r\n") if line.lower().startswith(b"mesos-stream-id:")]
            self._head = self._fleet.head + stream + b"\r\n"
        start = 0  # each chunk of the answer's body holds one record
        while (size := data.find(b"\r\n", start)) > 0:
            begin = size + 2
            end_at = begin + int(data[start:size], 16)
            if len(data) < end_at + 2:
                break
            self._take(data[data.index(b"\n", begin) + 1 : end_at])
            start = end_at + 2
        self._buffer = data[start:]

    def _take(self, record: bytes) -> None:
        if record == PING:
            self._fleet.call(self._head, PONG)
            return
        said = _read(record)
        if said.agent_id is not None:
            self.id = said.agent_id.value
            self._fleet.registered += 1
        elif said.framework is not None:
            for task in said.tasks:
                self._fleet.running.add(task.task_id.value)
                self._tell(said.framework.id.value, task.task_id.value, "TASK_RUNNING")
        elif said.type == "ACKNOWLEDGE" and said.task_id is not None and said.framework_id is not None:
            self._acknowledged(said.framework_id.value, said.task_id.value)

    def _acknowledged(self, framework_id: str, task_id: str) -> None:
        if task_id in self._fleet.running:
            self._fleet.running.remove(task_id)
            self._tell(framework_id, task_id, "TASK_FINISHED")

    def _tell(self, framework_id: str, task_id: str, state: str) -> None:
        uuid = base64.b64encode(os.urandom(16)).decode()
        update = UPDATE % (framework_id, task_id, state, self.id, time.time(), uuid, state)
        self._fleet.call(self._head, update.encode())


def register(number: int) -> dict[str, Any]:
    """The first word of an agent."""
    resources = [message_of(part) for part in RESOURCES.split(";")]
    info = {"hostname": f"host-{number}", "port": 10_000 + number, "resources": resources}
    return {"type": "REGISTER", "agent_info": info, "version": MESOS_VERSION}


def message_of(part: str) -> dict[str, Any]:
    name, _, amount = part.partition(":")
    if not amount.startswith("["):
        return {"name": name, "type": "SCALAR", "scalar": {"value": float(amount)}}
    begin, end = amount[1:-1].split("-")
    return {"name": name, "type": "RANGES", "ranges": {"range": [{"begin": int(begin), "end": int(end)}]}}


@contextmanager
def link_agents(host: str, port: int, count: int) -> Iterator[float]:
    """So many agents while the context is open; yields the seconds that their registration took."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, host, port, count), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(PATIENCE):
            raise AssertionError(f"{count} agents are not registered within {PATIENCE} s")
        yield ours.recv()
    finally:
        ours.close()
        process.join(20)
        process.kill()


def _run(pipe: Connection, host: str, port: int, count: int) -> None:
    fleet = Fleet(host, port)
    pipe.send(fleet.start(count))
    end = End()
    fleet.watch(pipe.fileno(), end)
    while not end.came:
        fleet.turn()


class End:
    """The other end of the pipe is closed."""

    came = False

    def readable(self) -> None:
        self.came = True
