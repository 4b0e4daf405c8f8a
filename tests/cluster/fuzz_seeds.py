"""Calls that are obeyed as they are: with one thing wrong in them they come further than what is made up."""

from __future__ import annotations

import base64
import copy
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.mesos import MESOS_VERSION

Ids = Mapping[str, Sequence[str]]
Document = dict[str, Any]


def scalar(name: str, value: float, **more: Any) -> Document:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


ALLOCATED = {"allocation_info": {"role": "test"}}
RESERVED = {"reservations": [{"type": "DYNAMIC", "role": "test"}]}
VOLUME = {"disk": {"persistence": {"id": "v"}, "volume": {"container_path": "data", "mode": "RW"}}}
INFO = {"user": "root", "name": "seed", "roles": ["test", "*"], "capabilities": [{"type": "MULTI_ROLE"}]}
PORTS = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 32000}]}}


class Seeds:
    """One call for every door's every sort of body that has rules."""

    def __init__(self, rng: random.Random, ids: Ids) -> None:
        self._rng = rng
        self._ids = ids

    def of(self, door: str) -> Document:
        """A call for ``/api/v1/scheduler``, ``/api/v1``, …"""
        doors: dict[str, list[Callable[[], Document]]] = {
            "/api/v1/scheduler": [self._accept] * 4 + [self._subscribe, self._update_framework, self._reconcile],
            "/api/v1": [self._quota, self._weights, self._maintenance, self._convert, self._machines],
            "/api/v1/agent": [self._register, self._update, self._exited, self._operation_update],
            "/api/v1/executor": [self._executor],
        }
        return copy.deepcopy(self._rng.choice(doors[door])())  # it will be spoiled in place

    def _id(self, kind: str) -> Document:
        known = self._ids.get(kind) or ["none"]
        return {"value": known[-1] if kind == "offer_id" else self._rng.choice(known)}

    def _task(self) -> Document:
        info = {
            "name": "fuzz",
            "task_id": {"value": f"fuzz-{self._rng.randrange(10**9)}"},
            "agent_id": self._id("agent_id"),
            "resources": [scalar("cpus", 0.01, **ALLOCATED), scalar("mem", 1, **ALLOCATED)],
            "command": {"value": self._rng.choice(("true", "sleep 0.05")), "environment": {"variables": []}},
            "labels": {"labels": [{"key": "a", "value": "b"}]},
            "kill_policy": {"grace_period": {"nanoseconds": 10**9}},
            "max_completion_time": {"nanoseconds": 10**9},
            "discovery": {"visibility": "CLUSTER", "name": "n", "ports": {"ports": [{"number": 80}]}},
        }
        checks: Document = {"check": CHECK, "health_check": HEALTH}
        info |= {name: value for name, value in checks.items() if self._rng.random() < 0.3}
        return info

    def _accept(self) -> Document:
        kinds: list[Document] = [
            {"type": "LAUNCH", "launch": {"task_infos": [self._task()]}},
            {
                "type": "LAUNCH_GROUP",
                "launch_group": {"executor": self._executor_info(), "task_group": {"tasks": [self._task()]}},
            },
            {"type": "RESERVE", "reserve": {"resources": [scalar("disk", 8, **ALLOCATED, **RESERVED)]}},
            {"type": "UNRESERVE", "unreserve": {"resources": [scalar("disk", 8, **ALLOCATED, **RESERVED)]}},
            {
                "type": "CREATE",
                "create": {"volumes": [scalar("disk", 8, **ALLOCATED, **RESERVED, disk=VOLUME["disk"])]},
            },
            {
                "type": "DESTROY",
                "destroy": {"volumes": [scalar("disk", 8, **ALLOCATED, **RESERVED, disk=VOLUME["disk"])]},
            },
        ]
        operations = self._rng.sample(kinds, self._rng.choice((1, 1, 2, 3)))
        if self._rng.random() < 0.2:
            operations[0]["id"] = {"value": f"op-{self._rng.randrange(1000)}"}
        filters = {"refuse_seconds": 0.01}
        body = {"offer_ids": [self._id("offer_id")], "operations": operations, "filters": filters}
        return {"type": "ACCEPT", "framework_id": self._id("framework_id"), "accept": body}

    def _executor_info(self) -> Document:
        resources = [scalar("cpus", 0.01, **ALLOCATED), scalar("mem", 32, **ALLOCATED), scalar("disk", 1, **ALLOCATED)]
        name = {"value": f"executor-{self._rng.randrange(10**6)}"}
        return {
            "type": "DEFAULT",
            "executor_id": name,
            "framework_id": self._id("framework_id"),
            "resources": resources,
        }

    def _subscribe(self) -> Document:
        constraints = {"role_constraints": {"test": {"groups": [{"attribute_constraints": [CONSTRAINT]}]}}}
        body = {"framework_info": {**INFO}, "suppressed_roles": ["*"], "offer_constraints": constraints}
        return {"type": "SUBSCRIBE", "subscribe": body}

    def _update_framework(self) -> Document:
        info = {**INFO, "name": "living", "id": self._id("framework_id")}
        return {"type": "UPDATE_FRAMEWORK", "framework_id": info["id"], "update_framework": {"framework_info": info}}

    def _reconcile(self) -> Document:
        tasks = [{"task_id": self._id("task_id"), "agent_id": self._id("agent_id")}]
        return {"type": "RECONCILE", "framework_id": self._id("framework_id"), "reconcile": {"tasks": tasks}}

    def _quota(self) -> Document:
        config = {"role": "other", "limits": {"cpus": {"value": 4}}, "guarantees": {"mem": {"value": 1}}}
        return {"type": "UPDATE_QUOTA", "update_quota": {"force": True, "quota_configs": [config]}}

    def _weights(self) -> Document:
        return {"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "other", "weight": 2.5}]}}

    def _maintenance(self) -> Document:
        machine = {"hostname": "nobody", "ip": "127.0.0.9"}
        window = {
            "machine_ids": [machine],
            "unavailability": {"start": {"nanoseconds": 10**18}, "duration": {"nanoseconds": 1}},
        }
        return {
            "type": "UPDATE_MAINTENANCE_SCHEDULE",
            "update_maintenance_schedule": {"schedule": {"windows": [window]}},
        }

    def _machines(self) -> Document:
        kind = self._rng.choice(("START", "STOP")) + "_MAINTENANCE"
        return {"type": kind, kind.lower(): {"machines": [{"hostname": "nobody", "ip": "127.0.0.9"}]}}

    def _convert(self) -> Document:
        kind, field, more = self._rng.choice(
            (
                ("RESERVE_RESOURCES", "resources", {}),
                ("UNRESERVE_RESOURCES", "resources", {}),
                ("CREATE_VOLUMES", "volumes", VOLUME),
                ("DESTROY_VOLUMES", "volumes", VOLUME),
            )
        )
        body = {"agent_id": self._id("agent_id"), field: [scalar("disk", 4, **RESERVED, **more)]}
        return {"type": kind, kind.lower(): body}

    def _register(self) -> Document:
        agent_id = {"value": f"S-fuzz-{self._rng.randrange(50)}"}
        task = {**self._task(), "agent_id": agent_id}
        status = {"task_id": task["task_id"], "state": "TASK_RUNNING", "agent_id": agent_id}
        owner = {"value": "fuzz-framework"}
        known = {"framework_id": owner, "task": task, "status": status}
        resources = [scalar("cpus", 1), scalar("mem", 64), scalar("disk", 64), PORTS]
        info = {"hostname": "fuzz", "port": self._rng.randrange(65536), "resources": resources}
        return {
            "type": "REGISTER",
            "agent_info": {**info, "attributes": [{"name": "rack", "type": "TEXT", "text": {"value": "r"}}]},
            "version": MESOS_VERSION,
            "agent_id": agent_id,
            "frameworks": [{**INFO, "id": owner}],
            "tasks": [known] if self._rng.random() < 0.5 else [],
            "total": [*resources[:2], scalar("disk", 60), scalar("disk", 4, **RESERVED)],
        }

    def _uuid(self) -> str:
        return base64.b64encode(self._rng.randbytes(16)).decode()

    def _update(self) -> Document:
        state = self._rng.choice(("TASK_RUNNING", "TASK_FINISHED", "TASK_LOST"))
        status = {"task_id": self._id("task_id"), "state": state, "uuid": self._uuid(), "timestamp": 1.5}
        owner = self._id("framework_id")
        return {"type": "UPDATE", "framework_id": owner, "status": status, "latest_state": state}

    def _exited(self) -> Document:
        return {
            "type": "EXECUTOR_EXITED",
            "framework_id": self._id("framework_id"),
            "executor_id": {"value": "e"},
            "status": 9,
        }

    def _operation_update(self) -> Document:
        status = {"operation_id": {"value": "op-1"}, "state": "OPERATION_FINISHED", "uuid": {"value": self._uuid()}}
        return {"type": "OPERATION_UPDATE", "framework_id": self._id("framework_id"), "status": status}

    def _executor(self) -> Document:
        return {
            "type": "SUBSCRIBE",
            "framework_id": self._id("framework_id"),
            "executor_id": {"value": "e"},
            "subscribe": {"unacknowledged_tasks": [], "unacknowledged_updates": []},
        }


CHECK = {"type": "COMMAND", "command": {"command": {"value": "true"}}}
HEALTH = {"type": "COMMAND", "command": {"value": "true"}, "interval_seconds": 0.2, "grace_period_seconds": 1}
CONSTRAINT = {"selector": {"attribute_name": "rack"}, "predicate": {"text_equals": {"value": "r"}}}
