"""A custom executor that ends each task at once: TASK_RUNNING and TASK_FINISHED as soon as it is launched.

Run by the agent; speaks the v1 executor API with nothing but the standard library, one call after the other, as
the one that the original was measured with.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import uuid
from collections.abc import Iterator
from typing import Any

PATH = "/api/v1/executor"
HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


def _connect() -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(os.environ["MESOS_AGENT_ENDPOINT"])
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _call(kind: str, **body: Any) -> str:
    ids = {"executor_id": "MESOS_EXECUTOR_ID", "framework_id": "MESOS_FRAMEWORK_ID"}
    named = {name: {"value": os.environ[variable]} for name, variable in ids.items()}
    return json.dumps({"type": kind, **named, **body})


def _events() -> Iterator[dict[str, Any]]:
    connection = _connect()
    connection.request("POST", PATH, _call("SUBSCRIBE", subscribe={"unacknowledged_tasks": []}), HEADERS)
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"subscription refused: {answer.status} {answer.read(300)!r}")
    while length := answer.readline():
        yield json.loads(answer.read(int(length)))


def _tell(calls: http.client.HTTPConnection, task_id: str, state: str) -> None:
    status = {
        "task_id": {"value": task_id},
        "state": state,
        "source": "SOURCE_EXECUTOR",
        "uuid": base64.b64encode(uuid.uuid4().bytes).decode(),
    }
    calls.request("POST", PATH, _call("UPDATE", update={"status": status}), HEADERS)
    answer = calls.getresponse()
    if answer.status != 202:
        raise SystemExit(f"update refused: {answer.status} {answer.read(300)!r}")
    answer.read()


def main() -> None:
    calls = _connect()
    for event in _events():
        if event["type"] == "LAUNCH":
            task_id = event["launch"]["task"]["task_id"]["value"]
            _tell(calls, task_id, "TASK_RUNNING")
            _tell(calls, task_id, "TASK_FINISHED")
        elif event["type"] == "SHUTDOWN":
            return


if __name__ == "__main__":
    main()
