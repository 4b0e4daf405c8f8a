"""Readers of what apps and pods have in common."""

from __future__ import annotations

import re
from typing import Any

from headrace.marathon.definitions import schema
from headrace.marathon.definitions.errors import Violation
from headrace.marathon.definitions.limits import MAX_DEADLINE
from headrace.marathon.definitions.parts import UnreachableStrategy
from headrace.marathon.definitions.paths import ID_PATTERN

MAX_INSTANCES = 100_000
"""More of one app is a mistake rather than a wish, and would only fill the memory."""

LEGACY_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

text = schema.string()
some_text = schema.string(at_least=1)
path_id = schema.string(at_least=1, pattern=ID_PATTERN)
labels = schema.mapping(text)
port = schema.integer(0, 65535)
protocol = schema.enum("tcp", "udp", "udp,tcp")
port_name = schema.string(at_most=255, pattern=LEGACY_NAME)
kill_selection = schema.enum("YOUNGEST_FIRST", "OLDEST_FIRST")
instances = schema.integer(0, MAX_INSTANCES)

upgrade = schema.record(
    {
        "minimumHealthCapacity": schema.number(0, 1),
        "maximumOverCapacity": schema.number(0, 1),
        "deadlineSeconds": schema.integer(1, MAX_DEADLINE),
    },
    frozenset({"minimumHealthCapacity", "maximumOverCapacity"}),
)
secrets = schema.mapping(schema.record({"source": text}, frozenset({"source"})))
pull_config = schema.record({"secret": text}, frozenset({"secret"}))
networks = schema.array(
    schema.record({"mode": schema.enum("container", "container/bridge", "host"), "name": text, "labels": labels})
)
fetch = schema.array(
    schema.record(
        {
            "uri": schema.string(at_least=1, at_most=1024),
            "extract": schema.boolean,
            "executable": schema.boolean,
            "cache": schema.boolean,
            "destPath": text,
        },
        frozenset({"uri"}),
    )
)
persistent = schema.record(
    {
        "size": schema.integer(),
        "type": schema.enum("root", "path", "mount"),
        "maxSize": schema.integer(),
        "profileName": some_text,
        "constraints": schema.array(schema.array(text, at_least=2, at_most=3)),
    },
    frozenset({"size"}),
)
linux_info = schema.record(
    {
        "seccomp": schema.record({"profileName": text, "unconfined": schema.boolean}),
        "ipcInfo": schema.record(
            {"mode": schema.enum("PRIVATE", "SHARE_PARENT"), "shmSize": schema.integer(0)}, frozenset({"mode"})
        ),
    }
)
executor_resources = schema.record({"cpus": schema.number(0), "mem": schema.number(0), "disk": schema.number(0)})


def environment(names: re.Pattern[str] | None = None) -> schema.Reader:
    """Variables, whose values are texts or secrets; ``names`` is what they must look like."""

    def read(value: Any, path: str, problems: schema.Problems) -> Any:
        if isinstance(value, dict) and names is not None:
            for name in value:
                if not names.fullmatch(name):
                    problems.append(Violation(f"{path}/{name}", "error.pattern"))
        return schema.mapping(_env_value)(value, path, problems)

    return read


def _env_value(value: Any, path: str, problems: schema.Problems) -> Any:
    if isinstance(value, dict):
        return schema.record({"secret": text}, frozenset({"secret"}))(value, path, problems)
    return text(value, path, problems)


def limits(value: Any, path: str, problems: schema.Problems) -> Any:
    """``resourceLimits``: numbers, or "unlimited"."""
    return schema.record({"cpus": _limit, "mem": _limit})(value, path, problems)


def _limit(value: Any, path: str, problems: schema.Problems) -> Any:
    if isinstance(value, str):
        return schema.enum("unlimited")(value, path, problems)
    return schema.number(0)(value, path, problems)


def unreachable(value: Any, path: str, problems: schema.Problems) -> Any:
    """``unreachableStrategy``: an object, or "disabled"."""
    if isinstance(value, str):
        return schema.enum("disabled")(value, path, problems)
    fields = {"inactiveAfterSeconds": schema.integer(0), "expungeAfterSeconds": schema.integer(0)}
    return schema.record(fields)(value, path, problems)


def unreachable_strategy(given: Any, *, resident: bool) -> UnreachableStrategy | None:
    """What was read as a strategy; None is "disabled", the default where volumes are kept."""
    if given == "disabled" or (given is None and resident):
        return None
    given = given or {}
    return UnreachableStrategy(given.get("inactiveAfterSeconds", 0), given.get("expungeAfterSeconds", 0))


def constraint(given: list[str]) -> list[str]:
    """Old clients send an empty value with UNIQUE; it means none."""
    return given[:2] if len(given) == 3 and given[1] == "UNIQUE" and not given[2] else given
