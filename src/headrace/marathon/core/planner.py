"""Deployment plans: from what the apps are to what they shall be, as steps. Pure.

Steps run one after the other, the actions of a step at the same time: first all removed apps are
stopped, then all new ones are started (with no instance yet), then the apps get their instances
in layers, dependencies first. What a replaced deployment left unfinished is done even where nothing changes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from headrace.marathon.core.records import RESTART, SCALE, START, STOP, Action, Plan, Steps
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.paths import ancestors
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.run_spec import RunSpec


class CyclicDependencyError(ValueError):
    """Apps depend on each other in a circle."""


Groups = Mapping[str, Group]
_NOTHING: Mapping[str, str] = MappingProxyType({})


def steps_of(plan: Plan) -> Steps:
    """What a plan does; none if it changes nothing."""
    return steps(plan.original, plan.target, plan.groups, plan.unfinished)


def affected(steps: Steps) -> set[str]:
    """The apps and pods that something is done about."""
    return {action.app for step in steps for action in step}


def steps(
    original: Mapping[str, RunSpec | None],
    target: Mapping[str, RunSpec | None],
    groups: Groups = MappingProxyType({}),
    unfinished: Mapping[str, str] = _NOTHING,
) -> Steps:
    """What to do, for the named apps and pods; None or absent means that it does not exist.

    ``unfinished``: by id the action (SCALE or RESTART) that is to be carried on.
    """
    gone = sorted(one for one, spec in original.items() if spec is not None and target.get(one) is None)
    new = sorted(one for one, spec in target.items() if spec is not None and original.get(one) is None)
    out = [[_named(STOP, one, original[one]) for one in gone], [_named(START, one, target[one]) for one in new]]
    for layer in layers({one: spec for one, spec in target.items() if spec is not None}, groups):
        found = [_action(one, original.get(one), target[one], unfinished.get(one)) for one in layer]
        out.append([action for action in found if action is not None])
    return [step for step in out if step]


def layers(specs: Mapping[str, RunSpec], groups: Groups = MappingProxyType({})) -> list[list[str]]:
    """The ids by the length of their longest dependency path, dependencies first.

    Only dependencies among ``specs`` count; a dependency on a group means all that is below it, and one of a group
    is one of all that is below it. Raises CyclicDependencyError.
    """
    graph = _Graph(specs, groups)
    depth: dict[str, int] = {}
    for start in graph.ids:
        _measure(start, graph, depth)
    out: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for one in sorted(depth):
        out[depth[one]].append(one)
    return out


def check_circles(
    changed: Iterable[str], changed_groups: Iterable[str], specs: Mapping[str, RunSpec], groups: Groups
) -> None:
    """Look only at what has changed and at all that it depends on, as there was no circle before.

    Raises CyclicDependencyError.
    """
    graph = _Graph(specs, groups)
    depth: dict[str, int] = {}
    for path in changed_groups:
        if path in groups:
            for start in graph.below(path):
                _measure(start, graph, depth)
    for start in changed:
        _measure(start, graph, depth)


class _Graph:
    """What depends on what, found out as far as it is asked for."""

    def __init__(self, specs: Mapping[str, RunSpec], groups: Groups) -> None:
        self._specs = specs
        self._groups = groups
        self._ids: list[str] | None = None
        self._needs: dict[str, list[str]] = {}

    @property
    def ids(self) -> list[str]:
        if self._ids is None:
            self._ids = sorted(self._specs)
        return self._ids

    def below(self, path: str) -> list[str]:
        """All that is in a group and in its groups."""
        prefix = path.rstrip("/") + "/"
        first, last = bisect_left(self.ids, prefix), bisect_left(self.ids, prefix[:-1] + "0")  # "0" follows "/"
        return self.ids[first:last]

    def needs(self, spec_id: str) -> list[str]:
        found = self._needs.get(spec_id)
        if found is None:
            found = self._needs[spec_id] = self._find(spec_id)
        return found

    def _find(self, spec_id: str) -> list[str]:
        dependencies = list(self._specs[spec_id].dependencies)
        for path in ancestors(spec_id) if self._groups else ():
            if path in self._groups:
                dependencies += self._groups[path].dependencies
        out = []
        for dependency in dependencies:
            if dependency in self._specs:
                out.append(dependency)
            else:
                out += [one for one in self.below(dependency) if one != spec_id]
        return out


def _measure(start: str, graph: _Graph, depth: dict[str, int]) -> None:
    """Depth first without recursion: a chain of dependencies may be long."""
    path: dict[str, int] = {}
    stack = [start]
    while stack:
        one = stack[-1]
        if one in depth:
            stack.pop()
            path.pop(one, None)
            continue
        waiting = [need for need in graph.needs(one) if need not in depth]
        if not waiting:
            depth[one] = 1 + max((depth[need] for need in graph.needs(one)), default=-1)
            continue
        path[one] = 1
        if any(need in path for need in waiting):
            raise CyclicDependencyError("Dependency graph has cyclic dependencies.")
        stack.extend(waiting)


def _action(spec_id: str, before: RunSpec | None, after: RunSpec | None, unfinished: str | None) -> Action | None:
    assert after is not None  # noqa: S101 - layers() has only what is in the target
    if before is None:
        return _named(SCALE, spec_id, after)
    changed = before.config_version != after.config_version or unfinished == RESTART
    if changed and after.instances > 0:
        return _named(RESTART, spec_id, after)
    if changed or unfinished or before.instances != after.instances:
        return _named(SCALE, spec_id, after)
    return None


def _named(action: str, spec_id: str, spec: RunSpec | None) -> Action:
    return Action(action, spec_id, pod=isinstance(spec, Pod))
