"""Messages in protobuf's text form, as Mesos puts them into its own messages."""

from __future__ import annotations

import base64
import binascii
import contextlib
from typing import Any

import msgspec

from headrace.mesos.messages.common import ExecutorInfo
from headrace.mesos.resources import Resources

_EXECUTOR = (
    *("executor_id", "data", "resources", "command", "framework_id", "name", "source"),
    *("container", "discovery", "shutdown_grace_period", "labels", "type"),
)
_RESOURCE = (
    *("name", "type", "scalar", "ranges", "set", "role", "disk", "reservation", "revocable"),
    *("shared", "allocation_info", "provider_id", "reservations"),
)
_COMMAND = ("uris", "environment", "value", "user", "shell", "arguments")
_ORDERS = {"resources": _RESOURCE, "command": _COMMAND}
"""Fields in the order of their numbers, where it is not the order of our structs."""
_ENUMS = frozenset({"type", "mode", "network"})


def executor_text(info: ExecutorInfo, role: str) -> str:
    """An executor whose resources are allocated to ``role``."""
    resources = msgspec.to_builtins(Resources.parse(info.resources).messages(role))
    fields = msgspec.to_builtins(info) | ({"resources": resources} if resources else {})
    return "".join(_message(fields, _EXECUTOR, ""))


def _message(fields: dict[str, Any], order: tuple[str, ...], indent: str) -> list[str]:
    names = [*(name for name in order if name in fields), *(name for name in fields if name not in order)]
    lines: list[str] = []
    for name in names:
        values = fields[name] if isinstance(fields[name], list) else [fields[name]]
        for value in values:
            lines += _field(name, value, indent)
    return lines


def _field(name: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, dict):
        return [f"{indent}{name} {{\n", *_message(value, _ORDERS.get(name, ()), indent + "  "), f"{indent}}}\n"]
    return [f"{indent}{name}: {_scalar(name, value)}\n"]


def _scalar(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, int) or name in _ENUMS:
        return str(value)
    text = str(value)
    if name == "data":
        with contextlib.suppress(binascii.Error):
            text = base64.b64decode(text, validate=True).decode("utf-8", "backslashreplace")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
