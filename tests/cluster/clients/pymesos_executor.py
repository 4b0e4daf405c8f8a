"""An executor of pymesos: runs a task until it is killed, and echoes messages."""

from __future__ import annotations

import sys
from typing import Any

import pymesos  # type: ignore[import-not-found]


class Executor(pymesos.Executor):  # type: ignore[misc]
    """Says TASK_RUNNING of what is launched and TASK_KILLED of what is killed."""

    def launchTask(self, driver: Any, task: Any) -> None:  # noqa: N802 - pymesos calls it so
        assert pymesos.decode_data(task["data"]) == b"run"
        driver.sendStatusUpdate({"task_id": task["task_id"], "state": "TASK_RUNNING"})

    def frameworkMessage(self, driver: Any, message: Any) -> None:  # noqa: N802
        driver.sendFrameworkMessage(pymesos.encode_data(b"echo " + pymesos.decode_data(message)))

    def killTask(self, driver: Any, task_id: Any) -> None:  # noqa: N802
        driver.sendStatusUpdate({"task_id": task_id, "state": "TASK_KILLED", "message": "as asked"})

    def shutdown(self, driver: Any) -> None:
        sys.stderr.write("shut down\n")


if __name__ == "__main__":
    pymesos.MesosExecutorDriver(Executor()).run()
