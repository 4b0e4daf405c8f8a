"""How definitions fit among the others: an id is that of one app, one pod or one group."""

from __future__ import annotations

from collections.abc import Collection

from headrace.marathon.definitions.errors import Violation, invalid
from headrace.marathon.definitions.paths import ancestors


def check_root(apps: Collection[str], pods: Collection[str], groups: Collection[str], run_spec_id: str) -> None:
    """That ``run_spec_id`` fits among the ids of all apps, pods and (empty) groups. Raises Rejected 422."""
    if run_spec_id in apps and run_spec_id in pods:
        raise invalid([Violation("/", "Applications and Pods may not share the same id")])
    kind = "Applications" if run_spec_id in apps else "Pods"
    below = run_spec_id + "/"
    above = ancestors(run_spec_id)
    if run_spec_id in groups or any(one.startswith(below) for ids in (apps, pods, groups) for one in ids):
        raise invalid([Violation("/", f"Groups and {kind} may not have the same identifier.")])
    for ids, other in ((apps, "Applications"), (pods, "Pods")):
        if any(one in ids for one in above):
            raise invalid([Violation("/", f"Groups and {other} may not have the same identifier.")])
