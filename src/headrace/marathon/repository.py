"""What is stored under which key. Layout 1.

    framework                     the framework id
    app/<id>                      the version that an app has now
    version/<id>@<version>        one definition of an app
    instance/<instance id>        one instance
    deployment/<deployment id>    a deployment that is not finished
    failure/<app id>              how a task of the app failed last
    group/<path>                  what a group has of its own
    change/<version>              what the latest changes of the root group have replaced

All values are JSON. RunSpec ids hold no ``@``.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.marathon.core.records import Change, Failure, Instance, Plan
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


def group_key(path: str) -> str:
    return f"group/{path}"


def change_key(version: str) -> str:
    return f"change/{version}"


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
            case "change":
                content.changes.append(msgspec.json.decode(value, type=Change))
            case "failure":
                content.failures[name] = msgspec.json.decode(value, type=Failure)
    return content
