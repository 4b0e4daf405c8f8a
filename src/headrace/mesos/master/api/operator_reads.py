"""The calls of the v1 operator API that only read, and those that concern the master's own process.

Answers come from the books as they are, each as one message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from headrace.kernel.clock import Clock
from headrace.mesos import MESOS_VERSION
from headrace.mesos.logging_toggle import LoggingToggle
from headrace.mesos.master.api import metrics, roles
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.effects import OK, Answer
from headrace.mesos.master.core.maintenance import Maintenance
from headrace.mesos.master.core.quota import Quotas
from headrace.mesos.master.core.weights import Weights
from headrace.mesos.messages.operator import Call, UpdateWeights
from headrace.mesos.messages.operator_answers import (
    MaintenanceSchedule,
    MaintenanceStatus,
    Master,
    Quota,
    Response,
    Role,
    Roles,
)
from headrace.mesos.messages.operator_common import (
    Flag,
    Flags,
    Health,
    LoggingLevel,
    Metric,
    Metrics,
    Version,
    VersionInfo,
)
from headrace.mesos.own_log import OwnLog
from headrace.mesos.resources import Resources

NEED_A_BODY = ("GET_METRICS", "SET_LOGGING_LEVEL", "LIST_FILES", "READ_FILE")
"""Calls of these that need a body, which is the field of their name in lower case."""


class Reads(NamedTuple):
    """What is read; ``answer`` takes a call whose body is there."""

    books: Books
    maintenance: Maintenance
    quotas: Quotas
    weights: Weights
    flags: Mapping[str, str]
    clock: Clock
    log: OwnLog
    logging: LoggingToggle

    def answer(self, call: Call) -> Response | Answer | None:
        """The answer, in words if it is none of the API's messages; None if no such call is known here."""
        kind = call.type or ""
        match kind:
            case "GET_STATE":
                return Response(kind, get_state=self.books.described.state())
            case "GET_AGENTS":
                return Response(kind, get_agents=self.books.described.agents())
            case "GET_FRAMEWORKS":
                return Response(kind, get_frameworks=self.books.described.frameworks())
            case "GET_EXECUTORS":
                return Response(kind, get_executors=self.books.described.executors())
            case "GET_OPERATIONS":
                return Response(kind, get_operations=self.books.described.operations())
            case "GET_TASKS":
                return Response(kind, get_tasks=self.books.described.tasks())
            case "GET_ROLES":
                return Response(kind, get_roles=self._roles())
            case "GET_WEIGHTS":
                infos = self.weights.infos()
                return Response(kind, get_weights=UpdateWeights(infos) if infos else None)
            case "GET_QUOTA":
                return Response(kind, get_quota=Quota(self.quotas.status()))
            case "GET_MAINTENANCE_STATUS":
                return Response(kind, get_maintenance_status=MaintenanceStatus(self.maintenance.status()))
            case "GET_MAINTENANCE_SCHEDULE":
                return Response(kind, get_maintenance_schedule=MaintenanceSchedule(self.maintenance.schedule()))
        return self._of_the_process(call, kind)

    def _of_the_process(self, call: Call, kind: str) -> Response | Answer | None:
        match kind:
            case "GET_HEALTH":
                return Response(kind, get_health=Health(True))
            case "GET_FLAGS":
                return Response(kind, get_flags=Flags([Flag(name, value) for name, value in self.flags.items()]))
            case "GET_VERSION":
                return Response(kind, get_version=Version(VersionInfo(MESOS_VERSION)))
            case "GET_METRICS":
                counted = metrics.snapshot(self.books, self.clock.now())
                return Response(kind, get_metrics=Metrics([Metric(name, counted[name]) for name in sorted(counted)]))
            case "GET_MASTER":
                started = self.books.started
                return Response(kind, get_master=Master(self.books.master, started, started))
            case "GET_LOGGING_LEVEL":
                return Response(kind, get_logging_level=LoggingLevel(self.logging.verbosity.level))
            case "SET_LOGGING_LEVEL":
                return self._set_logging_level(call)
            case "LIST_FILES" | "READ_FILE":
                return self._file(call, kind)
        return None

    def _set_logging_level(self, call: Call) -> Answer:
        asked = call.set_logging_level
        wrong = self.logging.set(asked.level, asked.duration.nanoseconds / 1e9) if asked is not None else ""
        return Answer(400, wrong) if wrong else OK

    def _file(self, call: Call, kind: str) -> Response | Answer:
        if call.list_files is not None and kind == "LIST_FILES":
            listed = self.log.list(call.list_files.path)
            return Response(kind, list_files=listed) if listed is not None else Answer(404)
        data = self.log.read(call.read_file) if call.read_file is not None else None
        return Response(kind, read_file=data) if data is not None else Answer(404)

    def _roles(self) -> Roles:
        found = [
            Role(
                name,
                self.books.weights.get(name, 1.0),
                role.framework_ids() or None,
                sorted(Resources(role.held()).messages(), key=lambda one: one.name) or None,
            )
            for name, role in roles.counted(self.books)
        ]
        return Roles(found or None)
