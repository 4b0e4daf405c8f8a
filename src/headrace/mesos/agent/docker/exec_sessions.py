"""Sessions in Docker containers, by the engine's exec: a containerizer whose containers are ``Session`` objects.

The engine has no call to end such a command; its process is a process of this machine, which can be signalled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from headrace.kernel.process import Ended, Found
from headrace.mesos.agent.containers.processes import end_session, signal_session
from headrace.mesos.agent.containers.session import STDERR, STDOUT, Session, Sessions
from headrace.mesos.agent.core.containers import ContainerSpec, Fact
from headrace.mesos.agent.core.events import ContainerEnded, ContainerFound, ContainerStarted, StartFailed
from headrace.mesos.agent.core.secrets import SecretError, variables_of
from headrace.mesos.agent.docker import frames
from headrace.mesos.agent.docker.engine import Engine, EngineAway, EngineError
from headrace.mesos.agent.docker.frames import FrameDecoder, FrameError
from headrace.mesos.agent.docker.translation import container_name
from headrace.mesos.agent.launcher import command_line
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import CommandInfo

log = logging.getLogger(__name__)

_READ = 64 * 1024
_KILLED = Ended(128 + signal.SIGKILL, int(signal.SIGKILL))


class ExecSessions:
    """Sessions by the paths of their containers; what becomes of them is posted."""

    def __init__(self, socket: str, layout: Layout, post: Callable[..., None], sessions: Sessions) -> None:
        self._engine = Engine(socket)
        self._layout = layout
        self._post = post
        self._sessions = sessions
        self._commands: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, spec: ContainerSpec) -> None:
        """Start a session; its output waits for who leads it."""
        self._spawn(self._run(spec))

    def update(self, spec: ContainerSpec) -> None:
        """A session holds nothing of its own."""

    def signal(self, container_id: str, force: bool, number: int = 0) -> None:
        """Signal all of its processes."""
        number = number or (signal.SIGKILL if force else signal.SIGTERM)
        self._spawn(self._signal(container_id, number))

    async def find(self, left: Sequence[Fact]) -> list[ContainerFound]:
        """End what an earlier agent has left."""
        return [await self._find(fact.container_id) for fact in left]

    def stop(self) -> None:
        """The agent ends, and with it every connection; who comes after it ends what has not noticed."""
        for task in self._tasks:
            task.cancel()
        self._engine.close()

    async def _find(self, path: str) -> ContainerFound:
        file = self._file(path)
        if not file.exists():
            return ContainerFound(path, Found.NEVER_STARTED)
        with contextlib.suppress(EngineAway, EngineError, OSError):
            await self._kill(file.read_text(), signal.SIGKILL)
        return ContainerFound(path, Found.ENDED, 0, _KILLED)

    async def _run(self, spec: ContainerSpec) -> None:
        path = spec.place.container_id
        command = spec.command or CommandInfo()
        info = spec.container.tty_info if spec.container is not None else None
        try:
            prepared = await self._engine.prepare(container_name(spec.inside), _body(command, info is not None))
            self._keep(path, prepared)
            reader, writer = await self._engine.attach(prepared, info is not None)
            _, pid = await self._engine.result(prepared)
        except (EngineAway, EngineError, OSError, SecretError) as error:
            self._post(StartFailed(path, str(error)))
            return
        self._commands[path] = prepared
        channel = _ExecChannel(writer, lambda rows, columns: self._resize(prepared, rows, columns))
        session = self._sessions[path] = Session(channel, info is not None)
        if info is not None and info.window_size is not None:
            channel.resize(info.window_size.rows, info.window_size.columns)
        self._post(ContainerStarted(path, pid))
        try:
            await channel.copy(reader, session)
            code, _ = await self._engine.result(prepared)
            end = Ended(-1) if code is None else Ended(code, code - 128 if 128 < code < 128 + signal.NSIG else 0)
        except (EngineAway, EngineError, OSError, FrameError) as error:
            log.warning("session %s: how it ended is not known: %s", path, error)
            end = Ended(-1)
        finally:
            writer.close()
            self._sessions.pop(path)
            self._commands.pop(path, None)
            session.end()
        self._post(ContainerEnded(path, end))

    async def _signal(self, path: str, number: int) -> None:
        session = self._sessions.get(path)
        if session is not None:
            session.channel.flow(True)  # its end is the end of its output, whoever may want that
        with contextlib.suppress(KeyError, EngineAway, EngineError, OSError):
            await self._kill(self._commands[path], number)

    async def _kill(self, command: str, number: int) -> None:
        code, pid = await self._engine.result(command)
        if code is None and pid and os.getsid(pid) == pid:
            end_session(pid) if number == signal.SIGKILL else signal_session(pid, number)

    def _resize(self, prepared: str, rows: int, columns: int) -> None:
        self._spawn(self._resized(prepared, rows, columns))

    async def _resized(self, prepared: str, rows: int, columns: int) -> None:
        with contextlib.suppress(EngineAway, EngineError):
            await self._engine.resize(prepared, rows, columns)

    def _keep(self, path: str, prepared: str) -> None:
        file = self._file(path)
        os.makedirs(file.parent, exist_ok=True)
        file.write_text(prepared)

    def _file(self, path: str) -> Path:
        return self._layout.run_dir(path) / "exec"

    def _spawn(self, what: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a session is not looked after because of a bug", exc_info=error)


class _ExecChannel:
    """The connection to one command."""

    def __init__(self, writer: asyncio.StreamWriter, resize: Callable[[int, int], None]) -> None:
        self._writer = writer
        self._resize = resize
        self._flowing = asyncio.Event()

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await self._writer.drain()

    def close_input(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    def resize(self, rows: int, columns: int) -> None:
        self._resize(rows, columns)

    def flow(self, on: bool) -> None:
        if on:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def copy(self, reader: asyncio.StreamReader, session: Session) -> None:
        """All output, as long as it may flow. Raises OSError, FrameError."""
        decoder = FrameDecoder()
        while True:
            await self._flowing.wait()
            data = await reader.read(_READ)
            if not data:
                return
            if session.terminal:
                session.wrote(STDOUT, data)
                continue
            for stream, part in decoder.feed(data):
                session.wrote(STDERR if stream == frames.STDERR else STDOUT, part)


def _body(command: CommandInfo, tty: bool) -> dict[str, Any]:
    """What the engine is asked. Raises SecretError."""
    variables = ({"TERM": "xterm"} if tty else {}) | variables_of(command)
    return {
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "Tty": tty,
        "Cmd": command_line(command),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        **({"User": command.user} if command.user else {}),
    }
