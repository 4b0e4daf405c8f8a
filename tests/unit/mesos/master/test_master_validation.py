"""What is refused, in which words, and that nothing is lost by it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.mesos.door import CallError
from headrace.mesos.master.api import calls
from headrace.mesos.master.core import validation
from headrace.mesos.messages.agent_link import RunTasks
from headrace.mesos.messages.common import Capability, FrameworkInfo
from tests.unit.mesos.master.master_world import FakeFramework, World

MULTI = [Capability("MULTI_ROLE")]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Failed to parse body into JSON: syntax error at line 1 near: "),
        (b"[1]", "Failed to convert JSON into Call protobuf: Expecting a JSON object"),
        (b"{}", "Failed to validate scheduler::Call: Expecting 'type' to be present"),
        (b'{"type":"FOO"}', "Failed to validate scheduler::Call: Expecting 'type' to be present"),
        (
            b'{"type":"UNKNOWN","framework_id":{"value":"f"}}',
            "Failed to validate scheduler::Call: Expecting 'type' to be present",
        ),
        (b'{"type":"SUBSCRIBE"}', "Failed to validate scheduler::Call: Expecting 'subscribe' to be present"),
        (
            b'{"type":"SUBSCRIBE","subscribe":{}}',
            "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info",
        ),
        (
            b'{"type":"SUBSCRIBE","subscribe":{"framework_info":{"name":"x"}}}',
            "Failed to convert JSON into Call protobuf: Missing required fields: subscribe.framework_info.user",
        ),
        (
            b'{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"x","id":{"value":"a"}}}}',
            "Failed to validate scheduler::Call: 'framework_id' differs from 'subscribe.framework_info.id'",
        ),
        (b'{"type":"REVIVE"}', "Failed to validate scheduler::Call: Expecting 'framework_id' to be present"),
        (
            b'{"type":"ACCEPT","framework_id":{"value":"f"}}',
            "Failed to validate scheduler::Call: Expecting 'accept' to be present",
        ),
        (
            b'{"type":"ACKNOWLEDGE","framework_id":{"value":"f"},"acknowledge":{"agent_id":{"value":"x"},'
            b'"task_id":{"value":"y"},"uuid":"bm90LWEtdXVpZA=="}}',
            "Failed to validate scheduler::Call: Not a valid UUID",
        ),
        (
            b'{"type":"ACKNOWLEDGE","framework_id":{"value":"f"},"acknowledge":{"agent_id":{"value":"x"},'
            b'"task_id":{"value":"y"},"uuid":"***"}}',
            "Failed to convert JSON into Call protobuf: "
            "Failed to base64 decode bytes field 'uuid': Invalid character '*'",
        ),
        (
            b'{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"operations":[{"type":"LAUNCH","launch":'
            b'{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"a"},"executor":{}}]}}]}}',
            "Failed to convert JSON into Call protobuf: Missing required fields: "
            "accept.operations[0].launch.task_infos[0].executor.executor_id",
        ),
        (
            b'{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"operations":[{"type":"LAUNCH"}]}}',
            "Failed to validate scheduler::Call: Expecting 'accept.operations[0].launch' to be present",
        ),
        (
            b'{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"operations":[{"type":"FOO"}]}}',
            "Failed to validate scheduler::Call: Expecting 'accept.operations[0].type' to be present",
        ),
        (
            b'{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"operations":[{"type":"GROW_VOLUME"}]}}',
            "Failed to validate scheduler::Call: Expecting 'accept.operations[0].grow_volume' to be present",
        ),
        (
            b'{"type":"ACKNOWLEDGE_OPERATION_STATUS","framework_id":{"value":"f"},"acknowledge_operation_status":'
            b'{"operation_id":{"value":"o"},"uuid":"AAAAAAAAAAAAAAAAAAAAAA=="}}',
            "Failed to validate scheduler::Call: Expecting 'agent_id' to be present",
        ),
        (
            b'{"type":"MESSAGE","framework_id":{"value":"f"},"message":{"agent_id":{"value":"a"},'
            b'"executor_id":{"value":"e"},"data":"a"}}',
            "Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field 'data': Invalid length",
        ),
        (
            b'{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"operations":[{"type":"LAUNCH","launch":'
            b'{"task_infos":[{"name":"t","task_id":{"value":"t"},"agent_id":{"value":"S"},"data":"hush!"}]}}]}}',
            "Failed to convert JSON into Call protobuf: "
            "Failed to base64 decode bytes field 'data': Invalid character '!'",
        ),
        (
            b'{"type":"ACCEPT","framework_id":{"value":"f"},"accept":{"operations":[{"type":"LAUNCH_GROUP",'
            b'"launch_group":{"executor":{"executor_id":{"value":"e"},"data":"a"},"task_group":{}}}]}}',
            "Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field 'data': Invalid length",
        ),
        (
            b'{"type":"KILL","framework_id":{"value":"f"},"kill":{"task_id":{"value":7}}}',
            "Failed to convert JSON into Call protobuf: Expected `str`, got `int` - at `$.kill.task_id.value`",
        ),
    ],
)
def test_malformed_calls(body: bytes, text: str) -> None:
    with pytest.raises(CallError) as caught:
        calls.read(body)
    assert str(caught.value) == text


def test_every_unset_field_may_be_null() -> None:
    names = [*calls.BODIES.values(), "revive", "suppress"]
    body = {"type": "REVIVE", "framework_id": {"value": "f"}, **dict.fromkeys(names)}
    assert calls.read(msgspec.json.encode(body)).type == "REVIVE"
    task = {"name": "t", "task_id": {"value": "t"}, "agent_id": {"value": "a"}, "executor": None, "labels": None}
    accept = {"offer_ids": None, "filters": None, "operations": [{"type": "LAUNCH", "launch": {"task_infos": [task]}}]}
    assert calls.read(msgspec.json.encode({**body, "type": "ACCEPT", "accept": accept})).accept is not None


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (
            FrameworkInfo("u", "x", roles=["a b"], capabilities=MULTI),
            "'FrameworkInfo.roles' contains invalid role: "
            "Role component 'a b' is invalid because it contains backspace or whitespace",
        ),
        (
            FrameworkInfo("u", "x", roles=["test"], role="test", capabilities=MULTI),
            "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
        ),
        (
            FrameworkInfo("u", "x", roles=["test"]),
            "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE capable",
        ),
        (
            FrameworkInfo("u", "x", roles=["test", "test"], capabilities=MULTI),
            "'FrameworkInfo.roles' contains duplicate items: { test }",
        ),
        (FrameworkInfo("u", "x", failover_timeout=1e300), "The framework failover_timeout (1e+300) is invalid"),
        (FrameworkInfo("", "x", failover_timeout=-1.0), None),
        (FrameworkInfo("u", "x"), None),
        (FrameworkInfo("u", "x", role="a/b"), None),
        (
            FrameworkInfo("u", "x", role="a//b"),
            "'FrameworkInfo.role' is not a valid role: Role 'a//b' cannot contain two adjacent slashes",
        ),
    ],
)
def test_frameworks(info: FrameworkInfo, text: str | None) -> None:
    assert validation.framework(info, ()) == text


@pytest.mark.parametrize("role", ["", "/a", "a/", ".", "a/..", "-a", "a\tb", "a/*"])
def test_what_is_no_role(role: str) -> None:
    assert validation.role(role)


@pytest.mark.parametrize("role", ["*", "a", "a-b", "a/b/c", "ä"])
def test_what_is_a_role(role: str) -> None:
    assert validation.role(role) is None


BAD_TASKS: list[tuple[dict[str, Any], str]] = [
    (
        {"resources": {"cpus": 1000, "mem": 32}},
        "Total resources cpus(allocated: test):1000; mem(allocated: test):32 required by task and its executor "
        "is more than available cpus(allocated: test):8; mem(allocated: test):8192",
    ),
    ({"resources": {}}, "Task uses no resources"),
    ({"command": None}, "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present"),
    ({"task_id": {"value": "a/b"}}, "'a/b' contains invalid characters"),
    ({"task_id": {"value": ""}}, "ID must not be empty"),
    ({"task_id": {"value": ".."}}, "'..' is disallowed"),
    ({"task_id": {"value": "x" * 256}}, "ID must not be greater than 255 characters"),
    ({"agent_id": {"value": "other-S1"}}, "Task uses invalid agent other-S1 while agent m-S0 is expected"),
    ({"kill_policy": {"grace_period": {"nanoseconds": -5}}}, "Task's 'kill_policy.grace_period' must be non-negative"),
    ({"max_completion_time": {"nanoseconds": -1}}, "Task's `max_completion_time` must be non-negative"),
    (
        {"health_check": {"type": "HTTP"}},
        "Task uses invalid health check: Expecting 'http' to be set for HTTP health check",
    ),
    (
        {"health_check": {"http": {"port": 1, "path": "x"}}},
        "Task uses invalid health check: The path 'x' of HTTP health check must start with '/'",
    ),
    ({"health_check": {}}, "Task uses invalid health check: HealthCheck must specify 'type'"),
    (
        {"health_check": {"type": "COMMAND", "command": {"shell": False}}},
        "Task uses invalid health check: Command health check must contain 'executable path'",
    ),
    (
        {"health_check": {"type": "TCP", "tcp": {"port": 1}, "interval_seconds": -1}},
        "Task uses invalid health check: Expecting 'interval_seconds' to be non-negative",
    ),
    ({"check": {}}, "Task uses invalid check: CheckInfo must specify 'type'"),
    ({"check": {"type": "TCP"}}, "Task uses invalid check: Expecting 'tcp' to be set for TCP check"),
    (
        {"check": {"type": "COMMAND", "command": {"command": {}}}},
        "Task uses invalid check: Command check must contain 'shell command'",
    ),
    (
        {"check": {"type": "HTTP", "http": {"port": 1, "path": "x"}}},
        "Task uses invalid check: The path 'x' of HTTP check must start with '/'",
    ),
    (
        {"command": {"value": "true", "environment": {"variables": [{"name": "X"}]}}},
        "Task's `CommandInfo` is invalid: Environment variable 'X' of type 'VALUE' must have a value set",
    ),
    (
        {"command": {"value": "true", "environment": {"variables": [{"name": "X", "type": "SECRET", "value": "v"}]}}},
        "Task's `CommandInfo` is invalid: Environment variable 'X' of type 'SECRET' must have a secret set",
    ),
    (
        {"container": {"type": "MESOS", "volumes": [{"container_path": "x", "mode": "RW"}]}},
        "Task's `ContainerInfo` is invalid: Invalid volume: "
        "Only one of them should be set: 'host_path', 'image' and 'source'",
    ),
    (
        {"container": {"type": "MESOS", "volumes": [{"container_path": "x", "source": {"type": "SANDBOX_PATH"}}]}},
        "Task's `ContainerInfo` is invalid: Invalid volume: 'source.sandbox_path' is not set for SANDBOX_PATH volume",
    ),
    (
        {"container": {"type": "DOCKER"}},
        "Task's `ContainerInfo` is invalid: DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
    ),
    (
        {"container": {"type": "DOCKER", "docker": {"image": "i", "parameters": [{"key": "name", "value": "x"}]}}},
        "Task's `ContainerInfo` is invalid: Parameter in DockerInfo must not be 'name'",
    ),
    ({"limits": {"disk": {"value": 1}}}, "Only cpus and mem may be included in a task's resource limits"),
    ({"limits": {"cpus": {"value": 0.5}}}, "The cpu limit must be greater than or equal to the cpu request"),
    ({"limits": {"mem": {"value": 31}}}, "The memory limit must be greater than or equal to the memory request"),
    ({"limits": {"cpus": {"value": "NaN"}}}, "The cpu limit 'NaN' is not a number"),
    (
        {"limits": {"cpus": {"value": 1e300}}},
        "The cpu limit '1e+300' is not valid: it must be at most 1e+15, or Infinity",
    ),
    (
        {"limits": {"mem": {"value": "1e16"}}},
        "The memory limit '1e16' is not valid: it must be at most 1e+15, or Infinity",
    ),
    (
        {"resources": {"mem": 32}, "limits": {"cpus": {"value": 1}}},
        "When a CPU limit is specified, a CPU request must also be specified",
    ),
    (
        {"resources": {"cpus": 1, "gpus": 0.5}},
        "Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer",
    ),
    (
        {"container": {"type": "MESOS", "linux_info": {"share_cgroups": False}}},
        "Only tasks in a task group may have 'share_cgroups' set to 'false'",
    ),
    (
        {"command": None, "executor": {"executor_id": {"value": "e"}, "framework_id": {"value": "zzz"}}},
        "ExecutorInfo has an invalid FrameworkID (Actual: zzz vs Expected: m-0000)",
    ),
    ({"command": None, "executor": {"executor_id": {"value": "e"}}}, "'ExecutorInfo.command' must be set"),
    (
        {"command": None, "executor": {"executor_id": {"value": "e"}, "type": "DEFAULT"}},
        "'ExecutorInfo.type' must be 'CUSTOM'",
    ),
    (
        {"command": None, "executor": {"executor_id": {"value": "e/f"}, "command": {"value": "x"}}},
        "'e/f' contains invalid characters",
    ),
    (
        {
            "command": None,
            "executor": {
                "executor_id": {"value": "e"},
                "command": {"value": "x"},
                "shutdown_grace_period": {"nanoseconds": -1},
            },
        },
        "ExecutorInfo's 'shutdown_grace_period' must be non-negative",
    ),
]


@pytest.mark.parametrize(("change", "text"), BAD_TASKS, ids=range(len(BAD_TASKS)))
def test_bad_tasks_are_errors_and_their_offer_comes_back(change: dict[str, Any], text: str) -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    resources = change.pop("resources", None)
    task = framework.task("t1", agent, **({"resources": resources} if resources is not None else {})) | change
    framework.accept(task)
    (status,) = framework.statuses
    assert (status.state, status.reason, status.source) == ("TASK_ERROR", "REASON_TASK_INVALID", "SOURCE_MASTER")
    assert (status.message, status.uuid) == (text, None)
    assert not agent.heard(RunTasks)
    world.advance(1)
    assert len(framework.offers) == 1


def raw_resource(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        ([raw_resource("cpus", -1)], "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"),
        (
            [raw_resource("cpus", 0.1, allocation_info={"role": "zzz"})],
            "Total resources cpus(allocated: zzz):0.1 required by task and its executor "
            "is more than available cpus(allocated: test):8; mem(allocated: test):8192",
        ),
        (
            [raw_resource("cpus", 1, reservations=[{"type": "STATIC", "role": "test"}])],
            "Total resources cpus(allocated: test)(reservations: [(STATIC,test)]):1 required by task and its executor "
            "is more than available cpus(allocated: test):8; mem(allocated: test):8192",
        ),
        (
            [raw_resource("cpus", 1, reservations=[{"role": "test"}])],
            "Resource 'cpus(reservations: [(DYNAMIC,test)]):1' is invalid: "
            "Invalid reservation: 'Resource.ReservationInfo.type' field must be set.",
        ),
        (
            [raw_resource("cpus", 1, reservations=[{"type": "STATIC", "role": "*"}])],
            "Resource 'cpus(reservations: [(STATIC,*)]):1' is invalid: "
            'Invalid reservation: role "*" cannot be reserved',
        ),
        (
            [raw_resource("cpus", 1, reservations=[{"type": "DYNAMIC", "role": r} for r in ("a", "b")])],
            "Resource 'cpus(reservations: [(DYNAMIC,a),(DYNAMIC,b)]):1' is invalid: "
            "Invalid refined reservation: role 'b' is not a refinement of 'a'",
        ),
        (
            [raw_resource("cpus", 1, reservation={"principal": "p"})],
            "Resource 'cpus:1' is invalid: Invalid reservation: role \"*\" cannot be dynamically reserved",
        ),
        (
            [raw_resource("cpus", 1, disk={})],
            "Resource 'cpus:1' is invalid: DiskInfo should not be set for cpus resource",
        ),
        (
            [raw_resource("disk", 1, disk={})],
            "Task uses invalid resources: Invalid DiskInfo: DiskInfo is set but empty",
        ),
        (
            [raw_resource("disk", 1, shared={})],
            "Resource 'disk<SHARED>:1' is invalid: Only persistent volumes can be shared",
        ),
        (
            [raw_resource("disk", 1, disk={"persistence": {"id": "v"}, "volume": {"container_path": "x"}})],
            "Task uses invalid resources: Invalid DiskInfo: "
            "Persistent volumes cannot be created from unreserved resources",
        ),
        (
            [raw_resource("cpus", 1), raw_resource("cpus", 1, revocable={})],
            "Task mixes revocable and non-revocable resources: "
            "Cannot use both revocable and non-revocable 'cpus' at the same time",
        ),
        (
            [raw_resource("cpus", 1, allocation_info={"role": r}) for r in ("test", "b")],
            "Invalid task resources: The resources have multiple allocation roles ('b' and 'test') "
            "but only one allocation role is allowed",
        ),
        (
            [{"name": "x", "type": "SET", "set": {"item": ["a", "a"]}}],
            "Resource 'x:{a, a}' is invalid: Invalid set resource: duplicated elements",
        ),
        (
            [
                {
                    "name": "ports",
                    "type": "RANGES",
                    "ranges": {"range": [{"begin": 1, "end": 4}, {"begin": 4, "end": 5}]},
                }
            ],
            "Resource 'ports:[1-4, 4-5]' is invalid: Invalid ranges resource: overlapping ranges",
        ),
        (
            [{"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 5, "end": 4}]}}],
            "Resource 'ports:[5-4]' is invalid: Invalid ranges resource: begin > end or begin < 0",
        ),
    ],
)
def test_bad_resources(resources: list[dict[str, Any]], text: str) -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent) | {"resources": resources})
    assert framework.statuses[0].message == text


def test_zero_of_a_resource_is_accepted() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent) | {"resources": [raw_resource("cpus", 0), raw_resource("mem", 32)]})
    assert len(agent.heard(RunTasks)) == 1


def test_of_two_tasks_with_one_id_the_first_runs() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent), framework.task("t1", agent))
    assert [status.message for status in framework.statuses] == ["Task has duplicate ID: t1"]
    assert len(agent.heard(RunTasks)[0].tasks) == 1


def test_tasks_of_one_launch_share_the_offer() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    big = {"cpus": 5, "mem": 32}
    framework.accept(framework.task("t1", agent, resources=big), framework.task("t2", agent, resources=big))
    assert [task.task_id.value for task in agent.heard(RunTasks)[0].tasks] == ["t1"]
    assert "more than available cpus(allocated: test):3" in (framework.statuses[0].message or "")


def lost(framework: FakeFramework) -> str:
    (status,) = framework.statuses
    assert (status.state, status.reason) == ("TASK_LOST", "REASON_INVALID_OFFERS")
    return (status.message or "").removeprefix("Task launched with invalid offers: ")


def test_unknown_offers_lose_the_task() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    assert framework.accept(framework.task("t", agent), offers=["no-such-offer"]).status == 202
    assert lost(framework) == "Offer no-such-offer is no longer valid"


def test_no_offers_lose_the_task() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t", agent), offers=[])
    assert lost(framework) == "No offers specified"
    framework.take()
    assert framework.accept(offers=[]).status == 202
    assert not framework.events


def test_offers_of_two_agents_lose_the_task_and_come_back() -> None:
    world = World()
    agent, other = world.agent(), world.agent(port=5052)
    framework = world.framework()
    first, second = framework.offers
    framework.accept(framework.task("t", agent), offers=[first, second])
    assert lost(framework) == (
        f"Aggregated offers must belong to one single agent. Offer {second} uses agent {other.id} and agent {agent.id}"
    )
    world.advance(1)
    assert len(framework.offers) == 2


def test_an_offer_given_twice_loses_the_task() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    (offer,) = framework.offers
    framework.accept(framework.task("t", agent), offers=[offer, offer])
    assert lost(framework) == f"Duplicate offer {offer} in offer list"


def test_a_partition_aware_framework_gets_task_dropped() -> None:
    world = World()
    agent = world.agent()
    framework = world.framework(capabilities=("MULTI_ROLE", "PARTITION_AWARE"))
    framework.accept(framework.task("t", agent), offers=["x"])
    assert framework.statuses[0].state == "TASK_DROPPED"


def test_the_offer_of_another_framework_can_not_be_used() -> None:
    world = World()
    agent, owner = world.agent(), world.framework("owner")
    thief = world.framework("thief")
    (offer,) = owner.offers
    thief.accept(thief.task("t", agent), offers=[offer])
    assert lost(thief) == f"Offer {offer} is no longer valid"
    assert offer in world.books.offers


def test_one_bad_resource_ends_all_tasks_of_its_launch() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    bad = framework.task("t2", agent) | {"resources": [raw_resource("cpus", -1)]}
    framework.accept(framework.task("t1", agent), bad)
    text = "Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0"
    assert [(s.task_id.value, s.message) for s in framework.statuses] == [("t1", text), ("t2", text)]
    assert not agent.heard(RunTasks)


def test_a_limit_may_be_infinite() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent, limits={"cpus": {"value": 2}, "mem": {"value": "Infinity"}}))
    assert len(agent.heard(RunTasks)) == 1


@pytest.mark.parametrize("where", ["task", "executor", "group"])
def test_what_is_too_large_is_not_launched(where: str) -> None:
    world = World()
    agent, framework = world.agent(cpus=8, mem=8192, disk=64), world.framework()
    large, text = "x" * 1024 * 1024, "is too large: its description is "
    if where == "task":
        framework.accept(framework.task("t1", agent, data=large))
    elif where == "executor":
        own = framework.executor("e", type="CUSTOM", command={"value": "run"}, data=large)
        framework.accept(framework.task("t1", agent, command=None, executor=own))
    else:
        framework.operate(framework.group(framework.executor("e", data=large), framework.task("t1", agent)))
    (status,) = framework.statuses
    assert status.state == "TASK_ERROR"
    assert text in (status.message or "")
    assert not agent.tasks


def test_a_health_check_without_a_type_has_that_of_its_body() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent, health_check={"command": {"value": "true"}}))
    check = agent.heard(RunTasks)[0].tasks[0].health_check
    assert check.type == "COMMAND"


def test_the_id_of_an_unreachable_task_can_not_be_used_again() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent))
    agent.disconnect()
    world.advance(80)
    other = world.agent(port=5052)
    framework.take()
    framework.accept(framework.task("t1", other))
    assert framework.statuses[0].message == "Task reuses the ID of an unreachable task: t1"


def test_a_launch_can_not_have_an_id() -> None:
    world = World()
    agent, framework = world.agent(), world.framework()
    launch = {"type": "LAUNCH", "id": {"value": "x"}, "launch": {"task_infos": [framework.task("t1", agent)]}}
    framework.operate(launch)
    assert framework.statuses[0].message == "The `id` field cannot be set on LAUNCH operations"
