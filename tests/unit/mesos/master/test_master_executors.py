"""Executors of frameworks' own and task groups: what is launched, held, refused and said."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.mesos.messages.agent_link import (
    RunGroup,
    RunTasks,
    ShutdownExecutor,
    ShutdownFramework,
    ToExecutor,
    ToFramework,
)
from headrace.mesos.messages.common import AgentInfo, ExecutorID, FrameworkID
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World

AMOUNTS: dict[str, Any] = {"cpus": 8.0, "mem": 1024.0, "disk": 1000.0}


def joined() -> tuple[World, FakeAgent, FakeFramework]:
    world = World()
    return world, world.agent(**AMOUNTS), world.framework()


def custom(framework: FakeFramework, executor_id: str = "e", **more: Any) -> dict[str, Any]:
    return framework.executor(executor_id, type=None, command={"value": "run"}, **more)


def free(framework: FakeFramework) -> Resources:
    (offer,) = framework.offers.values()
    return Resources.parse(offer.resources)


# Custom executors


def test_a_custom_executor_holds_its_own_resources_once() -> None:
    world, agent, framework = joined()
    tasks = [framework.task(t, agent, command=None, executor=custom(framework)) for t in ("t1", "t2")]
    framework.accept(*tasks)
    assert not framework.statuses
    assert [t.task_id.value for t in agent.heard(RunTasks)[0].tasks] == ["t1", "t2"]
    assert free(framework) == Resources.of(cpus=5.9, mem=1024 - 96, disk=968)
    (offer,) = framework.offers.values()
    assert offer.executor_ids == [ExecutorID("e")]
    framework.accept(framework.task("t3", agent, command=None, executor=custom(framework)))
    assert free(framework) == Resources.of(cpus=4.9, mem=1024 - 128, disk=968)
    assert world.books.frameworks[framework.id].tasks["t3"].executor_id == "e"


def test_the_framework_of_an_executor_is_filled_in() -> None:
    _, agent, framework = joined()
    executor = custom(framework) | {"framework_id": None}
    framework.accept(framework.task("t1", agent, command=None, executor=executor))
    (task,) = agent.heard(RunTasks)[0].tasks
    assert task.executor.framework_id.value == framework.id
    assert task.executor.resources[0].allocation_info.role == "test"


def test_another_executor_can_not_have_the_id_of_a_running_one() -> None:
    _, agent, framework = joined()
    executor = custom(framework, data="ZGF0YQ==", name="one", labels={"labels": [{"key": "x", "value": "y"}]})
    framework.accept(framework.task("t1", agent, command=None, executor=executor))
    framework.accept(framework.task("t2", agent, command=None, executor={**executor, "name": "two"}))
    (status,) = framework.statuses
    rule = "-" * 60
    lines = (status.message or "").split("\n")
    assert lines[:3] == [
        "ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID.",
        rule,
        "Existing ExecutorInfo:",
    ]
    assert lines[3:8] == ["executor_id {", '  value: "e"', "}", 'data: "data"', "resources {"]
    assert lines[8:16] == [
        '  name: "cpus"',
        "  type: SCALAR",
        "  scalar {",
        "    value: 0.1",
        "  }",
        "  allocation_info {",
        '    role: "test"',
        "  }",
    ]
    assert 'name: "one"' in lines[: lines.index("ExecutorInfo:")]
    assert 'name: "two"' in lines[lines.index("ExecutorInfo:") :]
    assert lines[-3:] == ["", rule, ""]


def test_an_executor_that_exits_frees_its_resources_and_its_framework_is_told() -> None:
    world, agent, framework = joined()
    framework.accept(framework.task("t1", agent, command=None, executor=custom(framework)))
    framework.take()
    agent.executor_exits(framework.id, "e", 2304)
    assert framework.kinds == ["FAILURE", "OFFERS"]
    failure = framework.events[0].failure
    assert failure is not None
    assert failure.agent_id is not None
    assert (failure.agent_id.value, failure.executor_id, failure.status) == (agent.id, ExecutorID("e"), 2304)
    agent.update("t1", "TASK_FAILED")
    assert not world.books.agents[agent.id].used()


def test_messages_go_both_ways() -> None:
    _, agent, framework = joined()
    framework.accept(framework.task("t1", agent, command=None, executor=custom(framework)))
    message = {"agent_id": {"value": agent.id}, "executor_id": {"value": "e"}, "data": "cGluZw=="}
    framework.call("MESSAGE", message=message)
    (heard,) = agent.heard(ToExecutor)
    assert (heard.framework_id.value, heard.executor_id.value, heard.data) == (framework.id, "e", "cGluZw==")
    agent.call(ToFramework(FrameworkID(framework.id), ExecutorID("e"), "cG9uZw=="))
    event = framework.events[-1].message
    assert event is not None
    assert (event.agent_id.value, event.executor_id.value, event.data) == (agent.id, "e", "cG9uZw==")


def test_a_framework_shuts_its_executor_down() -> None:
    _, agent, framework = joined()
    framework.accept(framework.task("t1", agent, command=None, executor=custom(framework)))
    body = {"agent_id": {"value": agent.id}, "executor_id": {"value": "e"}}
    framework.call("SHUTDOWN", shutdown=body)
    framework.call("SHUTDOWN", shutdown=body | {"executor_id": {"value": "other"}})
    assert [order.executor_id.value for order in agent.heard(ShutdownExecutor)] == ["e"]


def test_executors_outlive_a_restart_of_the_master_and_end_with_their_framework() -> None:
    world, agent, framework = joined()
    framework.accept(framework.task("t1", agent, command=None, executor=custom(framework)))
    framework.acknowledge(agent.update("t1", "TASK_FINISHED"))
    agent.tasks.clear()
    world.restart()
    agent.register()
    framework.subscribe()
    assert free(framework) == Resources.of(cpus=7.9, mem=1024 - 32, disk=968)
    framework.call("TEARDOWN")
    assert len(agent.heard(ShutdownFramework)) == 1
    assert world.books.allocator.available(agent.id or "") == Resources.of(**AMOUNTS)


def test_an_executor_may_not_overlap_with_its_task() -> None:
    world = World()
    resources = Resources({"cpus": 8000, "mem": 8192000}, {"ports": ((1, 9),)})
    agent = FakeAgent(world, AgentInfo("h1", 5051, resources.messages()))
    agent.register()
    framework = world.framework()
    port = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 1, "end": 1}]}}
    executor = custom(framework) | {"resources": [port]}
    task = framework.task("t1", agent, command=None, executor=executor) | {"resources": [port]}
    framework.accept(task)
    assert framework.statuses[0].message == (
        "There are overlapping resources in the task resources ports(allocated: test):[1-1] and "
        "executor resources ports(allocated: test):[1-1]"
    )


# Groups


def test_a_group_is_started_as_a_whole() -> None:
    world, agent, framework = joined()
    tasks = [framework.task(t, agent) for t in ("a", "b")]
    framework.operate(framework.group(framework.executor("default"), *tasks))
    assert not framework.statuses
    (group,) = agent.heard(RunGroup)
    assert group.executor.executor_id.value == "default"
    assert [task.task_id.value for task in group.tasks] == ["a", "b"]
    assert all(task.executor is None for task in group.tasks)
    assert free(framework) == Resources.of(cpus=5.9, mem=1024 - 96, disk=968)
    assert world.books.frameworks[framework.id].tasks["b"].executor_id == "default"
    framework.operate(framework.group(framework.executor("default"), framework.task("c", agent)))
    assert free(framework) == Resources.of(cpus=4.9, mem=1024 - 128, disk=968)


def test_the_master_names_the_executor_of_a_task_of_a_group() -> None:
    world, agent, framework = joined()
    framework.operate(framework.group(framework.executor("d"), framework.task("a", agent)))
    framework.call("RECONCILE", reconcile={"tasks": []})
    world.restart()
    framework.subscribe()
    agent.register()
    framework.call("RECONCILE", reconcile={"tasks": []})
    agent.disconnect()
    world.advance(80)
    assert [status.state for status in framework.statuses] == ["TASK_STAGING", "TASK_STAGING", "TASK_LOST"]
    assert {status.executor_id for status in framework.statuses} == {ExecutorID("d")}


def test_groups_and_tasks_are_started_in_the_order_of_the_call() -> None:
    _, agent, framework = joined()
    launch = [{"type": "LAUNCH", "launch": {"task_infos": [framework.task(t, agent)]}} for t in ("t1", "t2")]
    framework.operate(launch[0], framework.group(framework.executor("d"), framework.task("a", agent)), launch[1])
    kinds = [type(event).__name__ for event in agent.events if isinstance(event, RunTasks | RunGroup)]
    assert kinds == ["RunTasks", "RunGroup", "RunTasks"]


BAD_GROUPS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"type": "CUSTOM"}, {}, "'ExecutorInfo.command' must be set for 'CUSTOM' executor"),
    ({"type": None}, {}, "'ExecutorInfo.type' must be set"),
    ({"framework_id": None, "type": None}, {}, "'ExecutorInfo.framework_id' must be set"),
    ({"command": {"value": "x"}}, {}, "'ExecutorInfo.command' must not be set for 'DEFAULT' executor"),
    (
        {"container": {"type": "DOCKER", "docker": {"image": "i"}}},
        {},
        "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
    ),
    (
        {"container": {"type": "MESOS", "mesos": {"image": {"type": "DOCKER"}}}},
        {},
        "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
    ),
    (
        {"resources": {"cpus": 0.001}},
        {},
        "Executor 'd' uses less CPUs (0.001) than the minimum required (0.01)",
    ),
    ({"resources": {"mem": 32}}, {}, "Executor 'd' uses less CPUs (None) than the minimum required (0.01)"),
    (
        {"resources": {"cpus": 0.1, "mem": 16}},
        {},
        "Executor 'd' uses less memory (16MB) than the minimum required (32MB)",
    ),
    ({"resources": {"cpus": 0.1}}, {}, "Executor 'd' uses less memory (None) than the minimum required (32MB)"),
    ({"resources": {"cpus": 0.1, "mem": 32}}, {}, "Executor 'd' uses no disk"),
    (
        {},
        {"resources": {"cpus": 9, "mem": 32}},
        "Total resources cpus(allocated: test):9.1; mem(allocated: test):64; disk(allocated: test):32 required by "
        "task group and its executor are more than available "
        "cpus(allocated: test):8; mem(allocated: test):1024; disk(allocated: test):1000",
    ),
    ({}, {"task_id": {"value": "a/b"}}, "Task 'a/b' is invalid: 'a/b' contains invalid characters"),
    (
        {},
        {"container": {"type": "DOCKER", "docker": {"image": "i"}}},
        "Task 'a' is invalid: Docker ContainerInfo is not supported on the task",
    ),
    (
        {},
        {"limits": {"cpus": {"value": 2}}},
        "Task 'a' is invalid: Resource limits may only be set for tasks within a task group when "
        "the 'share_cgroups' field is set to 'false'.",
    ),
    (
        {},
        {"executor": {"executor_id": {"value": "other"}}},
        "The `ExecutorInfo` of task 'a' is different from executor 'd'",
    ),
    (
        {},
        {"container": {"type": "MESOS", "linux_info": {"share_cgroups": False}}},
        "If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a "
        "single executor",
    ),
]


@pytest.mark.parametrize(("executor", "task", "text"), BAD_GROUPS, ids=range(len(BAD_GROUPS)))
def test_bad_groups_are_errors_for_all_their_tasks(executor: dict[str, Any], task: dict[str, Any], text: str) -> None:
    world, agent, framework = joined()
    executor, task = dict(executor), dict(task)
    resources = {"resources": executor.pop("resources")} if "resources" in executor else {}
    first = framework.task("a", agent, **({"resources": task.pop("resources")} if "resources" in task else {}))
    second = framework.task("z", agent) | {"resources": [{"name": "mem", "type": "SCALAR", "scalar": {"value": 0}}]}
    framework.operate(framework.group(framework.executor("d", **resources) | executor, first | task, second))
    assert [(s.state, s.reason) for s in framework.statuses] == [("TASK_ERROR", "REASON_TASK_GROUP_INVALID")] * 2
    assert {s.message for s in framework.statuses} == {text}
    assert not agent.heard(RunGroup)
    assert not agent.executors
    world.advance(1)
    assert free(framework) == Resources.of(**AMOUNTS)


def test_two_tasks_of_a_group_can_not_have_one_id() -> None:
    _, agent, framework = joined()
    framework.operate(framework.group(framework.executor("d"), framework.task("a", agent), framework.task("a", agent)))
    assert framework.statuses[0].message == "Task 'a' is invalid: Task has duplicate ID: a"


def test_a_group_without_tasks_starts_nothing() -> None:
    world, agent, framework = joined()
    framework.operate(framework.group(framework.executor("d")))
    assert not agent.heard(RunGroup)
    world.advance(1)
    assert free(framework) == Resources.of(**AMOUNTS)


def test_a_group_with_invalid_offers_is_lost() -> None:
    _, agent, framework = joined()
    framework.operate(framework.group(framework.executor("d"), framework.task("a", agent)), offers=["none"])
    assert framework.statuses[0].message == "Task launched with invalid offers: Offer none is no longer valid"
