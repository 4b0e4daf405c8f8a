"""A transcript as it was recorded, and what can be known of it before it is replayed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import msgspec

from headrace.kernel.protobuf.decoding import decode
from headrace.mesos.messages.scheduler import Event

Entry = dict[str, Any]

DATA = Path(__file__).parent.parent / "data"

_EXECUTORS = {
    4: ("pyexec", "exec python3 /opt/mesos/py/exec.py exec_01_executor_side"),
    16: ("pyexec", "exec python3 /opt/mesos/py/exec.py exec_01_executor_side"),
    48: ("pyexec2", "exec python3 /opt/mesos/py/exec.py exec_02_executor_crash"),
    65: ("pyexec3", "true"),
}
"""The recorder noted every ACCEPT of this transcript with the last executor that the script had set; the events
tell which one was sent."""

_SHORTER = {"loss_01_agent_recovery": ('"sleep 6"', '"sleep 1"')}
"""Commands that only make the replay wait."""


class Recording:
    """One transcript, with its offers and the racks of its agents, by their ids."""

    def __init__(self, name: str) -> None:
        self.name = name
        text = (DATA / f"{name}.json").read_text()
        if name in _SHORTER:
            text = text.replace(*_SHORTER[name])
        self.entries: list[Entry] = [_read_raw(entry) for entry in json.loads(text)["entries"]]
        if name == "exec_01_scheduler_side":
            self._restore_executors()
        self.racks: dict[str, str] = {}
        self.offers: dict[str, dict[str, Any]] = {}
        self.frameworks: set[str] = set()
        for entry in self.entries:
            self._read_offers(entry.get("event") or {})
            self._read_racks((entry.get("response") or {}).get("body"))
            self._read_racks((entry.get("event") or {}).get("subscribed", {}).get("get_state"))

    def _restore_executors(self) -> None:
        for number, (executor_id, command) in _EXECUTORS.items():
            for operation in self.entries[number]["request"]["body"]["accept"]["operations"]:
                for task in operation["launch"]["task_infos"]:
                    executor = task["executor"]
                    task["executor"] = {
                        **executor,
                        "executor_id": {"value": executor_id},
                        "command": {**executor["command"], "value": command},
                    }

    def _read_offers(self, event: dict[str, Any]) -> None:
        for offer in event.get("offers", {}).get("offers", ()):
            agent = offer["agent_id"]["value"]
            self.racks[agent] = next(a["text"]["value"] for a in offer["attributes"] if a["name"] == "rack")
            self.offers[offer["id"]["value"]] = offer
        if framework_id := event.get("subscribed", {}).get("framework_id"):
            self.frameworks.add(framework_id["value"])

    def _read_racks(self, body: Any) -> None:
        """Of agents that answers to operators show."""
        if not isinstance(body, dict):
            return
        for info in (agent["agent_info"] for agent in body.get("get_agents", {}).get("agents", ())):
            self.racks[info["id"]["value"]] = next(
                a["text"]["value"] for a in info["attributes"] if a["name"] == "rack"
            )
        slaves = body.get("slaves")
        for agent in slaves if isinstance(slaves, list) else ():
            self.racks[agent["id"]] = agent["attributes"]["rack"]

    def rack_of_loss(self, number: int) -> str:
        """The agent that is lost after an entry: whose tasks are lost in the events that follow."""
        for entry in self.entries[number + 1 :]:
            status = (entry.get("event") or {}).get("update", {}).get("status", {})
            if status.get("source") == "SOURCE_MASTER":
                return self.racks[status["agent_id"]["value"]]
        raise AssertionError(f"{self.name}[{number}]: no event tells which agent was meant")

    def updates(self) -> set[str]:
        """The uuids of all recorded updates."""
        events = [entry["event"] for entry in self.entries if entry["kind"] == "event"]
        return {uuid for event in events if (uuid := uuid_of(event))}


def _read_raw(entry: Entry) -> Entry:
    """An entry of the one stream that was recorded as bytes, like the others."""
    raw = (entry.get("event") or {}).get("_raw_base64")
    if raw is not None:
        return {**entry, "stream": "scheduler", "event": from_protobuf(base64.b64decode(raw))}
    if "body_base64" in entry.get("request", ""):
        return {**entry, "stream": "scheduler", "label": "SUBSCRIBE"}
    return entry


def from_protobuf(record: bytes) -> dict[str, Any]:
    """An event of the scheduler API as JSON has it."""
    event: dict[str, Any] = msgspec.to_builtins(decode(record, Event))
    return event


def uuid_of(event: dict[str, Any]) -> str | None:
    """The uuid by which an update, of a task or of an operation, is acknowledged."""
    if event.get("type") == "UPDATE":
        return str(event["update"]["status"].get("uuid") or "") or None
    if event.get("type") == "UPDATE_OPERATION_STATUS":
        return (event["update_operation_status"]["status"].get("uuid") or {}).get("value")
    return None


def key_of(event: dict[str, Any]) -> str:
    """Events of one key come in one order."""
    kind = str(event.get("type"))
    body = event.get(kind.lower()) or {}
    match kind:
        case "UPDATE":
            return f"UPDATE {body['status']['task_id']['value']}"
        case "UPDATE_OPERATION_STATUS":
            return f"UPDATE_OPERATION_STATUS {(body['status'].get('operation_id') or {}).get('value')}"
        case "LAUNCH":
            return f"LAUNCH {body['task']['task_id']['value']}"
        case "ACKNOWLEDGED":
            return f"ACKNOWLEDGED {body['uuid']}"
        case "KILL":
            return f"KILL {body['task_id']['value']}"
        case "TASK_ADDED":
            return f"TASK_ADDED {body['task']['task_id']['value']}"
        case "TASK_UPDATED":
            return f"TASK_UPDATED {body['status']['task_id']['value']}"
        case "FAILURE":
            return f"FAILURE {(body.get('executor_id') or {}).get('value', '')}"
    return kind
