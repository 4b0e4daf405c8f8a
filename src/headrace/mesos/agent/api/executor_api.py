"""The v1 executor API, POST /api/v1/executor: reads calls, keeps the streams of those who have subscribed.

What is wrong with a call in itself is answered here, in Mesos's words; what needs the agent's books is the core's.
"""

from __future__ import annotations

import asyncio
import itertools

import msgspec

from headrace.kernel import recordio
from headrace.kernel.http import EventStream, Request, Response
from headrace.kernel.http.messages import JSON
from headrace.kernel.shell import Shell
from headrace.mesos.agent.core.events import AgentInput, Answer, ExecutorCalls, ExecutorStreamClosed
from headrace.mesos.door import (
    CallError,
    accepts_json,
    content_type_refused,
    decode,
    from_base64,
    not_allowed,
    text,
    unconvertible,
)
from headrace.mesos.messages.common import TERMINAL_STATES
from headrace.mesos.messages.executor import Call, Event, Update

HEARTBEAT_INTERVAL = 1800.0

STATES = TERMINAL_STATES | {
    "TASK_STAGING",
    "TASK_STARTING",
    "TASK_RUNNING",
    "TASK_KILLING",
    "TASK_UNREACHABLE",
    "TASK_UNKNOWN",
}
_BODIES = {"SUBSCRIBE": "subscribe", "UPDATE": "update", "MESSAGE": "message", "HEARTBEAT": None}

_CALL = msgspec.json.Decoder(Call)
_encode = msgspec.json.Encoder().encode


NO_PROTOBUF = "Protocol buffers are not supported by this agent"


class ExecutorStreams:
    """Open streams to executors by number."""

    def __init__(self) -> None:
        self._streams: dict[int, EventStream] = {}
        self._numbers = itertools.count(1)

    def open(self, stream: EventStream) -> int:
        """A new stream; forgotten when it ends. A HEARTBEAT goes out every 30 minutes."""
        number = next(self._numbers)
        self._streams[number] = stream
        heart = asyncio.get_running_loop().create_task(self._beat(stream))

        def ended() -> None:
            heart.cancel()
            self._streams.pop(number, None)

        stream.on_close(ended)
        return number

    def tell(self, number: int, event: Event) -> None:
        """Send an event; does nothing if the stream has ended."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.send(recordio.encode(_encode(event)))

    def close(self, number: int) -> None:
        """End a stream."""
        stream = self._streams.get(number)
        if stream is not None:
            stream.close()

    async def _beat(self, stream: EventStream) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            stream.send(recordio.encode(_encode(Event("HEARTBEAT"))))


class ExecutorApi:
    """Answers executors; 503 until ``attach``, which is called when an earlier agent's containers have been found."""

    def __init__(self) -> None:
        self.streams = ExecutorStreams()
        self._shell: Shell[AgentInput] | None = None

    def attach(self, shell: Shell[AgentInput]) -> None:
        """From now on there is somebody to ask."""
        self._shell = shell

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        refusal = _refusal(request)
        if refusal is not None:
            return refusal
        if self._shell is None:
            return text(503, "Agent has not finished recovery")
        try:
            call = read(request.body)
        except CallError as error:
            return text(400, str(error))
        if call.type == "SUBSCRIBE":
            return await self._subscribe(self._shell, call, request.headers.get("accept"))
        answer: Answer = await self._shell.ask(lambda number: ExecutorCalls(number, call))
        return text(answer.status, answer.text)

    async def _subscribe(self, shell: Shell[AgentInput], call: Call, accept: str | None) -> Response:
        if not accepts_json(accept):
            return text(406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")
        stream = EventStream()
        number = self.streams.open(stream)
        answer: Answer = await shell.ask(lambda request: ExecutorCalls(request, call, number))
        if answer.status != 200:
            stream.close()
            return text(answer.status, answer.text)
        framework_id = call.framework_id.value if call.framework_id else ""
        executor_id = call.executor_id.value if call.executor_id else ""
        stream.on_close(lambda: shell.post(ExecutorStreamClosed(framework_id, executor_id, number)))
        return Response(200, stream, JSON)


def read(body: bytes) -> Call:
    """Decode and check one call. Raises CallError."""
    call = decode(body, _CALL)
    check(call)
    return call


def check(call: Call) -> None:
    """Check what needs no knowledge of the executor. Raises CallError."""
    ids = {"executor_id": call.executor_id, "framework_id": call.framework_id}
    if missing := [name for name, value in ids.items() if value is None]:
        raise unconvertible(f"Missing required fields: {', '.join(missing)}")
    if call.update is not None and call.update.status.state not in STATES:
        raise unconvertible("Missing required fields: update.status.state")
    if call.type not in _BODIES:
        raise _invalid("Expecting 'type' to be present")
    body = _BODIES[call.type]
    if body is not None and getattr(call, body) is None:
        raise _invalid(f"Expecting '{body}' to be present")
    if call.type == "UPDATE" and call.update is not None:
        _check_update(call, call.update)
    elif call.type == "SUBSCRIBE" and call.subscribe is not None:
        for update in call.subscribe.unacknowledged_updates or ():
            _check_update(call, update)


def _check_update(call: Call, update: Update) -> None:
    status = update.status
    executor_id = call.executor_id.value if call.executor_id else ""
    framework_id = call.framework_id.value if call.framework_id else ""
    if status.uuid is None:
        raise _invalid("Expecting 'uuid' to be present")
    if len(from_base64("uuid", status.uuid)) != 16:
        raise _invalid("Not a valid UUID")
    if status.executor_id is not None and status.executor_id.value != executor_id:
        other = status.executor_id.value
        raise _invalid(f"ExecutorID in Call: {executor_id} does not match ExecutorID in TaskStatus: {other}")
    who = f"executor {executor_id} of framework {framework_id}"
    if status.source != "SOURCE_EXECUTOR":
        raise _invalid(f"Received Call from {who} with invalid source, expecting 'SOURCE_EXECUTOR'")
    if status.state == "TASK_STAGING":
        raise _invalid(f"Received TASK_STAGING from {who} which is not allowed")


def _invalid(why: str) -> CallError:
    return CallError(f"Failed to validate Executor::Call: {why}")


def _refusal(request: Request) -> Response | None:
    """What is wrong before the body is looked at."""
    if request.method != "POST":
        return not_allowed(request.method, ("POST",))
    return content_type_refused(request, NO_PROTOBUF)
