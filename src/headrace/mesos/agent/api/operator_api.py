"""The v1 operator API of an agent, POST /api/v1: checks calls and answers those that read. Texts are Mesos's.

Whoever reaches this port may run commands on the machine by it, as by the executor API and by the master's: the same
checks of Host and Origin keep web pages out, and everything else is a matter of who can reach the port.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Protocol

from headrace.kernel.http import HttpError, Request, Response
from headrace.mesos.agent.api import operator_views as views
from headrace.mesos.agent.api.container_calls import ContainerCalls
from headrace.mesos.agent.api.speaking import RECORDIO, Spoken, negotiate
from headrace.mesos.agent.api.statistics import measure
from headrace.mesos.agent.core.agent import AgentCore
from headrace.mesos.agent.core.nesting import problem_of_id
from headrace.mesos.agent.sandbox.files import Files
from headrace.mesos.door import CallError, not_allowed, text
from headrace.mesos.logging_toggle import LoggingToggle
from headrace.mesos.messages import agent_operator as api
from headrace.mesos.messages.common import ContainerID
from headrace.mesos.messages.operator_common import (
    FileData,
    FileInfos,
    Flag,
    Flags,
    Health,
    LoggingLevel,
    Metric,
    Metrics,
    PartOfFile,
    SetLoggingLevel,
    Version,
    VersionInfo,
)

BODIES = frozenset(
    {
        *("GET_METRICS", "SET_LOGGING_LEVEL", "LIST_FILES", "READ_FILE"),
        *("LAUNCH_NESTED_CONTAINER", "WAIT_NESTED_CONTAINER", "KILL_NESTED_CONTAINER", "REMOVE_NESTED_CONTAINER"),
        *("LAUNCH_NESTED_CONTAINER_SESSION", "ATTACH_CONTAINER_INPUT", "ATTACH_CONTAINER_OUTPUT"),
        *("LAUNCH_CONTAINER", "WAIT_CONTAINER", "KILL_CONTAINER", "REMOVE_CONTAINER"),
    }
)
"""Calls that need a body; it is the field of their name in lower case."""
STREAMED = frozenset({"LAUNCH_NESTED_CONTAINER_SESSION", "ATTACH_CONTAINER_OUTPUT"})
"""Calls whose answers go on."""
PROVIDERS = frozenset(
    {
        *("ADD_RESOURCE_PROVIDER_CONFIG", "UPDATE_RESOURCE_PROVIDER_CONFIG", "REMOVE_RESOURCE_PROVIDER_CONFIG"),
        "MARK_RESOURCE_PROVIDER_GONE",
    }
)
_NANOSECONDS = 1e9
_MAX_SIGNAL = 64


class Facts(Protocol):
    """What the API tells that is not the core's."""

    def flags(self) -> dict[str, str]:
        """As /flags has them."""

    def metrics(self) -> dict[str, float]:
        """As /metrics/snapshot has them."""


