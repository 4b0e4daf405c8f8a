"""Groups: the tree of all apps and pods."""

from __future__ import annotations

from typing import Any

from headrace.kernel.clock import iso8601
from headrace.marathon.api.views.apps import app_view
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.api.views.pods import pod_status
from headrace.marathon.core import history
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer
from headrace.marathon.core.history import Root
from headrace.marathon.definitions import writing
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, unknown_group
from headrace.marathon.definitions.group import NOTHING
from headrace.marathon.definitions.paths import ancestors, parent
from headrace.marathon.definitions.timestamps import check_timestamp

_WHOLE = Embeds({"group.groups", "group.apps", "group.pods"})
"""What is shown if nothing was asked for."""


def group(core: MarathonCore, now: float, path: str, embeds: Embeds) -> Answer:
    """GET /v2/groups/{id}."""
    _check(core, path)
    books = core.books
    return Answer(200, _tree(core, now, path, Root(books.specs, books.groups), embeds or _WHOLE, _versions(core, now)))


def apps(core: MarathonCore, now: float, path: str, embeds: Embeds) -> Answer:
    """GET /v2/groups/{id}/apps: all apps below the group, as an array."""
    _check(core, path)
    prefix = path.rstrip("/") + "/"
    below = [one for one in core.books.apps.values() if one.id.startswith(prefix)]
    return Answer(200, [app_view(core, one, now, embeds) for one in below])


def versions(core: MarathonCore, now: float, path: str) -> Answer:
    """GET /v2/groups/{id}/versions: newest first, as an array."""
    _check(core, path)
    return Answer(200, history.versions(core.books, path))


def version(core: MarathonCore, now: float, path: str, wanted: str, embeds: Embeds) -> Answer:
    """GET /v2/groups/{id}/versions/{T}."""
    wanted = check_timestamp(wanted)
    then = history.root_at(core.books, wanted)
    if then is None:
        raise Rejected(404, f"Group '{path}' does not exist in version {wanted}")
    return Answer(200, _tree(core, now, path, then, embeds or _WHOLE, {path: wanted}, live=False))


def _check(core: MarathonCore, path: str) -> None:
    if path != "/" and not core.books.group_exists(path):
        raise unknown_group(path)


def _versions(core: MarathonCore, now: float) -> dict[str, str]:
    """When each group was changed last."""
    out: dict[str, str] = {}
    for change in core.books.changes:
        for path in {above for one in (*change.specs, *change.groups) for above in (*ancestors(one), one, "/")}:
            out[path] = change.version
    return out


def _tree(
    core: MarathonCore,
    now: float,
    top: str,
    root: Root,
    embeds: Embeds,
    changed: dict[str, str],
    *,
    live: bool = True,
) -> dict[str, Any]:
    nodes: dict[str, dict[str, Any]] = {}
    prefix = top.rstrip("/") + "/"

    def node(path: str) -> dict[str, Any]:
        if path not in nodes:
            own = root.groups.get(path, NOTHING)
            at = changed.get(path) or changed.get(top) or iso8601(now)
            nodes[path] = {"id": path, "apps": [], "pods": [], "groups": [], "dependencies": own.dependencies}
            nodes[path]["version"] = at
            if own.enforce_role:  # clients from before roles refuse the key
                nodes[path]["enforceRole"] = True
            if path != top and "group.groups" in embeds:
                node(parent(path))["groups"].append(nodes[path])
        return nodes[path]

    node(top)
    for path in sorted(root.groups):
        if path.startswith(prefix):
            node(path)
    for spec in root.specs.values():
        if not spec.id.startswith(prefix):
            continue
        home = node(parent(spec.id))
        if isinstance(spec, App):
            if "group.apps" in embeds:
                home["apps"].append(app_view(core, spec, now, embeds) if live else writing.whole(spec))
        elif "group.pods" in embeds:
            home["pods"].append(pod_status(core, spec, now) if live else writing.whole_pod(spec))
    return nodes[top]
