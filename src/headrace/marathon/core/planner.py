"""Deployment plans: from what the apps are to what they shall be, as steps. Pure.

Steps run one after the other, the actions of a step at the same time: first all removed apps are
stopped, then all new ones are started (with no instance yet), then the apps get their instances
in layers, dependencies first.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.marathon.core.records import RESTART, SCALE, START, STOP, Action, Steps
from headrace.marathon.definitions.run_spec import RunSpec


class CyclicDependencyError(ValueError):
    """Apps depend on each other in a circle."""


def steps(original: Mapping[str, RunSpec | None], target: Mapping[str, RunSpec | None]) -> Steps:
    """What to do, for the affected apps; None or absent means that the app does not exist."""
    gone = sorted(one for one, app in original.items() if app is not None and target.get(one) is None)
    new = sorted(one for one, app in target.items() if app is not None and original.get(one) is None)
    out = [[Action(STOP, one) for one in gone], [Action(START, one) for one in new]]
    for layer in layers({one: app for one, app in target.items() if app is not None}):
        actions = [action for one in layer if (action := _action(one, original.get(one), target[one])) is not None]
        out.append(actions)
    return [step for step in out if step]


def layers(apps: Mapping[str, RunSpec]) -> list[list[str]]:
    """The ids by the length of their longest dependency path, dependencies first.

    Only dependencies among ``apps`` count; a dependency on a group means all apps below it.
    Raises CyclicDependencyError.
    """
    depth: dict[str, int] = {}
    needs = {one: _needs(app, apps) for one, app in apps.items()}
    for start in sorted(needs):
        _measure(start, needs, depth)
    out: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for one in sorted(depth):
        out[depth[one]].append(one)
    return out


def _measure(start: str, needs: Mapping[str, list[str]], depth: dict[str, int]) -> None:
    """Depth first without recursion: a chain of dependencies may be long."""
    path: dict[str, int] = {}
    stack = [start]
    while stack:
        one = stack[-1]
        if one in depth:
            stack.pop()
            path.pop(one, None)
            continue
        waiting = [need for need in needs[one] if need not in depth]
        if not waiting:
            depth[one] = 1 + max((depth[need] for need in needs[one]), default=-1)
            continue
        path[one] = 1
        if any(need in path for need in waiting):
            raise CyclicDependencyError("Dependency graph has cyclic dependencies.")
        stack.extend(waiting)


def _needs(app: RunSpec, apps: Mapping[str, RunSpec]) -> list[str]:
    out = []
    for dependency in app.dependencies:
        if dependency in apps:
            out.append(dependency)
        else:
            prefix = dependency.rstrip("/") + "/"
            out += [one for one in apps if one.startswith(prefix) and one != app.id]
    return out


def _action(app_id: str, before: RunSpec | None, after: RunSpec | None) -> Action | None:
    assert after is not None  # noqa: S101 - layers() has only apps of the target
    if before is None:
        return Action(SCALE, app_id)
    changed = before.config_version != after.config_version
    if changed and after.instances > 0:
        return Action(RESTART, app_id)
    if changed or before.instances != after.instances:
        return Action(SCALE, app_id)
    return None
