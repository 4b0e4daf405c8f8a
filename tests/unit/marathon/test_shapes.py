"""Tasks as the API shows them, and what they are shown from."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.marathon.core.shapes import check_result, task_view
from headrace.mesos.client import Received
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.common import (
    AgentID,
    CheckStatusCommand,
    CheckStatusHttp,
    CheckStatusInfo,
    CheckStatusTcp,
    DomainInfo,
    FaultDomain,
    Named,
    TaskID,
    TaskStatus,
)

from .simulation import ROOM, Cluster


def status(task_id: str, check: CheckStatusInfo | None) -> TaskStatus:
    return TaskStatus(
        TaskID(task_id), "TASK_RUNNING", agent_id=AgentID("agent-host-1"), check_status=check, uuid="dQ=="
    )


@pytest.mark.parametrize(
    ("check", "shown"),
    [
        (None, {}),
        (CheckStatusInfo("COMMAND", command=CheckStatusCommand()), {}),
        (CheckStatusInfo("COMMAND", command=CheckStatusCommand(0)), {"command": {"exitCode": 0}}),
        (CheckStatusInfo("HTTP", http=CheckStatusHttp(404)), {"http": {"statusCode": 404}}),
        (CheckStatusInfo("TCP", tcp=CheckStatusTcp(succeeded=False)), {"tcp": {"succeeded": False}}),
    ],
)
def test_what_a_general_check_says(check: CheckStatusInfo | None, shown: dict[str, Any]) -> None:
    assert check_result(status("a", check)) == shown


def test_a_task_shows_its_check_and_where_it_is() -> None:
    """The check's result survives a restart, and ends with the task."""
    it = Cluster()
    it.create("/a", check={"exec": {"command": {"shell": "x"}}})
    it.offer(domain=DomainInfo(FaultDomain(Named("here"), Named("z1"))))
    it.run_all()
    (instance,) = it.instances("/a")
    done = CheckStatusInfo("COMMAND", command=CheckStatusCommand(1))
    it.post(Received(scheduler.Event("UPDATE", update=scheduler.Update(status(instance.task_id, done)))))
    it.crash()
    (instance,) = it.instances("/a")
    shown = task_view(instance, it.core.books.specs["/a"])
    assert shown["checkResult"] == {"command": {"exitCode": 1}}
    assert (shown["region"], shown["zone"]) == ("here", "z1")
    it.status(instance.task_id, "TASK_FAILED")
    assert "checkResult" not in task_view(instance, it.core.books.specs["/a"])
    it.advance(10)
    it.offer(room=ROOM)
    assert "region" not in task_view(instance, it.core.books.specs["/a"])
