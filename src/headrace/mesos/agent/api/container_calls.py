"""The operator's calls about containers: launching, waiting, killing, removing, and attaching to sessions.

The core decides; here its answers become HTTP's, and connections become the input and output of sessions.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterable, Callable

from headrace.kernel.http import BrokenOffError, EventStream, Request, Response
from headrace.kernel.recordio import RecordIOError
from headrace.kernel.shell import Shell
from headrace.mesos.agent.api.speaking import RECORDIO, Records, Spoken, records_of
from headrace.mesos.agent.containers.session import WATCHER_LIMIT, Session, Sessions
from headrace.mesos.agent.core.agent import AgentCore
from headrace.mesos.agent.core.events import AgentInput, ContainerAnswer, ContainerCalled, ContainerGivenUp
from headrace.mesos.agent.core.nesting import path_of, problem_of_id
from headrace.mesos.door import CallError, text
from headrace.mesos.messages import agent_operator as api

MOST = 1024 * 1024
"""Bytes of one record of input."""

NO_SESSION = "I/O switchboard server was disabled for this container"


class ContainerCalls:
    """Answers calls; 503 until ``attach``."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._shell: Shell[AgentInput] | None = None
        self._core: AgentCore | None = None

    def attach(self, shell: Shell[AgentInput], core: AgentCore) -> None:
        """From now on there is somebody to ask."""
        self._shell, self._core = shell, core

    async def obey(self, call: api.Call, spoken: Spoken) -> Response:
        """Answer a call that is sound in itself."""
        if self._shell is None:
            return _recovering()
        if call.type == "ATTACH_CONTAINER_OUTPUT" and call.attach_container_output is not None:
            return self._attach_output(path_of(call.attach_container_output.container_id), spoken)
        if call.type == "LAUNCH_NESTED_CONTAINER_SESSION" and call.launch_nested_container_session is not None:
            return await self._session(self._shell, call, spoken)
        wait = call.wait_nested_container or call.wait_container
        if call.type in ("WAIT_NESTED_CONTAINER", "WAIT_CONTAINER") and wait is not None:
            return await self._wait(self._shell, call, path_of(wait.container_id), spoken)
        answer: ContainerAnswer = await self._shell.ask(lambda number: ContainerCalled(number, _only(call)))
        return text(answer.status, answer.text)

    async def _wait(self, shell: Shell[AgentInput], call: api.Call, path: str, spoken: Spoken) -> Response:
        answer, _ = await _ask(shell, call, path)
        if answer.waited is None:
            return text(answer.status, answer.text)
        kind = call.type or ""
        if kind == "WAIT_CONTAINER":
            return spoken.answer(api.Response(kind, wait_container=answer.waited))
        return spoken.answer(api.Response(kind, wait_nested_container=answer.waited))

    # sessions

    async def _session(self, shell: Shell[AgentInput], call: api.Call, spoken: Spoken) -> Response:
        assert call.launch_nested_container_session is not None  # noqa: S101 - checked
        path = path_of(call.launch_nested_container_session.container_id)
        answer, given_up = await _ask(shell, call, path)
        session = self._sessions.get(path)
        if answer.status != 200 or session is None:
            return text(answer.status, answer.text)
        stream = EventStream()
        stream.on_close(lambda: shell.post(given_up))
        session.attach(stream, spoken.record, leads=True)
        return spoken.stream(stream)

    def _attach_output(self, path: str, spoken: Spoken) -> Response:
        session = self._find(path)
        if isinstance(session, Response):
            return session
        stream = EventStream(WATCHER_LIMIT)
        session.attach(stream, spoken.record)
        return spoken.stream(stream)

    async def attach_input(self, request: Request) -> Response:
        """ATTACH_CONTAINER_INPUT: a request whose body is a stream of records."""
        assert request.stream is not None  # noqa: S101 - that is why it is here
        if self._shell is None:
            return _recovering()
        records = records_of(request, api.Call, MOST)
        if isinstance(records, Response):
            return records
        feeding = _Input(self.take_input, records)
        work = asyncio.create_task(feeding.run(request.stream))
        end = asyncio.create_task(feeding.ended())
        try:
            await asyncio.wait((work, end), return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else text(200, "")
        except (CallError, RecordIOError, BrokenOffError) as error:
            return text(400, str(error))
        finally:
            feeding.stop()
            for one in (work, end):
                one.cancel()
            await asyncio.gather(work, end, return_exceptions=True)

    def _find(self, path: str) -> Session | Response:
        session = self._sessions.get(path)
        if session is not None:
            return session
        assert self._core is not None  # noqa: S101 - attached with the shell
        if self._core.has_container(path):
            return text(500, NO_SESSION)
        return text(404, f"Container {path} cannot be found")

    def take_input(self, path: str) -> Session | Response:
        """A session for its only source of input, or the refusal."""
        session = self._find(path)
        if isinstance(session, Session):
            if session.input_taken:
                return text(409, "Multiple input connections are not allowed")
            session.input_taken = True
        return session


class _Input:
    """One connection that sends input. ``take`` gets the session that it names, or the refusal; ``stop`` it."""

    def __init__(self, take: Callable[[str], Session | Response], records: Records[api.Call]) -> None:
        self._take = take
        self._records = records
        self._session: Session | None = None
        self._begun = asyncio.Event()

    async def run(self, chunks: AsyncIterable[bytes]) -> Response:
        """Hand all of it over. Raises CallError, RecordIOError, BrokenOffError."""
        async for chunk in chunks:
            for call in self._records.feed(chunk):
                body = call.attach_container_input
                if call.type and call.type != "ATTACH_CONTAINER_INPUT":
                    return text(415, f"Streaming 'Content-Type' {RECORDIO} is not supported for {call.type} call")
                if not call.type or body is None:
                    raise _invalid("Expecting 'attach_container_input' to be present")
                if self._session is not None:
                    await _hand_over(self._session, body)
                    continue
                found = self._take(_container_of(body))
                if isinstance(found, Response):
                    return found
                self._session = found
                self._begun.set()
        if self._session is None:
            raise _invalid("Expecting 'attach_container_input' to be present")
        return text(200, "")

    async def ended(self) -> None:
        """Wait for the end of the session."""
        await self._begun.wait()
        if self._session is not None:
            await self._session.ended()

    def stop(self) -> None:
        """Somebody else may be the source now."""
        if self._session is not None:
            self._session.input_taken = False


async def _hand_over(session: Session, body: api.AttachInput) -> None:
    said = body.process_io
    if body.type != "PROCESS_IO" or said is None:
        raise _invalid("Expecting 'attach_container_input.process_io' to be present")
    if said.type == "DATA":
        data = said.data
        if data is None or data.type != "STDIN":
            raise _invalid("Expecting 'attach_container_input.process_io.data.type' to be STDIN")
        try:
            content = base64.b64decode(data.data or "", validate=True)
        except (binascii.Error, ValueError):
            raise _invalid("'attach_container_input.process_io.data.data' is not base64") from None
        if content:
            await session.channel.write(content)
        elif not session.terminal:  # with one, it is a character that ends the input
            session.channel.close_input()
    elif said.type == "CONTROL":
        control = said.control
        if control is None or control.type not in ("TTY_INFO", "HEARTBEAT"):
            raise _invalid("Expecting 'attach_container_input.process_io.control.type' to be TTY_INFO or HEARTBEAT")
        size = control.tty_info.window_size if control.tty_info is not None else None
        if control.type == "TTY_INFO" and size is not None:
            session.channel.resize(size.rows, size.columns)
    else:
        raise _invalid("Expecting 'attach_container_input.process_io.type' to be present")


def _container_of(body: api.AttachInput) -> str:
    if body.type != "CONTAINER_ID" or body.container_id is None:
        raise _invalid("Expecting 'attach_container_input.container_id' to be present")
    if (problem := problem_of_id(body.container_id)) is not None:
        raise _invalid(f"'attach_container_input.container_id' is invalid: {problem}")
    return path_of(body.container_id)


async def _ask(shell: Shell[AgentInput], call: api.Call, path: str) -> tuple[ContainerAnswer, ContainerGivenUp]:
    """The answer, and what the core is to hear when the client goes; if he does meanwhile, it does."""
    number = 0

    def ask(given: int) -> ContainerCalled:
        nonlocal number
        number = given
        return ContainerCalled(number, _only(call))

    try:
        answer: ContainerAnswer = await shell.ask(ask)
    except asyncio.CancelledError:
        shell.post(ContainerGivenUp(path, number))
        raise
    return answer, ContainerGivenUp(path, number)


def _only(call: api.Call) -> api.Call:
    """The call with the one body that its type names."""
    name = (call.type or "").lower()
    return api.Call(call.type, **{name: getattr(call, name)})


def _invalid(why: str) -> CallError:
    return CallError(f"Failed to validate agent::Call: {why}")


def _recovering() -> Response:
    return text(503, "Agent has not finished recovery")
