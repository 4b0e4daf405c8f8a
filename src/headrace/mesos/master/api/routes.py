"""The master's HTTP surface: the v1 scheduler API and the agent link; views and operators stand elsewhere.

Answers and texts are Mesos's. Everything but calls is answered from the books as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from headrace.kernel.http.messages import JSON, EventStream, Request, Response
from headrace.kernel.ids import IdSource
from headrace.kernel.shell import Shell
from headrace.mesos.content import JSON as AS_JSON
from headrace.mesos.content import Format, not_acceptable, taken, wanted
from headrace.mesos.door import STREAM_ID, CallError, not_allowed, text
from headrace.mesos.master.api import calls
from headrace.mesos.master.api.jsonp import padded
from headrace.mesos.master.api.operator_api import Handler, OperatorApi
from headrace.mesos.master.api.operator_reads import Reads
from headrace.mesos.master.api.streams import Streams
from headrace.mesos.master.core import reports
from headrace.mesos.master.core.effects import Answer
from headrace.mesos.master.core.events import (
    AgentCalled,
    AgentRegisters,
    AgentStreamClosed,
    FrameworkCalled,
    FrameworkStreamClosed,
    FrameworkSubscribes,
    MasterEvent,
    OperatorStreamClosed,
    OperatorSubscribes,
)
from headrace.mesos.messages.agent_link import AgentCall, Register

MAX_CALL = 16 * 1024 * 1024
"""Bytes that anybody but an agent, who reports all of its tasks at once, may send."""

_AGENTS = ("/api/v1/agent", "/master/api/v1/agent")
_decode_agent_calls = msgspec.json.Decoder(list[AgentCall] | AgentCall).decode


class MasterApi:
    """Routes requests, with and without the prefix ``/master``; ``views`` are further GET endpoints by path."""

    def __init__(
        self,
        shell: Shell[MasterEvent],
        streams: Streams,
        ids: IdSource,
        views: Mapping[str, Handler],
        reads: Reads,
        *,
        domain_required: bool = False,
    ) -> None:
        self._shell = shell
        self._streams = streams
        self._ids = ids
        self._operators = OperatorApi(shell.ask, reads, self._watch)
        self._domain_required = domain_required
        self._handlers: dict[str, dict[str, Handler]] = {}
        self._add("/api/v1/scheduler", {"POST": self._scheduler})
        self._add("/api/v1/agent", {"POST": self._agent})
        for path, view in views.items():
            self._add(path, {"GET": view})
        for path, handlers in self._operators.paths().items():
            self._add(path, handlers)

    def _add(self, path: str, handlers: dict[str, Handler]) -> None:
        """With and without the prefix; the v0 endpoints also with the ending of old times, and with ``jsonp``."""
        v0 = not path.startswith("/api/")
        if v0 and "GET" in handlers:
            handlers = {**handlers, "GET": padded(handlers["GET"])}
        for name in (path, "/master" + path):
            self._handlers[name] = handlers
            if v0:
                self._handlers[name + ".json"] = handlers

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        handlers = self._handlers.get(request.path)
        if handlers is None:
            return self._elsewhere(request)
        method = "GET" if request.method == "HEAD" else request.method
        handler = handlers.get(method)
        if handler is None:
            return not_allowed(request.method, tuple(handlers))
        if len(request.body) > MAX_CALL and request.path not in _AGENTS:
            return text(413, f"The request body is above the limit of {MAX_CALL} bytes; send less at once")
        return handler(request)

    def _elsewhere(self, request: Request) -> Response | Awaitable[Response]:
        """Paths that end in a name."""
        before, slash, role = request.path.removeprefix("/master").partition("/quota/")
        if before or not slash or not role:
            return text(404, "404 Not Found.")
        if request.method != "DELETE":
            return not_allowed(request.method, ("DELETE",))
        return self._operators.remove_quota(role, request.path)

    # Frameworks

    def _scheduler(self, request: Request) -> Response | Awaitable[Response]:
        form = taken(request)
        if isinstance(form, Response):
            return form
        try:
            call = calls.read(request.body, form)
        except CallError as error:
            return text(400, str(error))
        stream = request.headers.get("mesos-stream-id", "")
        if call.subscribe is None or call.type != "SUBSCRIBE":
            return self._ask(lambda number: FrameworkCalled(number, stream, call))
        events = wanted(request.headers.get("accept"))
        if events is None:
            return not_acceptable()
        if stream:
            return text(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        stream_id = self._ids()
        body = self._streams.open(stream_id, lambda: self._shell.post(FrameworkStreamClosed(stream_id)), events)
        self._shell.post(FrameworkSubscribes(stream_id, call.subscribe))
        return Response(200, body, events.content_type, {STREAM_ID: stream_id})

    async def _ask(self, make: Callable[[int], MasterEvent]) -> Response:
        answer: Answer = await self._shell.ask(make)
        return text(answer.status, answer.text)

    # Operators

    def _watch(self, form: Format) -> EventStream:
        stream_id = self._ids()
        stream = self._streams.open(stream_id, lambda: self._shell.post(OperatorStreamClosed(stream_id)), form)
        self._shell.post(OperatorSubscribes(stream_id))
        return stream

    # Agents

    def _agent(self, request: Request) -> Response:
        form = taken(request)
        if form is not AS_JSON:
            return form if isinstance(form, Response) else text(415, f"Agents speak {JSON}")
        try:
            decoded = _decode_agent_calls(request.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            return text(400, f"This is no agent call: {error}")
        said = decoded if isinstance(decoded, list) else [decoded]
        stream = request.headers.get("mesos-stream-id", "")
        if not stream:
            if len(said) == 1 and isinstance(said[0], Register):
                return self._register(said[0], request.peer.rpartition(":")[0])
            return text(400, "An agent without a Mesos-Stream-Id can only REGISTER")
        if stream not in self._streams:
            return text(403, "This stream has ended; REGISTER again")
        self._shell.post(AgentCalled(stream, said))
        return Response(202)

    def _register(self, register: Register, ip: str) -> Response:
        if wrong := reports.problem_of(register, domain_required=self._domain_required):
            return text(400, f"This registration can't be taken: {wrong}")
        stream_id = self._ids()
        body = self._streams.open(stream_id, lambda: self._shell.post(AgentStreamClosed(stream_id)))
        self._shell.post(AgentRegisters(stream_id, register, ip))
        return Response(200, body, JSON, {STREAM_ID: stream_id})
