"""Updates of groups: what is given replaces what is there, what is left out stays."""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.marathon.definitions import schema
from headrace.marathon.definitions.errors import Violation, invalid, unreadable
from headrace.marathon.definitions.paths import canonical
from headrace.marathon.definitions.reading import fields
from headrace.marathon.definitions.reading.apps import app_reader
from headrace.marathon.definitions.reading.pods import pod_reader


class GroupUpdate(msgspec.Struct, frozen=True):
    """One group of an update; None is what was not given. ``apps`` and ``pods`` are their fields, as read."""

    id: str
    apps: list[dict[str, Any]] | None = None
    pods: list[dict[str, Any]] | None = None
    groups: list[GroupUpdate] | None = None
    dependencies: list[str] | None = None
    enforce_role: bool | None = None
    version: str | None = None
    scale_by: float | None = None


def _group(value: Any, path: str, problems: schema.Problems) -> Any:
    return schema.record(
        {
            "id": fields.path_id,
            "apps": schema.array(app_reader),
            "pods": schema.array(pod_reader),
            "groups": schema.array(_group),
            "dependencies": schema.array(fields.path_id),
            "enforceRole": schema.boolean,
            "version": fields.text,
            "scaleBy": schema.number(0),
        }
    )(value, path, problems)


def read_group(value: Any, path: str) -> GroupUpdate:
    """An update from JSON; ``path`` is the request's, which relative ids count from. Raises Rejected 422."""
    problems: schema.Problems = []
    read = _group(value, "", problems)
    if problems:
        raise unreadable(problems)
    given = {name for name in value if value[name] is not None}
    for alone, where in (("version", "/version"), ("scaleBy", "/scaleBy")):
        if alone in read and given & {
            "id",
            "apps",
            "pods",
            "groups",
            "dependencies",
            "enforceRole",
            "version",
            "scaleBy",
        } != {alone}:
            raise invalid([Violation(where, "not allowed in conjunction with other properties.")])
    update = _update(read, path)
    violations = list(_rules(read, update, "", top=True))
    if violations:
        raise invalid(violations)
    return update


def _update(read: dict[str, Any], base: str) -> GroupUpdate:
    group_id = canonical(read["id"], base) if "id" in read else base
    groups = read.get("groups")
    return GroupUpdate(
        group_id,
        apps=read.get("apps"),
        pods=read.get("pods"),
        groups=None if groups is None else [_update(one, group_id) for one in groups],
        dependencies=None if "dependencies" not in read else [canonical(one, group_id) for one in read["dependencies"]],
        enforce_role=read.get("enforceRole"),
        version=read.get("version"),
        scale_by=read.get("scaleBy"),
    )


def _rules(read: dict[str, Any], update: GroupUpdate, path: str, *, top: bool = False) -> Any:
    if "id" not in read and not top:
        yield Violation(f"{path}/id", "error.path.missing")
    depth = update.id.count("/") if update.id != "/" else 0
    if update.enforce_role is not None and depth != 1:
        words = f"enforceRole can only be set for top-level groups, and {update.id} is not top-level"
        yield Violation(f"{path}/enforceRole", words)
    for kind, entries, noun in (("apps", update.apps, "App"), ("pods", update.pods, "Pod")):
        for index, one in enumerate(entries or ()):
            run_spec_id = canonical(one["id"], update.id)
            if canonical("..", run_spec_id) != update.id:
                words = f"{noun} has to be child of group with parent id {update.id}"
                yield Violation(f"{path}/{kind}({index})/id", words)
    for index, (inner, child) in enumerate(zip(read.get("groups", ()), update.groups or (), strict=False)):
        where = f"{path}/groups({index})"
        if canonical("..", child.id) != update.id:
            yield Violation(f"{where}/id", f"Group has to be child of group with parent id {update.id}")
        yield from _rules(inner, child, where)
