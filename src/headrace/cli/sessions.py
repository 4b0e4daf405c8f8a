"""Commands in the containers of tasks, by an agent's v1 operator API: launched or attached to, until they end."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import NamedTuple

import msgspec

from headrace.cli.api import NOT_THERE, AnswerError, CommandError, NoAnswerError, Server
from headrace.cli.errors import server_message
from headrace.kernel import recordio
from headrace.kernel.http import ClientStream, ClientUpload, HttpClient, HttpClientError
from headrace.mesos.messages.agent_operator import (
    AttachInput,
    Call,
    GetContainers,
    Heartbeat,
    IOControl,
    IOData,
    Launch,
    OneContainer,
    ProcessIO,
    Response,
)
from headrace.mesos.messages.common import CommandInfo, ContainerID, ContainerInfo, DurationInfo
from headrace.mesos.messages.common.containers import TTYInfo, WindowSize

HEARTBEAT = 30.0
"""Seconds between the heartbeats of an input that says nothing."""
_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
_STREAM = {"Content-Type": "application/json", "Accept": "application/recordio", "Message-Accept": "application/json"}
_UPLOAD = {"Content-Type": "application/recordio", "Message-Content-Type": "application/json"}
_NOT_FOUND, _CONFLICT = 404, 409


class Size(NamedTuple):
    """Of a terminal, in characters."""

    rows: int
    columns: int


Input = bytes | Size
"""A piece of input, or the terminal's new size; no bytes: the input's end."""
Write = Callable[[str, bytes], None]
"""Gets STDOUT or STDERR, and what was written to it."""


class TakenError(CommandError):
    """Only one at a time gives a container its input."""


class Containers:
    """The containers of one agent. Everything raises CommandError."""

    def __init__(self, agent: Server, http: HttpClient) -> None:
        self._agent = agent
        self._http = http

    async def of_task(self, framework_id: str, task_id: str) -> ContainerID:
        """The container of a running task."""
        answer = await self._ask(Call("GET_TASKS"))
        for task in answer.get_tasks.launched_tasks if answer.get_tasks is not None else ():
            if (task.framework_id.value, task.task_id.value) == (framework_id, task_id):
                status = task.statuses[-1].container_status if task.statuses else None
                if status is not None and status.container_id is not None:
                    return status.container_id
        where = f"{self._agent.name[0].lower()}{self._agent.name[1:]}"
        raise CommandError(f"task {task_id} does not run on {where}", NOT_THERE)

    async def nested_in(self, parent: ContainerID) -> list[ContainerID]:
        """Those that run directly in ``parent``."""
        answer = await self._ask(Call("GET_CONTAINERS", get_containers=GetContainers(show_nested=True)))
        found = answer.get_containers.containers if answer.get_containers is not None else None
        ids = [one.container_status.container_id for one in found or () if one.container_status is not None]
        return [one for one in ids if one is not None and one.parent == parent]

    async def launch(self, parent: ContainerID, command: CommandInfo, size: Size | None, tty: bool) -> Attached:
        """Run a command in ``parent``."""
        container = None
        if tty:
            window = WindowSize(size.rows, size.columns) if size is not None else None
            container = ContainerInfo("MESOS", tty_info=TTYInfo(window))
        container_id = ContainerID(str(uuid.uuid4()), parent)
        launch = Launch(container_id, command, container)
        call = Call("LAUNCH_NESTED_CONTAINER_SESSION", launch_nested_container_session=launch)
        return Attached(self, container_id, await self._stream(call), tty)

    async def attach(self, container_id: ContainerID) -> Attached:
        """What a container writes from now on."""
        call = Call("ATTACH_CONTAINER_OUTPUT", attach_container_output=OneContainer(container_id))
        return Attached(self, container_id, await self._stream(call), True)

    async def exit_status(self, container_id: ContainerID) -> int | None:
        """How a container ended, as wait(2) has it, and forget it; None if nobody knows."""
        one = OneContainer(container_id)
        try:
            answer = await self._ask(Call("WAIT_NESTED_CONTAINER", wait_nested_container=one), timeout=60.0)
        except _NotThereError:
            return None
        await self._ask(Call("REMOVE_NESTED_CONTAINER", remove_nested_container=one))
        return answer.wait_nested_container.exit_status if answer.wait_nested_container is not None else None

    async def send(self, container_id: ContainerID, pieces: AsyncIterable[Input], tty: bool) -> None:
        """Give a container its input, until there is no more or it takes no more."""
        try:
            upload = await self._http.upload("POST", f"{self._agent.url}/api/v1", headers=_UPLOAD)
            try:
                feeding = asyncio.create_task(_feed(upload, container_id, _in_time(pieces, tty)))
                try:
                    answer = await upload.answer()  # which may come before all is said
                finally:
                    feeding.cancel()
                    await asyncio.gather(feeding, return_exceptions=True)
            finally:
                upload.close()
        except HttpClientError as error:
            raise NoAnswerError(f"{self._agent.name} does not answer: {error}") from None
        if answer.status == _CONFLICT:
            raise TakenError("somebody else's input goes to it")
        if answer.status != 200:
            raise CommandError(f"{self._agent.name} takes no input: {server_message(answer.status, answer.body)}")

    async def _ask(self, call: Call, timeout: float = 30.0) -> Response:
        body = msgspec.json.encode(call)
        answer = await self._agent.call("POST", "/api/v1", body, _JSON, timeout=timeout, also=(_NOT_FOUND,))
        if answer.status == _NOT_FOUND:
            raise _NotThereError(f"{self._agent.name} says: {server_message(answer.status, answer.body)}", NOT_THERE)
        try:
            return msgspec.json.decode(answer.body, type=Response) if answer.body else Response(call.type or "")
        except msgspec.DecodeError as error:
            raise CommandError(f"{self._agent.name} sent what can't be read: {error}") from None

    async def _stream(self, call: Call) -> ClientStream:
        url, body = f"{self._agent.url}/api/v1", msgspec.json.encode(call)
        try:
            stream = await self._http.stream("POST", url, headers=_STREAM, body=body)
            if stream.status == 200:
                return stream
            status, why = stream.status, server_message(stream.status, await stream.read())
        except HttpClientError as error:
            raise NoAnswerError(f"{self._agent.name} does not answer: {error}") from None
        stream.close()
        raise AnswerError(f"{self._agent.name} says: {why}", status)


class _NotThereError(CommandError):
    """There is no such container."""


class Attached:
    """A container whose output comes here."""

    def __init__(self, containers: Containers, container_id: ContainerID, stream: ClientStream, tty: bool) -> None:
        self._containers = containers
        self._stream = stream
        self._tty = tty
        self.container_id = container_id

    async def talk(
        self, pieces: AsyncIterable[Input] | None, write: Write, taken: Callable[[], None] | None = None
    ) -> None:
        """Write what comes, send ``pieces`` meanwhile; returns when the container closes its output.

        ``taken`` is called if somebody else gives it its input; without it, that is an error. Raises CommandError if
        the agent breaks off, or takes no input.
        """
        reading = asyncio.create_task(self._read(write))
        tasks = [reading]
        if pieces is not None:
            tasks.append(asyncio.create_task(self._containers.send(self.container_id, pieces, self._tty)))
        try:
            while not reading.done():
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if task is not reading and not reading.done():
                        tasks.remove(task)
                        _look_at(task, taken)
            reading.result()
        finally:
            self._stream.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def exit_status(self) -> int | None:
        """How it ended, as wait(2) has it; None if nobody knows."""
        return await self._containers.exit_status(self.container_id)

    async def _read(self, write: Write) -> None:
        records = recordio.Decoder()
        try:
            async for chunk in self._stream:
                for record in records.feed(chunk):
                    said = msgspec.json.decode(record, type=ProcessIO)
                    if said.type == "DATA" and said.data is not None:
                        write(said.data.type or "STDOUT", base64.b64decode(said.data.data or ""))
        except (HttpClientError, recordio.RecordIOError, msgspec.DecodeError, ValueError) as error:
            raise CommandError(f"the agent broke off: {error}") from None


def _look_at(sending: asyncio.Task[None], taken: Callable[[], None] | None) -> None:
    try:
        sending.result()
    except TakenError:
        if taken is None:
            raise
        taken()


async def _feed(upload: ClientUpload, container_id: ContainerID, said: AsyncIterable[ProcessIO]) -> None:
    await upload.send(_record(AttachInput("CONTAINER_ID", container_id)))
    async for one in said:
        await upload.send(_record(AttachInput("PROCESS_IO", process_io=one)))
    upload.finish()


async def _in_time(pieces: AsyncIterable[Input], tty: bool) -> AsyncIterator[ProcessIO]:
    """What is to be said, and a heartbeat where there is nothing for long."""
    source = aiter(pieces)
    coming: asyncio.Future[Input] = asyncio.ensure_future(anext(source))
    try:
        while True:
            done, _ = await asyncio.wait((coming,), timeout=HEARTBEAT)
            if not done:
                yield ProcessIO("CONTROL", control=IOControl("HEARTBEAT", heartbeat=Heartbeat(_BEAT)))
                continue
            try:
                piece = coming.result()
            except StopAsyncIteration:
                return
            yield _said(piece, tty)
            coming = asyncio.ensure_future(anext(source))
    finally:
        coming.cancel()


_BEAT = DurationInfo(int(HEARTBEAT * 1e9))
_END_OF_INPUT = b"\x04"


def _said(piece: Input, tty: bool) -> ProcessIO:
    if isinstance(piece, Size):
        info = TTYInfo(WindowSize(piece.rows, piece.columns))
        return ProcessIO("CONTROL", control=IOControl("TTY_INFO", tty_info=info))
    if tty and not piece:
        piece = _END_OF_INPUT  # a terminal has no other
    return ProcessIO("DATA", IOData("STDIN", base64.b64encode(piece).decode()))


def _record(body: AttachInput) -> bytes:
    return recordio.encode(msgspec.json.encode(Call("ATTACH_CONTAINER_INPUT", attach_container_input=body)))
