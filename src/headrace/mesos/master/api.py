"""The master's HTTP surface: the v1 scheduler API, the agent link and the v0 endpoints.

Answers and texts are Mesos's. Everything but calls is answered from the books as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import msgspec

from headrace.kernel.http.messages import JSON, Request, Response
from headrace.kernel.ids import IdSource
from headrace.kernel.shell import Shell
from headrace.mesos.master import calls, reports
from headrace.mesos.master.effects import Answer
from headrace.mesos.master.events import (
    AgentCalled,
    AgentRegisters,
    AgentStreamClosed,
    FrameworkCalled,
    FrameworkStreamClosed,
    FrameworkSubscribes,
    MasterEvent,
    OperatorTearsDown,
)
from headrace.mesos.master.streams import Streams
from headrace.mesos.messages.agent_link import AgentCall, Register

TEXT = "text/plain; charset=utf-8"
STREAM_ID = "Mesos-Stream-Id"

Handler = Callable[[Request], Response | Awaitable[Response]]

_decode_agent_calls = msgspec.json.Decoder(list[AgentCall] | AgentCall).decode


class MasterApi:
    """Routes requests; ``views`` are further GET endpoints by path, with and without the prefix ``/master``."""

    def __init__(
        self,
        shell: Shell[MasterEvent],
        streams: Streams,
        ids: IdSource,
        views: dict[str, Callable[[Request], Response]],
    ) -> None:
        self._shell = shell
        self._streams = streams
        self._ids = ids
        self._handlers: dict[str, tuple[tuple[str, ...], Handler]] = {}
        self._add("/api/v1/scheduler", ("POST",), self._scheduler)
        self._add("/api/v1/agent", ("POST",), self._agent)
        self._add("/api/v1", ("POST",), self._operator)
        self._add("/teardown", ("POST",), self._teardown)
        for path, view in views.items():
            self._add(path, ("GET", "HEAD"), view)

    def _add(self, path: str, methods: tuple[str, ...], handler: Handler) -> None:
        self._handlers[path] = self._handlers["/master" + path] = (methods, handler)

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Answer a request."""
        found = self._handlers.get(request.path)
        if found is None:
            return _text(404, "404 Not Found.")
        methods, handler = found
        if request.method not in methods:
            expected = ", ".join(f"'{method}'" for method in methods if method != "HEAD")
            text = f"405 Method Not Allowed. Expecting one of {{ {expected} }}, but received '{request.method}'."
            return Response(405, text.encode(), TEXT, {"Allow": methods[0]})
        return handler(request)

    # Frameworks

    def _scheduler(self, request: Request) -> Response | Awaitable[Response]:
        if wrong := _content_type(request):
            return wrong
        try:
            call = calls.read(request.body)
        except calls.CallError as error:
            return _text(400, str(error))
        stream = request.headers.get("mesos-stream-id", "")
        if call.subscribe is None or call.type != "SUBSCRIBE":
            return self._ask(lambda number: FrameworkCalled(number, stream, call))
        if not _accepts_json(request.headers.get("accept")):
            return _text(406, "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'")
        if stream:
            return _text(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header")
        stream_id = self._ids()
        body = self._streams.open(stream_id, lambda: self._shell.post(FrameworkStreamClosed(stream_id)))
        self._shell.post(FrameworkSubscribes(stream_id, call.subscribe))
        return Response(200, body, JSON, {STREAM_ID: stream_id})

    async def _ask(self, make: Callable[[int], MasterEvent]) -> Response:
        answer: Answer = await self._shell.ask(make)
        return _text(answer.status, answer.text)

    # Agents

    def _agent(self, request: Request) -> Response:
        if wrong := _content_type(request):
            return Response(415, wrong.body, TEXT)
        try:
            decoded = _decode_agent_calls(request.body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            return _text(400, f"This is no agent call: {error}")
        said = decoded if isinstance(decoded, list) else [decoded]
        stream = request.headers.get("mesos-stream-id", "")
        if not stream:
            if len(said) == 1 and isinstance(said[0], Register):
                return self._register(said[0], request.peer.rpartition(":")[0])
            return _text(400, "An agent without a Mesos-Stream-Id can only REGISTER")
        if stream not in self._streams:
            return _text(403, "This stream has ended; REGISTER again")
        self._shell.post(AgentCalled(stream, said))
        return Response(202)

    def _register(self, register: Register, ip: str) -> Response:
        if wrong := reports.problem_of(register):
            return _text(400, f"This registration can't be taken: {wrong}")
        stream_id = self._ids()
        body = self._streams.open(stream_id, lambda: self._shell.post(AgentStreamClosed(stream_id)))
        self._shell.post(AgentRegisters(stream_id, register, ip))
        return Response(200, body, JSON, {STREAM_ID: stream_id})

    # Operators

    def _operator(self, request: Request) -> Response:
        return _text(501, "The v1 operator API is not implemented by this master; use /master/state and its kin")

    def _teardown(self, request: Request) -> Response | Awaitable[Response]:
        ids = parse_qs(request.body.decode("utf-8", "replace")).get("frameworkId")
        if not ids:
            return _text(400, "Missing 'frameworkId' query parameter in the request body")
        return self._ask(lambda number: OperatorTearsDown(number, ids[0]))


def _text(status: int, text: str) -> Response:
    return Response(status, text.encode(), TEXT if text else None)


def _content_type(request: Request) -> Response | None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind:
        return _text(400, "Expecting 'Content-Type' to be present")
    if kind == "application/x-protobuf":
        return _text(415, "Protocol buffers are not supported by this master: Expecting 'Content-Type' of " + JSON)
    if kind != JSON:
        return _text(415, "Expecting 'Content-Type' of application/json or application/x-protobuf")
    return None


def _accepts_json(accept: str | None) -> bool:
    if not accept:
        return True
    kinds = (part.partition(";")[0].strip().lower() for part in accept.split(","))
    return any(kind in (JSON, "application/*", "*/*") for kind in kinds)
