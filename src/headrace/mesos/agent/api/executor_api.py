"""The v1 executor API, POST /api/v1/executor: reads calls, keeps the streams of those who have subscribed.

What is wrong with a call in itself is answered here, in Mesos's words; what needs the agent's books is the core's.
"""

from __future__ import annotations

import asyncio
import itertools
import logging

from headrace.kernel import recordio
from headrace.kernel.http import EventStream, Request, Response
from headrace.kernel.shell import Shell
from headrace.mesos.agent.core.events import AgentInput, Answer, ExecutorCalls, ExecutorStreamClosed
from headrace.mesos.content import JSON, Format, not_acceptable, taken, wanted
from headrace.mesos.door import CallError, from_base64, not_allowed, text
from headrace.mesos.messages.common import TASK_STATES
from headrace.mesos.messages.executor import Call, Event, Update

HEARTBEAT_INTERVAL = 1800.0

_BODIES = {"SUBSCRIBE": "subscribe", "UPDATE": "update", "MESSAGE": "message", "HEARTBEAT": None}

log = logging.getLogger(__name__)


class ExecutorStreams:
    """Open streams to executors by number."""

    def __init__(self) -> None:
        self._streams: dict[int, tuple[EventStream, Format]] = {}
        self._numbers = itertools.count(1)

    def open(self, stream: EventStream, form: Format) -> int:
        """A new stream; forgotten when it ends. A HEARTBEAT goes out every 30 minutes."""
        number = next(self._numbers)
        self._streams[number] = stream, form
        heart = asyncio.get_running_loop().create_task(self._beat(stream, form))

        def ended() -> None:
            heart.cancel()
            self._streams.pop(number, None)

        stream.on_close(ended)
        return number

    def tell(self, number: int, event: Event) -> None:
        """Send an event; does nothing if the stream has ended."""
        stream, form = self._streams.get(number, (None, JSON))
        if stream is None:
            return
        try:
            stream.send(recordio.encode(form.write(event)))
        except ValueError as error:
            log.warning(
                "an executor's stream was cut: %s can't be written as %s: %s", *(event.type, form.content_type), error
            )
            stream.cut()

    def close(self, number: int) -> None:
        """End a stream."""
        stream, _ = self._streams.get(number, (None, JSON))
        if stream is not None:
            stream.close()

    async def _beat(self, stream: EventStream, form: Format) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_INTERVAL)
            stream.send(recordio.encode(form.write(Event("HEARTBEAT"))))


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
        if request.method != "POST":
            return not_allowed(request.method, ("POST",))
        form = taken(request)
        if isinstance(form, Response):
            return form
        if self._shell is None:
            return text(503, "Agent has not finished recovery")
        try:
            call = read(request.body, form)
        except CallError as error:
            return text(400, str(error))
        if call.type == "SUBSCRIBE":
            return await self._subscribe(self._shell, call, request.headers.get("accept"))
        answer: Answer = await self._shell.ask(lambda number: ExecutorCalls(number, call))
        return text(answer.status, answer.text)

    async def _subscribe(self, shell: Shell[AgentInput], call: Call, accept: str | None) -> Response:
        form = wanted(accept)
        if form is None:
            return not_acceptable()
        stream = EventStream()
        number = self.streams.open(stream, form)
        answer: Answer = await shell.ask(lambda request: ExecutorCalls(request, call, number))
        if answer.status != 200:
            stream.close()
            return text(answer.status, answer.text)
        framework_id = call.framework_id.value if call.framework_id else ""
        executor_id = call.executor_id.value if call.executor_id else ""
        stream.on_close(lambda: shell.post(ExecutorStreamClosed(framework_id, executor_id, number)))
        return Response(200, stream, form.content_type)


def read(body: bytes, form: Format = JSON) -> Call:
    """Decode and check one call. Raises CallError."""
    call = form.read(body, Call)
    check(call, form)
    return call


def check(call: Call, form: Format = JSON) -> None:
    """Check what needs no knowledge of the executor. Raises CallError."""
    ids = {"executor_id": call.executor_id, "framework_id": call.framework_id}
    if missing := [name for name, value in ids.items() if value is None]:
        raise form.unreadable(f"Missing required fields: {', '.join(missing)}")
    if call.update is not None and call.update.status.state not in TASK_STATES.numbers:
        raise form.unreadable("Missing required fields: update.status.state")
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
    elif call.type == "MESSAGE" and call.message is not None:
        from_base64("data", call.message.data)


def _check_update(call: Call, update: Update) -> None:
    status = update.status
    executor_id = call.executor_id.value if call.executor_id else ""
    framework_id = call.framework_id.value if call.framework_id else ""
    if status.uuid is None:
        raise _invalid("Expecting 'uuid' to be present")
    if len(from_base64("uuid", status.uuid)) != 16:
        raise _invalid("Not a valid UUID")
    if status.data is not None:
        from_base64("data", status.data)
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
