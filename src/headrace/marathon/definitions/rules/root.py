"""How definitions fit among the others: an id is that of one app, one pod or one group."""

from __future__ import annotations

from collections.abc import Callable

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Violation, invalid
from headrace.marathon.definitions.paths import ancestors
from headrace.marathon.definitions.run_spec import RunSpec


def check_root(
    new: RunSpec, before: RunSpec | None, is_group: Callable[[str], bool], find: Callable[[str], RunSpec | None]
) -> None:
    """That ``new`` fits: ``before`` has its id now, ``is_group`` and ``find`` tell what else there will be.

    What has its place keeps it: whatever else is new is checked itself. Raises Rejected 422.
    """
    if before is not None:
        if type(before) is not type(new):
            raise invalid([Violation("/", "Applications and Pods may not share the same id")])
        return
    if is_group(new.id):
        raise invalid([Violation("/", f"Groups and {_kind(new)} may not have the same identifier.")])
    _check_groups(ancestors(new.id), find)


def check_group(path: str, find: Callable[[str], RunSpec | None]) -> None:
    """That there can be a group at ``path``: ``find`` tells which apps and pods there will be. Raises Rejected 422."""
    _check_groups([path, *ancestors(path)], find)


def _check_groups(paths: list[str], find: Callable[[str], RunSpec | None]) -> None:
    for path in paths:
        other = find(path)
        if other is not None:
            raise invalid([Violation("/", f"Groups and {_kind(other)} may not have the same identifier.")])


def _kind(spec: RunSpec) -> str:
    return "Applications" if isinstance(spec, App) else "Pods"
