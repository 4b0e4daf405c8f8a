"""The v0 endpoints: shapes as recorded from Mesos (``oper_08_v0_master``, ``oper_02``, ``oper_04``)."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headrace.kernel.clock import SystemClock
from headrace.kernel.http.messages import Request
from headrace.mesos.master.api.views import Views
from headrace.mesos.messages.common import DomainInfo, FaultDomain, Named
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World

NOTHING = {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.0}


@pytest.fixture
def world() -> World:
    return World()


def page(world: World, path: str, query: str = "") -> Any:
    views = Views(world.books, {"port": "5050"}, "ours", SystemClock())
    response = views.paths()[path](Request("GET", path, query, {}, b""))
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


def running(world: World) -> tuple[FakeAgent, FakeFramework]:
    agent, framework = world.agent("h1", cpus=8, mem=8192, disk=20480), world.framework(roles=["test"])
    framework.accept(framework.task("t1", agent, resources={"cpus": 0.1, "mem": 32}))
    framework.acknowledge(agent.update("t1", "TASK_RUNNING"))
    return agent, framework


def reserve(world: World, agent: FakeAgent, role: str, cpus: float) -> None:
    resource = {"name": "cpus", "scalar": {"value": cpus}, "reservations": [{"type": "DYNAMIC", "role": role}]}
    order = {"agent_id": {"value": agent.id}, "resources": [resource]}
    assert world.order("RESERVE_RESOURCES", reserve_resources=order).status == 202


def test_an_agent(world: World) -> None:
    agent, framework = running(world)
    (seen,) = page(world, "/state")["slaves"]
    seen.pop("capabilities")
    assert seen == {
        "id": agent.id,
        "hostname": "h1",
        "port": 5051,
        "attributes": {},
        "pid": "slave(1)@10.0.0.1:5051",
        "registered_time": 1000.0,
        "resources": {"disk": 20480.0, "mem": 8192.0, "gpus": 0.0, "cpus": 8.0},
        "used_resources": NOTHING | {"cpus": 0.1, "mem": 32.0},
        "offered_resources": {"disk": 20480.0, "mem": 8160.0, "gpus": 0.0, "cpus": 7.9},
        "reserved_resources": {},
        "unreserved_resources": {"disk": 20480.0, "mem": 8192.0, "gpus": 0.0, "cpus": 8.0},
        "active": True,
        "deactivated": False,
        "version": "0.1",
    }
    framework.disconnect()
    agent.disconnect()
    (seen,) = page(world, "/state")["slaves"]
    assert (seen["active"], seen["offered_resources"]) == (False, NOTHING)
    agent.register()
    assert page(world, "/slaves")["slaves"][0]["reregistered_time"] == 1000.0


def test_reservations_are_shown_as_they_become(world: World) -> None:
    agent = world.agent(cpus=8, mem=64)
    assert page(world, "/slaves")["slaves"][0]["reserved_resources"] == {}
    reserve(world, agent, "v0", 0.5)
    (seen,) = page(world, "/slaves", f"slave_id={agent.id}")["slaves"]
    assert seen["reserved_resources"] == {"v0": NOTHING | {"cpus": 0.5}}
    assert seen["unreserved_resources"] == NOTHING | {"cpus": 7.5, "mem": 64.0}
    assert seen["resources"] == NOTHING | {"cpus": 8.0, "mem": 64.0}
    cpus = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.5}}
    both = {**cpus, "role": "v0", "reservation": {}, "reservations": [{"type": "DYNAMIC", "role": "v0"}]}
    assert seen["reserved_resources_full"] == {"v0": [both]}
    mem = {"name": "mem", "type": "SCALAR", "scalar": {"value": 64.0}, "role": "*"}
    assert seen["unreserved_resources_full"] == [{**cpus, "scalar": {"value": 7.5}, "role": "*"}, mem]
    reserve(world, agent, "v0/child", 1.0)
    assert page(world, "/slaves", "slave_id=nobody")["slaves"] == []


def test_an_agent_that_has_not_come_back_yet(world: World) -> None:
    agent = world.agent()
    world.restart()
    state = page(world, "/state")
    assert state["slaves"] == []
    (seen,) = state["recovered_slaves"]
    assert (seen["id"], seen["active"], seen["resources"]["cpus"]) == (agent.id, False, 8.0)


def test_a_framework_and_its_executors(world: World) -> None:
    agent, framework = world.agent(cpus=8, mem=8192, disk=64), world.framework()
    own = framework.executor("e1", type="CUSTOM", command={"value": "run", "environment": {"variables": []}})
    launch = framework.task("t1", agent, command=None, executor=own, limits={"cpus": {"value": "Infinity"}})
    framework.accept(launch)
    (seen,) = page(world, "/frameworks")["frameworks"]
    (executor,) = seen["executors"]
    assert executor == {
        "executor_id": "e1",
        "name": "",
        "framework_id": framework.id,
        "command": {"shell": True, "value": "run", "argv": [], "uris": []},
        "resources": NOTHING | {"cpus": 0.1, "mem": 32.0, "disk": 32.0},
        "role": "test",
        "type": "CUSTOM",
        "slave_id": agent.id,
    }
    (task,) = seen["tasks"]
    assert task["limits"] == {"cpus": "Infinity"}
    world.restart()
    agent.register()
    (seen,) = page(world, "/frameworks")["frameworks"]
    assert (seen["recovered"], len(seen["executors"])) == (True, 1)


def test_what_a_framework_holds_counts_its_executors(world: World) -> None:
    agent, framework = world.agent(cpus=8, mem=8192, disk=64), world.framework()
    own = framework.executor("e1", type="CUSTOM", command={"value": "run"})
    framework.accept(framework.task("t1", agent, command=None, executor=own))
    (seen,) = page(world, "/state")["frameworks"]
    assert seen["used_resources"] == {"disk": 32.0, "mem": 64.0, "gpus": 0.0, "cpus": 1.1}
    assert [task["executor_id"] for task in seen["tasks"]] == ["e1"]
    (slave,) = page(world, "/state")["slaves"]
    assert slave["used_resources"] == {"disk": 32.0, "mem": 64.0, "gpus": 0.0, "cpus": 1.1}


def test_roles_with_those_below_them(world: World) -> None:
    agent = world.agent(cpus=8, mem=8192)
    world.order("UPDATE_WEIGHTS", update_weights={"weight_infos": [{"role": "wr", "weight": 2.5}]})
    config = {"role": "a", "guarantees": {"cpus": {"value": 1}}, "limits": {"cpus": {"value": 2}}}
    world.order("UPDATE_QUOTA", update_quota={"quota_configs": [config]})
    reserve(world, agent, "a/b", 0.5)
    framework = world.framework(roles=["a/b"])
    offers = list(framework.offers)
    framework.accept(framework.task("t1", agent, resources={"cpus": 1, "mem": 32}), offers=offers, refuse=1000)
    roles = {role["name"]: role for role in page(world, "/roles")["roles"]}
    assert list(roles) == ["a", "a/b", "wr"]
    consumed = {"cpus": 1.5, "mem": 32.0}
    assert roles["a"]["quota"] == {
        "role": "a",
        "guarantee": {"cpus": 1.0},
        "limit": {"cpus": 2.0},
        "consumed": consumed,
    }
    assert roles["a/b"]["quota"] == {"role": "a/b", "guarantee": {}, "limit": {}, "consumed": consumed}
    assert roles["a"]["allocated"] == roles["a/b"]["allocated"] == {"cpus": 1.0, "mem": 32.0}
    assert roles["a"]["reserved"] == {"cpus": 0.5}
    assert (roles["a"]["frameworks"], roles["a/b"]["frameworks"]) == ([], [framework.id])
    assert (roles["wr"]["weight"], roles["a"]["weight"]) == (2.5, 1.0)
    empty: dict[str, Any] = {"resources": {}, "allocated": {}, "offered": {}, "reserved": {}, "frameworks": []}
    quota = {"role": "wr", "guarantee": {}, "limit": {}, "consumed": {}}
    assert roles["wr"] == {"name": "wr", "weight": 2.5, "quota": quota, **empty}


def test_what_is_offered_counts_as_resources_of_a_role(world: World) -> None:
    world.agent(cpus=8, mem=64)
    world.framework(roles=["test"])
    (role,) = page(world, "/roles")["roles"]
    assert role["offered"] == role["resources"] == {"cpus": 8.0, "mem": 64.0}
    assert role["quota"]["consumed"] == {}


def test_the_summary_counts_tasks_by_state(world: World) -> None:
    agent, framework = running(world)
    idle = world.agent("h2", port=5052)
    summary = page(world, "/state-summary")
    busy, other = summary["slaves"]
    assert (busy["TASK_RUNNING"], busy["framework_ids"]) == (1, [framework.id])
    assert (other["id"], other["TASK_RUNNING"], other["framework_ids"]) == (idle.id, 0, [])
    assert summary["frameworks"][0]["slave_ids"] == [agent.id]


def test_domains(world: World) -> None:
    domain = DomainInfo(FaultDomain(Named("eu"), Named("eu-1")))
    agent = FakeAgent(world, world.agent("h1").info)
    agent.info = msgspec.structs.replace(agent.info, hostname="h2", port=6000, domain=domain)
    agent.register()
    seen = page(world, "/slaves", f"slave_id={agent.id}")["slaves"][0]
    assert seen["domain"] == {"fault_domain": {"region": {"name": "eu"}, "zone": {"name": "eu-1"}}}


def test_stories_of_a_role_and_an_agent(world: World) -> None:
    agent = world.agent()
    config = {"role": "q", "limits": {"cpus": {"value": 2}}}
    world.order("UPDATE_QUOTA", update_quota={"quota_configs": [config]})
    world.order("UPDATE_WEIGHTS", update_weights={"weight_infos": [{"role": "q", "weight": 2}]})
    told = page(world, "/story", f"role=q&agent_id={agent.id}")
    assert [(line["what"], line["why"]) for line in told["role"]] == [
        ("quota set by an operator", "guarantees none, limits cpus:2"),
        ("weight set by an operator", "2"),
    ]
    assert [line["what"] for line in told["agent"]] == ["registered"]


def test_metrics_of_agents_and_quota(world: World) -> None:
    agent, _ = running(world)
    config = {"role": "q", "limits": {"cpus": {"value": 2}}}
    world.order("UPDATE_QUOTA", update_quota={"quota_configs": [config]})
    agent.disconnect()
    agent.register()
    metrics = page(world, "/metrics/snapshot")
    assert metrics["master/slave_registrations"] == metrics["master/slave_reregistrations"] == 1
    assert (metrics["master/cpus_total"], metrics["master/cpus_used"]) == (8.0, 0.1)
    assert metrics["allocator/mesos/quota/roles/q/resources/cpus/limit"] == 2.0
