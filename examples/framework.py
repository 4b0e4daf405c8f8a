#!/usr/bin/env python3
"""A framework of one page: does what a JSON file says with the first offer, and tells what becomes of it.

    python3 examples/framework.py [--master HOST:PORT] [--role ROLE] FILE

FILE (- is standard input) holds a TaskInfo, a TaskGroupInfo ({"tasks": [...]}), or a list of operations of ACCEPT.
Ids of the agent and the framework are filled in. It ends with its tasks; Ctrl-C ends them. Python alone suffices.
"""

import argparse
import base64
import http.client
import json
import sys

PATH, JSON = "/api/v1/scheduler", {"Content-Type": "application/json"}
ENDED = {
    "TASK_FINISHED",
    "TASK_FAILED",
    "TASK_KILLED",
    "TASK_ERROR",
    "TASK_LOST",
    "TASK_DROPPED",
    "TASK_GONE",
    "TASK_GONE_BY_OPERATOR",
}


class Framework:
    """A subscription and what is said over it."""

    def __init__(self, master: str, role: str) -> None:
        self.master = master
        self._connection = http.client.HTTPConnection(master)
        info = {"user": "root", "name": "by hand", "roles": [role], "failover_timeout": 0}
        info["capabilities"] = [{"type": "MULTI_ROLE"}, {"type": "RESERVATION_REFINEMENT"}, {"type": "PARTITION_AWARE"}]
        call = {"type": "SUBSCRIBE", "subscribe": {"framework_info": info}}
        self._connection.request("POST", PATH, json.dumps(call), JSON)
        self._stream = self._connection.getresponse()
        if self._stream.status != 200:
            sys.exit(f"{self._stream.status}: {self._stream.read().decode()}")
        self._headers = JSON | {"Mesos-Stream-Id": self._stream.headers["Mesos-Stream-Id"]}
        self.id = self.next()["subscribed"]["framework_id"]

    def next(self) -> dict:
        """The next event: its length, a newline, so many bytes."""
        length = b""
        while (byte := self._stream.read(1)) != b"\n":
            if not byte:
                sys.exit("the master has ended the stream")
            length += byte
        return json.loads(self._stream.read(int(length)))

    def call(self, kind: str, **body: object) -> None:
        """Any call but SUBSCRIBE."""
        connection = http.client.HTTPConnection(self.master)
        message = {"type": kind, "framework_id": self.id, **body}
        connection.request("POST", PATH, json.dumps(message), self._headers)
        answer = connection.getresponse()
        if answer.status not in (200, 202):
            sys.exit(f"{kind}: {answer.status}: {answer.read().decode()}")
        connection.close()


def operations(content: object) -> list:
    """What the file holds, as operations."""
    if isinstance(content, list):
        return content
    if "tasks" in content:
        amounts = {"cpus": 0.01, "mem": 32, "disk": 32}
        resources = [{"name": name, "type": "SCALAR", "scalar": {"value": amount}} for name, amount in amounts.items()]
        executor = {"type": "DEFAULT", "executor_id": {"value": "group"}, "resources": resources}
        return [{"type": "LAUNCH_GROUP", "launch_group": {"executor": executor, "task_group": content}}]
    return [{"type": "LAUNCH", "launch": {"task_infos": [content]}}]


def completed(operation: dict, agent_id: dict, framework_id: dict) -> set:
    """Fills in who and where; returns the ids of the tasks."""
    group = operation.get("launch_group", {})
    if group:
        group["executor"].setdefault("framework_id", framework_id)
    tasks = operation.get("launch", {}).get("task_infos", []) + group.get("task_group", {}).get("tasks", [])
    for task in tasks:
        task.setdefault("agent_id", agent_id)
        task.setdefault("name", task["task_id"]["value"])
        if "executor" in task:
            task["executor"].setdefault("framework_id", framework_id)
    return {task["task_id"]["value"] for task in tasks}


def told(update: dict) -> None:
    """One line for a status."""
    message = update.get("message", "").partition("\n")[0]
    healthy = {None: "", True: "healthy", False: "not healthy"}[update.get("healthy")]
    words = [update["task_id"]["value"], update["state"], healthy, update.get("reason", ""), message]
    print("  ".join(filter(None, words)), flush=True)


def run(framework: Framework, wanted: list) -> None:
    """Until all tasks have ended, or all operations that have an id are done."""
    waiting = None
    while waiting is None or waiting:
        event = framework.next()
        kind, body = event["type"], event.get(event["type"].lower(), {})
        if kind == "OFFERS" and waiting is None:
            offer, *others = body["offers"]
            waiting = set()
            for operation in wanted:
                waiting |= completed(operation, offer["agent_id"], framework.id)
                waiting |= {operation["id"]["value"]} if "id" in operation else set()
            framework.call("ACCEPT", accept={"offer_ids": [offer["id"]], "operations": wanted})
            for other in others:
                framework.call("DECLINE", decline={"offer_ids": [other["id"]]})
        elif kind == "UPDATE":
            status = body["status"]
            told(status)
            if "uuid" in status:
                names = ("agent_id", "task_id", "uuid")
                framework.call("ACKNOWLEDGE", acknowledge={name: status[name] for name in names})
            if status["state"] in ENDED:
                waiting.discard(status["task_id"]["value"])
        elif kind == "UPDATE_OPERATION_STATUS":
            status = body["status"]
            print(status["operation_id"]["value"], status["state"], status.get("message", ""), flush=True)
            if "uuid" in status:
                names = ("agent_id", "operation_id")
                acknowledged = {name: status[name] for name in names if name in status}
                acknowledged["uuid"] = status["uuid"]["value"]
                framework.call("ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=acknowledged)
            waiting.discard(status["operation_id"]["value"])
        elif kind == "MESSAGE":
            print("message:", base64.b64decode(body["data"]))
        elif kind in ("ERROR", "FAILURE", "INVERSE_OFFERS"):
            print(kind.lower(), json.dumps(body), flush=True)


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reader.add_argument("--master", default="127.0.0.1:5050", metavar="HOST:PORT")
    reader.add_argument("--role", default="*")
    reader.add_argument("file", type=argparse.FileType())
    given = reader.parse_args()
    framework = Framework(given.master, given.role)
    try:
        run(framework, operations(json.load(given.file)))
    except KeyboardInterrupt:
        print("ending its tasks")
    framework.call("TEARDOWN")


if __name__ == "__main__":
    main()
