#!/usr/bin/env python3
"""An executor of one page: sleeps as many seconds as a task's data says, and outlives a restart of the agent.

It is started by the agent, which tells it by variables where and who it is. Python alone suffices.
"""

import base64
import http.client
import json
import os
import threading
import time
import uuid

AGENT = os.environ["MESOS_AGENT_ENDPOINT"]
PATH, JSON = "/api/v1/executor", {"Content-Type": "application/json"}
ME = {
    "framework_id": {"value": os.environ["MESOS_FRAMEWORK_ID"]},
    "executor_id": {"value": os.environ["MESOS_EXECUTOR_ID"]},
}

tasks: dict[str, dict] = {}
"""What has been launched and of which no update is acknowledged yet."""
updates: dict[str, dict] = {}
"""What the agent has not acknowledged, by uuid."""
killed: dict[str, threading.Event] = {}


def request(body: dict) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(AGENT)
    connection.request("POST", PATH, json.dumps(ME | body), JSON)
    return connection.getresponse()


def tell(task: str, state: str, message: str) -> None:
    """A status, kept until it is acknowledged; while the agent is away it waits for the next subscription."""
    number = base64.b64encode(uuid.uuid4().bytes).decode()
    status = {"task_id": {"value": task}, "state": state, "message": message, "uuid": number}
    updates[number] = {"status": status | {"source": "SOURCE_EXECUTOR", "timestamp": time.time()}}
    try:
        request({"type": "UPDATE", "update": updates[number]}).read()
    except (OSError, http.client.HTTPException):
        print("the agent is away", flush=True)


def work(task: dict) -> None:
    name, seconds = task["task_id"]["value"], float(base64.b64decode(task["data"]))
    tell(name, "TASK_RUNNING", f"sleeping {seconds:g} s")
    if killed[name].wait(seconds):
        tell(name, "TASK_KILLED", "as asked")
    else:
        tell(name, "TASK_FINISHED", "awake")


def handle(event: dict) -> None:
    print(event["type"], flush=True)
    match event["type"]:
        case "LAUNCH":
            task = event["launch"]["task"]
            tasks[task["task_id"]["value"]] = task
            killed[task["task_id"]["value"]] = threading.Event()
            threading.Thread(target=work, args=[task], daemon=True).start()
        case "KILL":
            killed[event["kill"]["task_id"]["value"]].set()
        case "ACKNOWLEDGED":
            updates.pop(event["acknowledged"]["uuid"], None)
            tasks.pop(event["acknowledged"]["task_id"]["value"], None)
        case "SHUTDOWN":
            raise SystemExit


def listen() -> None:
    """One subscription: its events until it ends."""
    unacknowledged = {"unacknowledged_tasks": [*tasks.values()], "unacknowledged_updates": [*updates.values()]}
    stream = request({"type": "SUBSCRIBE", "subscribe": unacknowledged})
    while stream.status == 200:
        length = b""
        while (byte := stream.read(1)) != b"\n":
            if not byte:
                return
            length += byte
        handle(json.loads(stream.read(int(length))))


deadline = time.monotonic() + 900
while time.monotonic() < deadline:
    try:
        listen()
        deadline = time.monotonic() + 900
    except (OSError, http.client.HTTPException):
        pass  # the agent is away
    time.sleep(0.2)