class OperatorApi:
    """Answers operators. ``core`` raises HttpError (503) while there is none."""

    def __init__(
        self,
        core: Callable[[], AgentCore],
        facts: Facts,
        files: Files,
        logging: LoggingToggle,
        containers: ContainerCalls,
    ) -> None:
        self._core = core
        self._facts = facts
        self._files = files
        self._logging = logging
        self._containers = containers

    async def __call__(self, request: Request) -> Response:
        """Answer a request."""
        if request.method != "POST":
            return not_allowed(request.method, ("POST",))
        if request.stream is not None:
            return await self._containers.attach_input(request)
        spoken = negotiate(request)
        if isinstance(spoken, Response):
            return spoken
        try:
            call = spoken.read(api.Call)
            check(call)
        except CallError as error:
            return text(400, str(error))
        return await self._answer(call, spoken)

    async def _answer(self, call: api.Call, spoken: Spoken) -> Response:
        kind = call.type or ""
        if spoken.framed and kind and kind not in STREAMED:
            return text(406, f"Streaming response is not supported for {kind} call")
        match kind:
            case "UNKNOWN":
                return text(501, "501 Not Implemented.")
            case "PRUNE_IMAGES":
                return text(200, "")  # Docker keeps its own images; there are no others
            case "ATTACH_CONTAINER_INPUT":
                return text(415, f"Expecting 'Content-Type' to be {RECORDIO} for {kind} call")
            case "SET_LOGGING_LEVEL" if call.set_logging_level is not None:
                return self._set_level(call.set_logging_level)
            case "LIST_FILES" | "READ_FILE":
                return self._read_files(call, spoken)
        if kind in BODIES and kind != "GET_METRICS":
            return await self._containers.obey(call, spoken)
        if kind in PROVIDERS:
            return text(501, f"{kind}: this agent has no resource providers")
        answer = await self._told(kind, call)
        return spoken.answer(answer) if answer is not None else _invalid("Expecting 'type' to be present")

    async def _told(self, kind: str, call: api.Call) -> api.Response | None:
        core = self._core()
        told: dict[str, Callable[[], Any]] = {
            "GET_HEALTH": lambda: Health(True),
            "GET_FLAGS": lambda: Flags([Flag(name, value) for name, value in self._facts.flags().items()]),
            "GET_VERSION": lambda: Version(VersionInfo(core.config.version)),
            "GET_METRICS": lambda: Metrics([Metric(name, value) for name, value in self._facts.metrics().items()]),
            "GET_LOGGING_LEVEL": lambda: LoggingLevel(self._logging.verbosity.level),
            "GET_STATE": lambda: views.state(core),
            "GET_FRAMEWORKS": lambda: views.frameworks(core),
            "GET_EXECUTORS": lambda: views.executors(core),
            "GET_TASKS": lambda: views.tasks(core),
            "GET_OPERATIONS": lambda: views.operations(core),
            "GET_AGENT": lambda: views.agent(core),
            "GET_RESOURCE_PROVIDERS": api.ResourceProviders,
        }
        if kind == "GET_CONTAINERS":
            asked = call.get_containers or api.GetContainers()
            return api.Response(kind, get_containers=views.containers(core, asked, await measure()))
        if kind not in told:
            return None
        return api.Response(kind, **{kind.lower(): told[kind]()})

    def _set_level(self, asked: SetLoggingLevel) -> Response:
        wrong = self._logging.set(asked.level, asked.duration.nanoseconds / _NANOSECONDS)
        return text(400 if wrong else 200, wrong)

    def _read_files(self, call: api.Call, spoken: Spoken) -> Response:
        try:
            if call.list_files is not None and call.type == "LIST_FILES":
                path = call.list_files.path
                infos = self._files.log.list(path) or FileInfos(self._files.infos(path) or None)
                return spoken.answer(api.Response("LIST_FILES", list_files=infos))
            assert call.read_file is not None  # noqa: S101 - checked
            return spoken.answer(api.Response("READ_FILE", read_file=self._part(call.read_file)))
        except HttpError as error:
            return text(error.status, "" if error.status == 404 else error.message)

    def _part(self, asked: PartOfFile) -> FileData:
        if asked.offset < 0 or (asked.length is not None and asked.length < 0):
            raise HttpError(400, "offset and length must be 0 or more")
        if (part := self._files.log.read(asked)) is not None:
            return part
        size, data = self._files.part(asked.path, asked.offset, asked.length)
        return FileData(size, base64.b64encode(data).decode())


def check(call: api.Call) -> None:
    """Check what needs no knowledge of the agent. Raises CallError."""
    kind = call.type or ""
    if kind in PROVIDERS:
        raise _invalid_call(f"Expecting '{kind.lower()}' to be present")
    if kind not in BODIES:
        return
    body = getattr(call, kind.lower())
    if body is None:
        raise _invalid_call(f"Expecting '{kind.lower()}' to be present")
    container_id = getattr(body, "container_id", None)
    if isinstance(container_id, ContainerID):
        field = f"{kind.lower()}.container_id"
        if (problem := problem_of_id(container_id)) is not None:
            raise _invalid_call(f"'{field}' is invalid: {problem}")
        if "NESTED" in kind and container_id.parent is None:
            raise _invalid_call(f"Expecting '{field}.parent' to be present")
    number = getattr(body, "signal", None)
    if number is not None and not 0 < number <= _MAX_SIGNAL:
        raise _invalid_call(f"'{kind.lower()}.signal' is invalid: {number} is no signal; give 1 to {_MAX_SIGNAL}")


def _invalid_call(why: str) -> CallError:
    return CallError(f"Failed to validate agent::Call: {why}")


def _invalid(why: str) -> Response:
    return text(400, f"Failed to validate agent::Call: {why}")
