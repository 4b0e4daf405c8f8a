"""The operators' side of the master's HTTP surface: ``/api/v1`` and the v0 endpoints that change something.

All of them become orders (``messages.operator.Call``) that the core obeys. Texts are Mesos's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from headrace.kernel.http.messages import JSON, Request, Response
from headrace.mesos.door import CallError, decode, text
from headrace.mesos.master.core.effects import Answer
from headrace.mesos.master.core.events import MasterEvent, OperatorCalled, OperatorRemovesQuota, OperatorTearsDown
from headrace.mesos.master.core.maintenance import Maintenance
from headrace.mesos.master.core.quota import Quotas
from headrace.mesos.master.core.weights import Weights
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
    *("MARK_AGENT_GONE", "TEARDOWN"),
    *("RESERVE_RESOURCES", "UNRESERVE_RESOURCES", "CREATE_VOLUMES", "DESTROY_VOLUMES"),
    *("GROW_VOLUME", "SHRINK_VOLUME"),
)
"""Calls that change something; the body of each is the field of its name in lower case."""

NOT_YET = frozenset(
    {
        *("GET_HEALTH", "GET_FLAGS", "GET_VERSION", "GET_METRICS", "GET_LOGGING_LEVEL", "SET_LOGGING_LEVEL"),
        *("LIST_FILES", "READ_FILE", "GET_STATE", "GET_AGENTS", "GET_FRAMEWORKS", "GET_EXECUTORS"),
        *("GET_OPERATIONS", "GET_TASKS", "GET_ROLES", "GET_MASTER", "SUBSCRIBE"),
        *("DRAIN_AGENT", "DEACTIVATE_AGENT", "REACTIVATE_AGENT"),
    }
)
"""Calls of Mesos's operator API that this master does not obey yet."""

_encode = msgspec.json.Encoder().encode
_CALL = msgspec.json.Decoder(Call)
_QUOTA = msgspec.json.Decoder(QuotaRequest)
_WEIGHTS = msgspec.json.Decoder(list[WeightInfo])
_SCHEDULE = msgspec.json.Decoder(Schedule)
_MACHINES = msgspec.json.Decoder(list[MachineID])
_RESOURCES = msgspec.json.Decoder(list[Resource])


class OperatorApi:
    """Turns requests into orders. ``ask`` posts an event to the core and waits for its Answer."""

    def __init__(self, ask: Ask, maintenance: Maintenance, quotas: Quotas, weights: Weights) -> None:
        self._ask = ask
        self._maintenance = maintenance
        self._quotas = quotas
        self._weights = weights

    def paths(self) -> dict[str, dict[str, Handler]]:
        """Handlers by path and method."""
        return {
            "/api/v1": {"POST": self._v1},
            "/teardown": {"POST": self._teardown},
            "/weights": {"GET": lambda _: _json(self._weights.infos()), "PUT": self._put_weights},
            "/quota": {"GET": lambda _: _json(self._quotas.status()), "POST": self._set_quota, "DELETE": self._no_role},
            "/maintenance/schedule": {
                "GET": lambda _: _json(self._maintenance.schedule()),
                "POST": self._update_schedule,
            },
            "/maintenance/status": {"GET": lambda _: _json(self._maintenance.status())},
            "/machine/down": {"POST": self._machines("START_MAINTENANCE")},
            "/machine/up": {"POST": self._machines("STOP_MAINTENANCE")},
            "/reserve": {"POST": self._convert("RESERVE_RESOURCES", "resources")},
            "/unreserve": {"POST": self._convert("UNRESERVE_RESOURCES", "resources")},
            "/create-volumes": {"POST": self._convert("CREATE_VOLUMES", "volumes")},
            "/destroy-volumes": {"POST": self._convert("DESTROY_VOLUMES", "volumes")},
        }

    # v1

    def _v1(self, request: Request) -> Answered:
        try:
            call = decode(request.body, _CALL)
        except CallError as error:
            return text(400, str(error))
        kind = call.type or ""
        if kind in ORDERS:
            if getattr(call, kind.lower()) is None:
                return _invalid(f"Expecting '{kind.lower()}' to be present")
            return self._order(call)
        if kind == "UNKNOWN":
            return text(501, "501 Not Implemented.")
        if kind in NOT_YET:
            return text(501, f"{kind} of the v1 operator API is not implemented by this master; see /master/state")
        return self._read(kind)

    def _read(self, kind: str) -> Response:
        match kind:
            case "GET_WEIGHTS":
                infos = self._weights.infos()
                return _json({"type": kind, **({"get_weights": UpdateWeights(infos)} if infos else {})})
            case "GET_QUOTA":
                return _json({"type": kind, "get_quota": {"status": self._quotas.status()}})
            case "GET_MAINTENANCE_STATUS":
                return _json({"type": kind, "get_maintenance_status": {"status": self._maintenance.status()}})
            case "GET_MAINTENANCE_SCHEDULE":
                return _json({"type": kind, "get_maintenance_schedule": {"schedule": self._maintenance.schedule()}})
        return _invalid("Expecting 'type' to be present")

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
    return parse_qs(request.body.decode("utf-8", "replace")).get(name, [""])[-1]


def _missing(name: str) -> Response:
    return text(400, f"Missing '{name}' query parameter in the request body")


def _invalid(why: str) -> Response:
    return text(400, f"Failed to validate master::Call: {why}")


def _json(value: object) -> Response:
    return Response(200, _encode(value), JSON)
