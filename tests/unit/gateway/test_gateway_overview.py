"""What the page shows, from what the daemons tell."""

from __future__ import annotations

import msgspec

from headrace.gateway.overview import LIMIT, Apps, Component, MasterState, overview

STATE = {
    "slaves": [
        {
            "id": "S0",
            "hostname": "box",
            "pid": "slave(1)@10.0.0.1:5051",
            "active": True,
            "resources": {"cpus": 4.0, "mem": 8192.0, "ports": "[31000-32000]"},
            "used_resources": {"cpus": 1.5, "mem": 1024.0},
        }
    ],
    "frameworks": [
        {
            "id": "F1",
            "name": "marathon",
            "active": True,
            "roles": ["*"],
            "webui_url": "http://m",
            "used_resources": {"cpus": 1.5, "mem": 1024.0},
            "tasks": [
                {"id": "old", "name": "a", "framework_id": "F1", "slave_id": "S0", "state": "TASK_RUNNING",
                 "statuses": [{"timestamp": 5.0}]},
                {"id": "new", "name": "a", "framework_id": "F1", "slave_id": "gone", "state": "TASK_STAGING",
                 "statuses": [{"timestamp": 9.0}]},
            ],
            "completed_tasks": [{"id": "done", "framework_id": "F1", "slave_id": "S0", "state": "TASK_FAILED",
                                 "statuses": [{"timestamp": 1.0}, {"timestamp": 7.0, "message": "boom"}]}],
        }
    ],
}  # fmt: skip


def state(content: object) -> MasterState:
    return msgspec.convert(content, MasterState)


def test_agents_frameworks_and_tasks_are_joined() -> None:
    apps = msgspec.convert({"apps": [{"id": "/a", "instances": 2, "tasksRunning": 1}]}, Apps)
    view = overview([Component("master", "http://m")], state(STATE), apps)
    assert (view.agents[0].url, view.agents[0].cpus_used, view.agents[0].mem) == ("http://10.0.0.1:5051", 1.5, 8192.0)
    assert (view.frameworks[0].role, view.frameworks[0].tasks) == ("*", 2)
    assert [task.id for task in view.tasks] == ["new", "old", "done"]
    assert [task.agent for task in view.tasks] == ["gone", "box", "box"]
    assert (view.tasks[2].since, view.tasks[2].message) == (7.0, "boom")
    assert view.apps[0].tasks_running == 1
    assert view.totals == {"agents": 1, "frameworks": 1, "tasks": 2, "apps": 1}


def test_the_lists_are_cut_but_the_totals_tell_all() -> None:
    many = {"frameworks": [{"id": "F", "tasks": [{"id": str(n)} for n in range(LIMIT + 7)]}]}
    view = overview([], state(many), Apps())
    assert len(view.tasks) == LIMIT
    assert view.totals["tasks"] == LIMIT + 7


def test_tasks_of_ended_frameworks_are_known() -> None:
    ended = {"completed_frameworks": [{"id": "F", "completed_tasks": [{"id": "t", "framework_id": "F"}]}]}
    assert [task.sandbox for task in state(ended).tasks()] == ["/frameworks/F/executors/t/runs/latest"]


def test_an_agent_that_takes_no_part_says_why() -> None:
    agents = [{}, {"active": False}, {"deactivated": True}, {"deactivated": True, "drain_info": {"state": "DRAINED"}}]
    view = overview([], state({"slaves": agents}), Apps())
    assert [agent.state for agent in view.agents] == ["active", "disconnected", "deactivated", "drained"]
