"""What is stored under which key. Layout 1.

    framework                     the framework id
    app/<id>                      the version that an app has now
    version/<id>@<version>        one definition of an app
    instance/<instance id>        one instance
    deployment/<deployment id>    a deployment that is not finished
    failure/<app id>              how a task of the app failed last
    group/<path>                  what a group has of its own
    change/<version>              what the latest changes of the root group have replaced
    leftover/<lease>              a reservation that is to be undone
    delay/<app id>                how long launches wait, as tasks keep ending
    past/deployment/<id>          one of the latest deployments that are over
    past/instance/<id>.<n>        how the nth run of an instance has ended, of the latest

All values are JSON. RunSpec ids hold no ``@``.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.marathon.core.backoff import Delay
from headrace.marathon.core.records import (
    Change,
    EndedDeployment,
    EndedInstance,
    Failure,
    Instance,
    Leftover,
    Plan,
)
from headrace.marathon.definitions import run_spec as definitions
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.run_spec import RunSpec

COMPONENT = "marathon"
LAYOUT = 1

FRAMEWORK = "framework"


def app_key(app_id: str) -> str:
    return f"app/{app_id}"


def version_key(app_id: str, version: str) -> str:
    return f"version/{app_id}@{version}"


def instance_key(instance_id: str) -> str:
    return f"instance/{instance_id}"


def deployment_key(deployment_id: str) -> str:
    return f"deployment/{deployment_id}"


def failure_key(app_id: str) -> str:
    return f"failure/{app_id}"


def delay_key(app_id: str) -> str:
    return f"delay/{app_id}"


def group_key(path: str) -> str:
    return f"group/{path}"


def change_key(version: str) -> str:
    return f"change/{version}"


def leftover_key(lease: str) -> str:
    return f"leftover/{lease}"


class Content(msgspec.Struct):
    """Everything that was stored."""

    framework_id: str | None = None
    apps: dict[str, str] = {}
    versions: dict[str, dict[str, RunSpec]] = {}
    instances: list[Instance] = []
    plans: list[Plan] = []
    failures: dict[str, Failure] = {}
    groups: dict[str, Group] = {}
    changes: list[Change] = []
    leftovers: dict[str, Leftover] = {}
    delays: dict[str, Delay] = {}
    past_deployments: list[EndedDeployment] = []
    past_instances: list[EndedInstance] = []


def read(entries: Mapping[str, bytes]) -> Content:
    """The content of a store."""
    content = Content()
    for key, value in sorted(entries.items()):
        kind, _, name = key.partition("/")
        match kind:
            case "framework":
                content.framework_id = value.decode()
            case "app":
                content.apps[name] = value.decode()
            case "version":
                app_id, _, version = name.rpartition("@")
                content.versions.setdefault(app_id, {})[version] = definitions.decode(value)
            case "instance":
                content.instances.append(msgspec.json.decode(value, type=Instance))
            case "deployment":
                content.plans.append(msgspec.json.decode(value, type=Plan))
            case "group":
                content.groups[name] = msgspec.json.decode(value, type=Group)
            case "leftover":
                content.leftovers[name] = msgspec.json.decode(value, type=Leftover)
            case "change":
                content.changes.append(msgspec.json.decode(value, type=Change))
            case "delay":
                content.delays[name] = msgspec.json.decode(value, type=Delay)
            case "past" if name.startswith("deployment/"):
                content.past_deployments.append(msgspec.json.decode(value, type=EndedDeployment))
            case "past":
                content.past_instances.append(msgspec.json.decode(value, type=EndedInstance))
            case "failure":
                content.failures[name] = msgspec.json.decode(value, type=Failure)
    return content
