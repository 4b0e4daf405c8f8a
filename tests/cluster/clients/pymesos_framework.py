"""A framework of pymesos: command tasks, a kill, reconciliation, messages, and a custom executor.

Every callback is a line of JSON on stdout; the last says that the framework is done. The arguments are the
master's host:port and the command of the executor.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import pymesos  # type: ignore[import-not-found]

TERMINAL = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_ERROR", "TASK_GONE", "TASK_DROPPED")
USED = [
    {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
    {"name": "mem", "type": "SCALAR", "scalar": {"value": 16}},
]


def tell(what: str, **more: Any) -> None:
    print(json.dumps({"what": what, **more}), flush=True)


class Framework(pymesos.Scheduler):  # type: ignore[misc]
    """Launches its tasks from the first offer, and one more after each that ended."""

    def __init__(self, executor: str) -> None:
        self._plan: list[list[dict[str, Any]]] = [
            [task("quick", command={"value": "exit 0"}), task("long", command={"value": "sleep 300"})],
            [task("custom", executor=custom_executor(executor), data=pymesos.encode_data(b"run"))],
        ]
        self._living: set[str] = set()
        self.done = threading.Event()

    def registered(self, driver: Any, framework_id: Any, master_info: Any) -> None:
        tell("registered", framework_id=framework_id["value"], version=master_info.get("version"))

    def resourceOffers(self, driver: Any, offers: Any) -> None:  # noqa: N802 - pymesos calls it so
        tell("offers", count=len(offers), attributes=sorted(offers[0]))
        for offer in offers:
            if self._living or not self._plan:
                driver.declineOffer(offer["id"], {"refuse_seconds": 1})
                continue
            tasks = self._plan.pop(0)
            for each in tasks:
                each["agent_id"] = offer["agent_id"]
                if "executor" in each:
                    each["executor"]["framework_id"] = {"value": driver.framework_id}
            self._living = {each["task_id"]["value"] for each in tasks}
            driver.launchTasks(offer["id"], tasks, {"refuse_seconds": 0})

    def statusUpdate(self, driver: Any, status: Any) -> None:  # noqa: N802
        task_id, state = status["task_id"]["value"], status["state"]
        tell("update", task=task_id, state=state, reason=status.get("reason"), message=status.get("message"))
        if task_id == "long" and status.get("reason") == "REASON_RECONCILIATION":
            driver.killTask(status["task_id"])
        elif (task_id, state) == ("long", "TASK_RUNNING"):
            driver.reconcileTasks([])
        elif (task_id, state) == ("custom", "TASK_RUNNING"):
            driver.sendFrameworkMessage({"value": "pymesos"}, status["agent_id"], pymesos.encode_data(b"ping"))
        if state in TERMINAL:
            self._living.discard(task_id)
            if not self._living and not self._plan:
                self.done.set()
            elif not self._living:
                driver.suppressOffers()
                driver.reviveOffers()

    def frameworkMessage(self, driver: Any, executor_id: Any, agent_id: Any, message: Any) -> None:  # noqa: N802
        tell("message", executor=executor_id["value"], text=pymesos.decode_data(message).decode())
        driver.killTask({"value": "custom"})

    def executorLost(self, driver: Any, executor_id: Any, agent_id: Any, status: Any) -> None:  # noqa: N802
        tell("executor lost", executor=executor_id["value"], status=status)

    def error(self, driver: Any, message: Any) -> None:
        tell("error", message=message)
        self.done.set()


def task(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "task_id": {"value": name}, "resources": USED, **more}


def custom_executor(command: str) -> dict[str, Any]:
    return {"executor_id": {"value": "pymesos"}, "command": {"value": command}, "resources": USED}


def main() -> int:
    framework = Framework(sys.argv[2])
    info = {"user": "root", "name": "pymesos", "checkpoint": True, "failover_timeout": 60}
    driver = pymesos.MesosSchedulerDriver(framework, info, sys.argv[1])
    driver.start()
    done = framework.done.wait(90)
    driver.stop()
    driver.join()
    tell("done" if done else "gave up")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
