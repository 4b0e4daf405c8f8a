"""Every field of the public messages has its number, and it is Mesos's.

The table is made from the descriptor of another package, an older Mesos's; what is newer stands here by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.kernel.protobuf.declared import Field, fields_of
from headrace.mesos.messages import (
    agent_operator,
    common,
    executor,
    operator,
    operator_answers,
    operator_common,
    scheduler,
)

TABLE: dict[str, Any] = json.loads((Path(__file__).parents[2] / "fixtures" / "mesos" / "fields_1_7_2.json").read_text())
NEWER = {
    ("FrameworkInfo", "offer_filters"): 13,
    ("LinuxInfo", "seccomp"): 5,
    ("LinuxInfo", "ipc_mode"): 6,
    ("LinuxInfo", "shm_size"): 7,
    ("LinuxInfo", "share_cgroups"): 8,
    ("TaskInfo", "limits"): 15,
    ("Task", "health_check"): 15,
    ("Task", "kill_policy"): 16,
    ("Task", "limits"): 17,
    ("ResourceStatistics", "cpus_soft_limit"): 45,
    ("Reserve", "source"): 2,
}
"""Fields that the table does not have, with their numbers in the protos of Mesos 1.11."""
ROOTS: list[tuple[type[msgspec.Struct], str]] = [
    (common.FrameworkInfo, "FrameworkInfo"),
    (common.Offer, "Offer"),
    (common.InverseOffer, "InverseOffer"),
    (common.TaskInfo, "TaskInfo"),
    (common.TaskGroupInfo, "TaskGroupInfo"),
    (common.TaskStatus, "TaskStatus"),
    (common.OperationStatus, "OperationStatus"),
    (common.MasterInfo, "MasterInfo"),
    (common.AgentInfo, "AgentInfo"),
    (common.AgentCapability, "AgentInfo.Capability"),
    (common.Filters, "Filters"),
    (scheduler.Operation, "Offer.Operation"),
    (scheduler.ResourceRequest, "Request"),
    (operator.MachineID, "MachineID"),
    (operator.WeightInfo, "WeightInfo"),
    (operator_common.FileInfo, "FileInfo"),
    (operator_common.Flag, "Flag"),
    (operator_common.Metric, "Metric"),
    (operator_common.VersionInfo, "VersionInfo"),
    (operator_common.Task, "Task"),
    (operator_common.Operation, "Operation"),
    (operator_answers.Role, "Role"),
    (agent_operator.ResourceStatistics, "ResourceStatistics"),
]
ENTRIES: list[type[msgspec.Struct]] = [
    scheduler.Call,
    scheduler.Event,
    executor.Call,
    executor.Event,
    operator.Call,
    operator_answers.Response,
    operator_answers.Event,
    agent_operator.Call,
    agent_operator.Response,
    agent_operator.ProcessIO,
]
ONLY_JSON = {("Duration", "nanoseconds"), ("Task", "max_completion_time")}
"""What is in no proto: an older way to say something, and what Headrace adds."""


def reachable(roots: list[type[msgspec.Struct]]) -> Iterator[type[msgspec.Struct]]:
    seen: set[type[msgspec.Struct]] = set()
    todo = list(roots)
    while todo:
        kind = todo.pop()
        if kind not in seen:
            seen.add(kind)
            yield kind
            todo += [field.message for field in fields_of(kind) if field.message is not None]


@pytest.mark.parametrize("kind", [*reachable(ENTRIES)], ids=lambda kind: f"{kind.__module__}.{kind.__qualname__}")
def test_every_field_has_a_number(kind: type[msgspec.Struct]) -> None:
    numbered = {field.name for field in fields_of(kind)}
    without = {(kind.__name__, name) for name in kind.__struct_fields__} - {(kind.__name__, n) for n in numbered}
    assert without <= ONLY_JSON


def pairs() -> Iterator[tuple[type[msgspec.Struct], str]]:
    """Structs and the messages that they are, from the roots through fields of the same names."""
    seen: set[tuple[type[msgspec.Struct], str]] = set()
    todo = list(ROOTS)
    while todo:
        pair = todo.pop()
        if pair in seen:
            continue
        seen.add(pair)
        yield pair
        kind, message = pair
        for field in fields_of(kind):
            told = TABLE["messages"][message].get(field.name)
            if told is not None and field.message is not None:
                todo.append((field.message, told[1]))


@pytest.mark.parametrize(("kind", "message"), [*pairs()], ids=lambda one: one if isinstance(one, str) else "")
def test_numbers_and_types_are_those_of_mesos(kind: type[msgspec.Struct], message: str) -> None:
    table = TABLE["messages"][message]
    for field in fields_of(kind):
        told = table.get(field.name)
        if told is None:
            assert NEWER.get((kind.__name__, field.name)) == field.number, f"{message}.{field.name}"
            continue
        assert field.number == told[0], f"{message}.{field.name}"
        assert field.repeated == (told[2:] == ["repeated"]), f"{message}.{field.name}"
        same_type(field, told[1], f"{message}.{field.name}")


LATER = {
    *("REASON_AGENT_DRAINING", "CSI_VOLUME", "AGENT_DRAINING", "AGENT_OPERATION_FEEDBACK", "TASK_RESOURCE_LIMITS"),
    *("PERFMON", "BPF", "CHECKPOINT_RESTORE"),
}
"""Names that older enumerations do not have."""


def same_type(field: Field, told: str, where: str) -> None:
    if field.enum is None:
        assert field.kind == ("message" if told in TABLE["messages"] else told), where
        return
    table = TABLE["enums"][told]
    ours = field.enum.numbers
    assert {name: ours.get(name) for name in table} == table, where
    assert ours.keys() - table.keys() <= LATER, where
    assert len(set(ours.values())) == len(ours), where
