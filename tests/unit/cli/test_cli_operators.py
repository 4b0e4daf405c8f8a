"""``headrace node|role|quota|weight|maintenance|task``: what they send, show and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headrace.cli import output
from headrace.cli.main import main
from tests.unit.cli.flink_stub import Stub, stub

ID = "3669ea2b-S"


def agent(number: int, hostname: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{ID}{number}",
        "hostname": hostname,
        "pid": f"slave(1)@10.0.0.{number}:5051",
        "active": True,
        "resources": {"cpus": 8, "mem": 8192, "disk": 100, "ports": "[31000-32000]"},
        "used_resources": {"cpus": 0.5, "mem": 512, "disk": 0},
        "registered_time": 1000.0,
        **more,
    }


DRAINING = {"state": "DRAINING", "config": {"max_grace_period": {"nanoseconds": 2_000_000_000}, "mark_gone": False}}
FOR_GOOD = {**DRAINING, "config": {**DRAINING["config"], "mark_gone": True}}  # type: ignore[dict-item]
DATABASE = {
    "reserved_resources": {"db": {"disk": 2048}},
    "reserved_resources_full": {
        "db": [
            {"name": "disk", "type": "SCALAR", "scalar": {"value": 1536}},
            {"name": "disk", "type": "SCALAR", "scalar": {"value": 512}, "disk": {"persistence": {"id": "data"}}},
            {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 2}]}},
        ]
    },
}
TASK = {
    "id": "web.1",
    "name": "web",
    "framework_id": "f1",
    "slave_id": f"{ID}1",
    "state": "TASK_RUNNING",
    "resources": {"cpus": 0.5, "mem": 64},
    "statuses": [{"state": "TASK_RUNNING", "timestamp": 1000.0}],
}
SCHEDULE = {
    "windows": [
        {
            "machine_ids": [{"hostname": "one", "ip": "10.0.0.1"}, {"hostname": "spare"}],
            "unavailability": {"start": {"nanoseconds": 10**18}, "duration": {"nanoseconds": 60 * 10**9}},
        }
    ]
}


@pytest.fixture
def master() -> Iterator[Stub]:
    with stub() as it:
        it.answers = {
            "GET /master/slaves": {
                "slaves": [
                    agent(1, "one", drain_info=DRAINING, deactivated=True, active=False),
                    agent(2, "two", attributes={"rack": "r1"}, **DATABASE),
                    agent(3, "two", deactivated=True, active=False),
                    agent(4, "four", active=False),
                ],
                "recovered_slaves": [agent(5, "five"), agent(6, "six", drain_info=DRAINING)],
            },
            "GET /master/state": {
                "slaves": [agent(1, "one")],
                "frameworks": [
                    {"id": "f1", "name": "marathon", "tasks": [TASK]},
                    {"id": "f2", "name": "other", "tasks": [{**TASK, "id": "job", "framework_id": "f2"}]},
                ],
            },
            "GET /master/story": {"agent": [{"at": 1000.0, "what": "draining", "why": "by an operator"}], "task": []},
            "GET /maintenance/schedule": SCHEDULE,
            "GET /maintenance/status": {
                "draining_machines": [
                    {
                        "id": {"hostname": "one", "ip": "10.0.0.1"},
                        "statuses": [{"status": "ACCEPT", "framework_id": {"value": "f1"}, "timestamp": {}}],
                    }
                ],
                "down_machines": [{"hostname": "spare"}],
            },
            "GET /master/roles": {
                "roles": [
                    {
                        "name": "dev",
                        "weight": 2.0,
                        "frameworks": ["f1"],
                        "allocated": {"cpus": 0.5, "mem": 64},
                        "reserved": {"disk": 2048},
                        "quota": {"guarantee": {"cpus": 1}, "limit": {}, "consumed": {"cpus": 0.5}},
                    }
                ]
            },
            "GET /master/quota": {
                "configs": [{"role": "dev", "guarantees": {"cpus": {"value": 1}}, "limits": {"mem": {"value": 2048}}}]
            },
            "GET /master/weights": (200, [{"role": "dev", "weight": 2.0}]),
            "GET /master/tasks": {"tasks": [TASK]},
            "POST /v2/tasks/delete": {"tasks": [TASK]},
        }
        for path in ("/api/v1", "/maintenance/schedule", "/machine/down", "/machine/up"):
            it.answers[f"POST {path}"] = (200, b"")
        yield it


def headrace(it: Stub, *arguments: str, **more: Any) -> Result:
    environment = {"HEADRACE_MASTER": it.url, "HEADRACE_MARATHON": it.url}
    return CliRunner().invoke(main, list(arguments), env=environment, **more)


def done(it: Stub, *arguments: str, **more: Any) -> str:
    result = headrace(it, *arguments, **more)
    assert result.exit_code == 0, result.output
    return result.output


# Nodes


def test_nodes_are_listed_with_what_may_be_used_of_them(master: Stub) -> None:
    lines = done(master, "node", "list").splitlines()
    assert lines[0].split() == ["HOST", "ADDRESS", "ID", "STATE", "CPUS", "MEMORY", "DISK", "SINCE"]
    states = ("draining", "active", "deactivated", "disconnected", "not back yet", "draining, not back yet")
    for line, state in zip(lines[1:], states, strict=True):
        assert f" {state} " in line
    assert "0.5 of 8" in lines[1]
    assert json.loads(done(master, "node", "list", "--json"))["slaves"][0]["id"] == f"{ID}1"


def test_a_node_is_shown_with_its_tasks_and_its_story(master: Stub) -> None:
    text = done(master, "node", "show", "one")
    for words in (
        "state        draining",
        "at most 2 s for each task",
        "for 1 min",
        "web.1",
        "draining (by an operator)",
        "ports        [31000-32000]",
    ):
        assert words in text
    other = done(master, "node", "show", f"{ID}2")
    assert "attributes   rack=r1" in other
    assert "reserved     for db: disk 2.0 GiB\nvolume       data of db: 512 MiB\n" in other
    assert "No tasks." in other
    assert json.loads(done(master, "node", "show", "10.0.0.2:5051", "--json"))["id"] == f"{ID}2"


def test_a_master_that_keeps_no_stories_is_no_error(master: Stub) -> None:
    master.answers["GET /master/story"] = (404, b"")
    assert "web.1" in done(master, "node", "show", "one")
    assert "sandbox" in done(master, "task", "show", "web")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["node", "show", "nine"], 3, "there is no node nine; `headrace node list` shows all"),
        (["node", "drain", "two"], 1, f"two may mean 2 nodes: {ID}2 (10.0.0.2:5051), {ID}3"),
        (["node", "gone", ""], 1, "the name is empty"),
        (["node", "drain", "one", "--grace", "-1"], 2, "--grace"),
        (["quota", "set", "dev"], 2, "give --guarantee, --limit or both"),
        (["quota", "set", "dev", "--limit", "cpus"], 2, "'cpus' is no amount; give amounts as cpus:4;mem:8192"),
        (["quota", "set", "dev", "--limit", "cpus:1;cpus:2"], 2, "cpus is given twice"),
        (["quota", "update", "ops", "--limit", "cpus:1"], 3, "role ops has no quota"),
        (["quota", "remove", "ops"], 3, "role ops has no quota; `headrace quota list` shows which have"),
        (["node", "drain", "four", "--grace", "inf"], 2, "inf is no number to reckon with"),
        (["weight", "set", "dev", "0"], 2, "WEIGHT"),
        (["weight", "set", "dev", "nan"], 2, "nan is no number to reckon with"),
        (["weight", "set", "dev", "inf"], 2, "inf is no number to reckon with"),
        (["maintenance", "schedule"], 2, "give machines, or a whole schedule with --file"),
        (["maintenance", "schedule", "nine"], 3, "no agent is on a machine nine, and none is scheduled"),
        (["maintenance", "schedule", ID], 1, f"{ID} may mean 6 nodes"),
        (["maintenance", "schedule", "one", "--start", "soon"], 2, "'soon' is no time"),
        (["maintenance", "schedule", "one", "--start", "+inf"], 2, "'+inf' is no time"),
        (["maintenance", "schedule", "one", "--duration", "inf"], 2, "inf is no number to reckon with"),
        (["maintenance", "start", "two"], 1, "two@10.0.0.2, two@10.0.0.3; name one as HOST@IP"),
        (["maintenance", "start", "four", "--yes"], 1, "four@10.0.0.4: not scheduled; `headrace maintenance schedule`"),
        (["maintenance", "cancel"], 2, "name machines, or give --all"),
        (["maintenance", "cancel", "four"], 1, "four@10.0.0.4: not scheduled"),
        (["task", "kill", "job"], 1, "task job is of the framework other, and only that can end it"),
        (["task", "kill", ""], 3, "there is no task"),
        (["task", "kill", "nine"], 3, "there is no task nine"),
        (["task", "show", "nine"], 3, "there is no task nine"),
        (["task", "logs", "nine"], 3, "there is no task nine"),
        (["task", "exec", "nine", "true"], 3, "there is no task nine"),
        (["task", "attach", "nine"], 3, "there is no task nine"),
        (["app", "show", "nine"], 3, "Marathon says (404)"),
    ],
)
def test_mistakes_are_told_and_change_nothing(arguments: list[str], status: int, said: str, master: Stub) -> None:
    result = headrace(master, *arguments)
    assert result.exit_code == status, result.output
    assert said in " ".join(result.output.split())
    assert not [what for what, _ in master.asked if what.startswith("POST")]


def test_orders_about_nodes(master: Stub) -> None:
    assert "is draining" in done(master, "node", "drain", "four", "--grace", "1.5", "-y")
    assert "is deactivated" in done(master, "node", "deactivate", "S2")
    assert "is reactivated" in done(master, "node", "reactivate", f"{ID}2")
    assert "is gone" in done(master, "node", "gone", "four", "--yes")
    assert master.bodies("POST /api/v1") == [
        {
            "type": "DRAIN_AGENT",
            "drain_agent": {
                "agent_id": {"value": f"{ID}4"},
                "max_grace_period": {"seconds": 1, "nanos": 500_000_000},
            },
        },
        {"type": "DEACTIVATE_AGENT", "deactivate_agent": {"agent_id": {"value": f"{ID}2"}}},
        {"type": "REACTIVATE_AGENT", "reactivate_agent": {"agent_id": {"value": f"{ID}2"}}},
        {"type": "MARK_AGENT_GONE", "mark_agent_gone": {"agent_id": {"value": f"{ID}4"}}},
    ]


def test_what_can_not_be_undone_is_asked_about(master: Stub) -> None:
    for arguments in (
        ["node", "gone", "four"],
        ["node", "drain", "four"],
        ["node", "drain", "four", "--gone"],
        ["maintenance", "start", "one"],
    ):
        assert headrace(master, *arguments, input="n\n").exit_code == 1
    assert not [what for what, _ in master.asked if what.startswith("POST")]
    done(master, "node", "drain", "four", "--gone", input="y\n")
    assert master.bodies("POST /api/v1")[0]["drain_agent"] == {"agent_id": {"value": f"{ID}4"}, "mark_gone": True}


def test_an_unreachable_node_is_gone_by_its_whole_id(master: Stub) -> None:
    assert "is gone" in done(master, "node", "gone", "elsewhere-S9", "--yes")
    assert headrace(master, "node", "gone", "elsewhere", "--yes").exit_code == 3


def test_waiting_for_a_node_to_be_empty(master: Stub) -> None:
    drained = agent(2, "two", drain_info={**DRAINING, "state": "DRAINED"})
    master.answers["GET /master/slaves"] = [{"slaves": [agent(2, "two")]}] * 2 + [{"slaves": [drained]}]
    assert "is drained" in done(master, "node", "drain", "two", "--wait", "-y")
    master.answers["GET /master/slaves"] = [{"slaves": [agent(2, "two")]}, {"slaves": []}]
    master.answers["POST /api/v1"] = [(200, b""), (400, b"Unknown agent")]
    assert "is gone" in done(master, "node", "drain", "two", "--wait", "--gone", "--yes")
    master.answers["GET /master/slaves"] = {"slaves": [agent(2, "two")]}
    master.answers["POST /api/v1"] = (200, b"")
    result = headrace(master, "node", "drain", "two", "--wait", "--yes", "--timeout", "0")
    assert result.exit_code == 4
    assert "is not empty after 0 s" in result.output


@pytest.mark.parametrize("more", [[], ["--gone"]])
def test_a_node_that_is_not_listed_may_be_unreachable_only(more: list[str], master: Stub) -> None:
    """It says so by taking orders."""
    master.answers["GET /master/slaves"] = [{"slaves": [agent(2, "two")]}, {"slaves": []}]
    assert headrace(master, "node", "drain", "two", "--wait", "--yes", "--timeout", "0", *more).exit_code == 4


def test_who_waits_bears_a_master_that_is_away(master: Stub) -> None:
    drained = agent(1, "one", drain_info={**DRAINING, "state": "DRAINED"})
    draining = {"slaves": [agent(1, "one", drain_info=DRAINING)]}
    master.answers["GET /master/slaves"] = [draining, (503, b"not elected"), {"slaves": [drained]}]
    assert "is drained" in done(master, "node", "drain", "one", "--wait")
    master.answers["GET /master/slaves"] = [draining, (503, b"not elected")]
    result = headrace(master, "node", "drain", "one", "--wait", "--timeout", "0")
    assert result.exit_code == 4
    assert "not elected" in result.output


def test_what_was_ordered_of_a_node_that_drains_stays(master: Stub) -> None:
    master.answers["GET /master/slaves"] = {"slaves": [agent(1, "one", drain_info=FOR_GOOD)]}
    assert "is draining, then gone already" in done(master, "node", "drain", "one")
    done(master, "node", "drain", "one", "--gone", "--grace", "2")
    refused = headrace(master, "node", "drain", "one", "--grace", "1")
    assert refused.exit_code == 1
    assert "give --gone too" in refused.output
    assert not master.bodies("POST /api/v1")
    done(master, "node", "drain", "one", "--grace", "1", "--gone", "-y")
    master.answers["GET /master/slaves"] = [
        {"slaves": [agent(1, "one", drain_info=FOR_GOOD)]},
        {"slaves": []},
    ]
    master.answers["POST /api/v1"] = (400, b"Unknown agent")
    assert "is gone" in done(master, "node", "drain", "one", "--wait")
    master.answers["GET /master/slaves"] = {"slaves": [agent(1, "one", drain_info=DRAINING)]}
    master.answers["POST /api/v1"] = (200, b"")
    done(master, "node", "drain", "one", "--gone", "-y")
    bodies = [body["drain_agent"] for body in master.bodies("POST /api/v1") if body["type"] == "DRAIN_AGENT"]
    assert bodies == [
        {"agent_id": {"value": f"{ID}1"}, "max_grace_period": {"seconds": 1, "nanos": 0}, "mark_gone": True},
        {"agent_id": {"value": f"{ID}1"}, "max_grace_period": {"seconds": 2, "nanos": 0}, "mark_gone": True},
    ]


def test_a_node_that_still_drains_is_not_reactivated(master: Stub) -> None:
    master.answers["POST /api/v1"] = (400, b"Agent is still in the DRAINING state")
    result = headrace(master, "node", "reactivate", "one")
    assert result.exit_code == 1
    assert "is still draining, which can't be called off" in result.output


# Roles


def test_roles_quota_and_weights_are_listed(master: Stub) -> None:
    row = done(master, "role", "list").splitlines()[1].split()
    assert row[:11] == ["dev", "2", "1", "cpus", "0.5,", "mem", "64", "MiB", "-", "disk", "2.0"]
    quota = " ".join(done(master, "quota", "list").splitlines()[1].split())
    assert quota == "dev cpus 1 mem 2.0 GiB cpus 0.5"
    assert done(master, "weight", "list").splitlines()[1].split() == ["dev", "2"]
    assert json.loads(done(master, "role", "list", "--json"))["roles"][0]["name"] == "dev"
    assert json.loads(done(master, "quota", "list", "--json"))["configs"][0]["role"] == "dev"
    assert json.loads(done(master, "weight", "list", "--json"))[0]["weight"] == 2.0
    master.answers["GET /master/weights"] = (200, [])
    assert "All roles have the weight 1." in done(master, "weight", "list")


def test_quota_and_weights_are_changed(master: Stub) -> None:
    done(master, "quota", "set", "ops", "--guarantee", "cpus:2;mem:512", "--force")
    done(master, "quota", "update", "dev", "--limit", "cpus:4")
    done(master, "quota", "remove", "dev")
    done(master, "weight", "set", "dev", "1.5")
    assert [body.get("update_quota") or body for body in master.bodies("POST /api/v1")] == [
        {
            "quota_configs": [
                {"role": "ops", "guarantees": {"cpus": {"value": 2}, "mem": {"value": 512}}, "limits": {}}
            ],
            "force": True,
        },
        {
            "quota_configs": [
                {
                    "role": "dev",
                    "guarantees": {"cpus": {"value": 1}},
                    "limits": {"mem": {"value": 2048}, "cpus": {"value": 4}},
                }
            ]
        },
        {"quota_configs": [{"role": "dev"}]},
        {"type": "UPDATE_WEIGHTS", "update_weights": {"weight_infos": [{"role": "dev", "weight": 1.5}]}},
    ]


# Maintenance


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (90, "1 min 30 s"), (7200, "2 h"), (90_060, "1 d 1 h 1 min"), (0.5, "0.5 s")],
)
def test_lengths_of_time_are_told_in_units_that_people_use(seconds: float, said: str) -> None:
    assert output.length(seconds) == said


def test_maintenance_is_shown(master: Stub) -> None:
    lines = done(master, "maintenance", "status").splitlines()
    assert "one@10.0.0.1" in lines[1]
    assert "planned" in lines[1]
    assert lines[1].endswith("1 min   marathon: accept, other: no answer")
    assert lines[2].split()[:2] == ["spare", "down"]
    assert set(json.loads(done(master, "maintenance", "status", "--json"))) == {"schedule", "status"}


def test_machines_are_scheduled_beside_others_and_anew(master: Stub) -> None:
    done(master, "maintenance", "schedule", "four", "new@10.0.0.9", "--start", "2026-11-21T00:00:00+00:00")
    done(master, "maintenance", "schedule", "S1", "--start", "1970-01-01T00:00:01+00:00", "--duration", "2")
    first, second = master.bodies("POST /maintenance/schedule")
    assert first["windows"][0] == SCHEDULE["windows"][0]
    assert first["windows"][1] == {
        "machine_ids": [{"hostname": "four", "ip": "10.0.0.4"}, {"hostname": "new", "ip": "10.0.0.9"}],
        "unavailability": {"start": {"nanoseconds": 1795219200 * 10**9}},
    }
    assert [window["machine_ids"] for window in second["windows"]] == [
        [{"hostname": "spare"}],
        [{"hostname": "one", "ip": "10.0.0.1"}],
    ]
    assert second["windows"][1]["unavailability"] == {
        "start": {"nanoseconds": 10**9},
        "duration": {"nanoseconds": 2 * 10**9},
    }


def test_a_schedule_from_a_file_goes_as_it_is(master: Stub) -> None:
    done(master, "maintenance", "schedule", "--file", "-", input='{"windows": []}')
    assert master.bodies("POST /maintenance/schedule") == [{"windows": []}]


def test_machines_go_down_and_up_and_out_of_the_schedule(master: Stub) -> None:
    done(master, "maintenance", "start", "one", "-y")
    done(master, "maintenance", "stop", "spare")
    done(master, "maintenance", "cancel", "one")
    assert "one@10.0.0.1: no longer planned" in done(master, "maintenance", "cancel", "--all")
    assert master.bodies("POST /machine/down") == [[{"hostname": "one", "ip": "10.0.0.1"}]]
    assert master.bodies("POST /machine/up") == [[{"hostname": "spare"}]]
    for body in master.bodies("POST /maintenance/schedule"):
        assert [window["machine_ids"] for window in body["windows"]] == [[{"hostname": "spare"}]]


# Tasks


def test_a_task_is_shown(master: Stub) -> None:
    text = done(master, "task", "show", "web")
    for words in ("framework    marathon (f1)", f"agent        one ({ID}1)", "holds        cpus 0.5, mem 64 MiB"):
        assert words in text
    assert "TASK_RUNNING" in text
    assert json.loads(done(master, "task", "show", "web", "--json"))["id"] == "web.1"


def test_marathon_ends_its_tasks(master: Stub) -> None:
    assert "is being ended" in done(master, "task", "kill", "web")
    assert master.bodies("POST /v2/tasks/delete") == [{"ids": ["web.1"]}]
    master.answers["POST /v2/tasks/delete"] = {"tasks": []}
    assert "Marathon does not know the task" in headrace(master, "task", "kill", "web").output
    master.answers["GET /master/state"] = {"frameworks": [{"id": "f1", "completed_tasks": [TASK]}]}
    assert headrace(master, "task", "kill", "web").exit_code == 3
