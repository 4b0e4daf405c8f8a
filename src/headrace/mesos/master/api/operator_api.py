"""The operators' side of the master's HTTP surface: ``/api/v1`` and the v0 endpoints that change something.

All of them become orders (``messages.operator.Call``) that the core obeys. Texts are Mesos's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from headrace.kernel.http.messages import JSON, EventStream, HttpError, Request, Response
from headrace.mesos.content import PROTOBUF, Format, Spoken, negotiate
from headrace.mesos.door import TEXT, CallError, decode, text
from headrace.mesos.master.api import operator_reads
from headrace.mesos.master.api.operator_reads import Reads
from headrace.mesos.master.core.effects import Answer
from headrace.mesos.master.core.events import MasterEvent, OperatorCalled, OperatorRemovesQuota, OperatorTearsDown
from headrace.mesos.messages.common import Identifier, Resource
from headrace.mesos.messages.operator import (
    AgentResources,
    AgentVolumes,
    Call,
    MachineID,
    Machines,
    QuotaRequest,
    Schedule,
    SetQuota,
    UpdateSchedule,
    UpdateWeights,
    WeightInfo,
)

T = TypeVar("T")
Answered = Response | Awaitable[Response]
Handler = Callable[[Request], Answered]
Ask = Callable[[Callable[[int], MasterEvent]], Awaitable[Any]]

ORDERS = (
    *("UPDATE_WEIGHTS", "UPDATE_QUOTA", "SET_QUOTA", "REMOVE_QUOTA"),
    *("UPDATE_MAINTENANCE_SCHEDULE", "START_MAINTENANCE", "STOP_MAINTENANCE"),
    *("MARK_AGENT_GONE", "DRAIN_AGENT", "DEACTIVATE_AGENT", "REACTIVATE_AGENT", "TEARDOWN"),
    *("RESERVE_RESOURCES", "UNRESERVE_RESOURCES", "CREATE_VOLUMES", "DESTROY_VOLUMES"),
    *("GROW_VOLUME", "SHRINK_VOLUME"),
)
"""Calls that change something; the body of each is the field of its name in lower case."""

NEED_A_BODY = frozenset((*ORDERS, *operator_reads.NEED_A_BODY))

MAX_FORM = 1024 * 1024
"""Bytes of a form, which is read in Python, while nobody else is answered."""
_MAX_FIELDS = 100

_encode = msgspec.json.Encoder().encode
_QUOTA = msgspec.json.Decoder(QuotaRequest)
_WEIGHTS = msgspec.json.Decoder(list[WeightInfo])
_SCHEDULE = msgspec.json.Decoder(Schedule)
_MACHINES = msgspec.json.Decoder(list[MachineID])
_RESOURCES = msgspec.json.Decoder(list[Resource])


class OperatorApi:
    """Turns requests into orders. ``ask`` posts an event to the core and waits for its Answer."""

    def __init__(self, ask: Ask, reads: Reads, watch: Callable[[Format], EventStream]) -> None:
        """``watch`` opens a stream of events in a form and tells the core that somebody watches."""
        self._ask = ask
        self._reads = reads
        self._watch = watch

    def paths(self) -> dict[str, dict[str, Handler]]:
        """Handlers by path and method."""
        reads = self._reads
        return {
            "/api/v1": {"POST": self._v1},
            "/teardown": {"POST": self._teardown},
            "/weights": {"GET": lambda _: _json(reads.weights.infos()), "PUT": self._put_weights},
            "/quota": {"GET": lambda _: _json(reads.quotas.status()), "POST": self._set_quota, "DELETE": self._no_role},
            "/maintenance/schedule": {
                "GET": lambda _: _json(reads.maintenance.schedule()),
                "POST": self._update_schedule,
            },
            "/maintenance/status": {"GET": lambda _: _json(reads.maintenance.status())},
            "/logging/toggle": {"GET": reads.logging, "POST": reads.logging},
            **{path: {"GET": handler} for path, handler in reads.log.paths().items()},
            "/machine/down": {"POST": self._machines("START_MAINTENANCE")},
            "/machine/up": {"POST": self._machines("STOP_MAINTENANCE")},
            "/reserve": {"POST": self._convert("RESERVE_RESOURCES", "resources")},
            "/unreserve": {"POST": self._convert("UNRESERVE_RESOURCES", "resources")},
            "/create-volumes": {"POST": self._convert("CREATE_VOLUMES", "volumes")},
            "/destroy-volumes": {"POST": self._convert("DESTROY_VOLUMES", "volumes")},
        }

    # v1

    def _v1(self, request: Request) -> Answered:
        spoken = negotiate(request)
        if isinstance(spoken, Response):
            return spoken
        try:
            call = spoken.read(Call)
        except CallError as error:
            return text(400, str(error))
        kind = call.type or ""
        if kind in NEED_A_BODY and getattr(call, kind.lower()) is None:
            return _invalid(f"Expecting '{kind.lower()}' to be present")
        if kind in ORDERS:
            return self._order(call)
        if kind == "UNKNOWN":
            return text(501, "501 Not Implemented.")
        if kind == "SUBSCRIBE":
            return Response(200, self._watch(spoken.writes), spoken.writes.content_type)
        return self._read(call, spoken)

    def _read(self, call: Call, spoken: Spoken) -> Answered:
        answer = self._reads.answer(call)
        if answer is None:
            return _invalid("Expecting 'type' to be present")
        if not isinstance(answer, Answer):
            if spoken.writes is PROTOBUF:  # half a second of 10,000 agents, in which nobody else shall wait
                return asyncio.to_thread(spoken.answer, answer)
            return spoken.answer(answer)
        if answer.status == 404:
            return Response(404, b"", TEXT)
        return text(answer.status, answer.text)

    async def _obeyed(self, make: Callable[[int], MasterEvent]) -> Response:
        answer: Answer = await self._ask(make)
        return text(answer.status, answer.text)

    def _order(self, call: Call) -> Answered:
        return self._obeyed(lambda number: OperatorCalled(number, call))

    # v0

    def _teardown(self, request: Request) -> Answered:
        framework_id = _form(request, "frameworkId")
        if not framework_id:
            return _missing("frameworkId")
        return self._obeyed(lambda number: OperatorTearsDown(number, framework_id))

    def _put_weights(self, request: Request) -> Answered:
        return self._parsed(
            request,
            _WEIGHTS,
            lambda infos: Call("UPDATE_WEIGHTS", update_weights=UpdateWeights(infos)),
        )

    def _set_quota(self, request: Request) -> Answered:
        return self._parsed(request, _QUOTA, lambda asked: Call("SET_QUOTA", set_quota=SetQuota(asked)))

    def _no_role(self, request: Request) -> Answered:
        why = "the path must end in the name of a role, as /quota/ops"
        return text(400, f"Failed to parse remove quota request for path '{request.path}': {why}")

    def remove_quota(self, role: str, path: str) -> Answered:
        """DELETE of ``/quota/<role>``."""
        return self._obeyed(lambda number: OperatorRemovesQuota(number, role, path))

    def _update_schedule(self, request: Request) -> Answered:
        return self._parsed(
            request,
            _SCHEDULE,
            lambda schedule: Call("UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule=UpdateSchedule(schedule)),
        )

    def _machines(self, kind: str) -> Handler:
        def handle(request: Request) -> Answered:
            return self._parsed(request, _MACHINES, lambda ids: _mode(kind, ids))

        return handle

    def _convert(self, kind: str, field: str) -> Handler:
        def handle(request: Request) -> Answered:
            agent_id, given = _form(request, "slaveId"), _form(request, field)
            if not agent_id:
                return _missing("slaveId")
            if not given:
                return _missing(field)
            try:
                resources = decode(given.encode(), _RESOURCES)
            except CallError as error:
                return text(400, f"Error in parsing '{field}' query parameter in the request body: {error}")
            return self._order(_conversion(kind, agent_id, resources))

        return handle

    def _parsed(self, request: Request, decoder: msgspec.json.Decoder[T], make: Callable[[T], Call]) -> Answered:
        try:
            given = decode(request.body, decoder)
        except CallError as error:
            return text(400, str(error))
        return self._order(make(given))


def _mode(kind: str, ids: list[MachineID]) -> Call:
    if kind == "START_MAINTENANCE":
        return Call(kind, start_maintenance=Machines(ids))
    return Call(kind, stop_maintenance=Machines(ids))


def _conversion(kind: str, agent_id: str, resources: list[Resource]) -> Call:
    agent = Identifier(agent_id)
    match kind:
        case "RESERVE_RESOURCES":
            return Call(kind, reserve_resources=AgentResources(agent, resources))
        case "UNRESERVE_RESOURCES":
            return Call(kind, unreserve_resources=AgentResources(agent, resources))
        case "CREATE_VOLUMES":
            return Call(kind, create_volumes=AgentVolumes(agent, resources))
    return Call(kind, destroy_volumes=AgentVolumes(agent, resources))


def _form(request: Request, name: str) -> str:
    """A field of a form. Raises HttpError."""
    if len(request.body) > MAX_FORM:
        raise HttpError(413, f"A form may have {MAX_FORM} bytes; send less at once, or use /api/v1")
    try:
        fields = parse_qs(request.body.decode("utf-8", "replace"), max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise HttpError(400, f"A form may have {_MAX_FIELDS} fields") from None
    return fields.get(name, [""])[-1]


def _missing(name: str) -> Response:
    return text(400, f"Missing '{name}' query parameter in the request body")


def _invalid(why: str) -> Response:
    return text(400, f"Failed to validate master::Call: {why}")


def _json(value: object) -> Response:
    return Response(200, _encode(value), JSON)
