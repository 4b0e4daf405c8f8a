"""Finds what a command is about: the Flink cluster, the job. Pure; raises CommandError that tells what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.cli.api import NOT_THERE, CommandError
from headrace.cli.flink_rest import JobRow
from headrace.gateway.overview import FrameworkState, MasterState

CLUSTER_LABEL = "headrace.cluster"
APPMASTER_LABEL = "headrace.appmaster"
TASK_LABEL = "headrace.task"

_LISTED = 10


class StartingError(CommandError):
    """The cluster is there, but the master knows no address of its JobManager, which most likely is not up yet."""

    def __init__(self, cluster: str, framework: FrameworkState) -> None:
        super().__init__(f"Flink cluster {cluster} is starting: its JobManager is not up yet; try again in a moment")
        self.cluster = cluster
        self.framework = framework


def find_framework(state: MasterState, cluster: str | None) -> tuple[str, FrameworkState]:
    """Id and framework of a Flink cluster: by its app's id or its framework's; else by what may be meant.

    That is the app's id without its slash, or the framework's name. Without an id it is the only cluster that there
    is. Raises CommandError that lists what there is, StartingError.
    """
    active_last = sorted(state.frameworks, key=lambda framework: framework.active)
    known = {f.label(CLUSTER_LABEL): f for f in active_last if f.label(CLUSTER_LABEL)}
    if cluster is None:
        cluster = _only(sorted(known))
    by_id = {f.id: f for f in active_last if f.id}
    found = known.get(cluster) or by_id.get(cluster) or _meant(active_last, known, cluster)
    if not found.webui_url:
        raise StartingError(cluster, found)
    return cluster, found


def _meant(active_last: Sequence[FrameworkState], known: Mapping[str, FrameworkState], wanted: str) -> FrameworkState:
    matching = [f for label, f in known.items() if label.strip("/") == wanted.strip("/")]
    named = [f for f in reversed(active_last) if f.name == wanted and f not in matching]
    matching += [f for f in named if f.active] or named[: 0 if matching else 1]
    if not matching:
        there = ", ".join(sorted(known)) or "none; `headrace flink session` starts one"
        raise CommandError(f"there is no Flink cluster {wanted}; known clusters: {there}", NOT_THERE)
    if len(matching) > 1:
        some = ", ".join(f"{f.label(CLUSTER_LABEL) or f.name} (framework {f.id})" for f in matching)
        raise CommandError(f"{wanted} may mean {len(matching)} Flink clusters: {some}; give the whole id", NOT_THERE)
    return matching[0]


def find_cluster(state: MasterState, cluster: str | None) -> tuple[str, str]:
    """Id and REST URL of a Flink cluster, as ``find_framework``."""
    cluster_id, framework = find_framework(state, cluster)
    return cluster_id, framework.webui_url


def find_job(jobs: Sequence[JobRow], wanted: str) -> JobRow:
    """The job with this id; else the only one whose id begins so, or whose name it is, those that run first.

    Raises CommandError that lists those that run.
    """
    for row in jobs:
        if row.jid == wanted:
            return row
    matching = [row for row in jobs if wanted and (row.jid.startswith(wanted.lower()) or row.name == wanted)]
    living = [row for row in matching if not row.ended]
    found = living or sorted(matching, key=lambda row: row.start_time)[-1:]
    if not found:
        running = [row for row in jobs if not row.ended]
        there = "jobs that run:\n" + _list(running) if running else "no job runs; `headrace flink list --all` shows all"
        raise CommandError(f"there is no job {wanted}; {there}", NOT_THERE)
    if len(found) > 1:
        raise CommandError(f"{wanted} may mean {len(found)} jobs; give an id:\n{_list(found)}", NOT_THERE)
    return found[0]


def living_job(jobs: Sequence[JobRow], wanted: str) -> JobRow:
    """As ``find_job``; raises CommandError if the job has ended."""
    row = find_job(jobs, wanted)
    if row.ended:
        raise CommandError(f"job {row.jid} ({row.name}) has ended already: {row.state}")
    return row


def find_task_manager(ids: Sequence[str], wanted: str) -> str:
    """The TaskManager with this id; else the only one whose id begins or ends so. Raises CommandError."""
    found = [it for it in ids if it == wanted] or [it for it in ids if wanted and it.startswith(wanted)]
    found = found or [it for it in ids if wanted and it.endswith(wanted)]
    if len(found) == 1:
        return found[0]
    some = ", ".join((found or list(ids))[:_LISTED]) or "none"
    if found:
        raise CommandError(f"{wanted} may mean {len(found)} TaskManagers: {some}", NOT_THERE)
    raise CommandError(f"there is no TaskManager {wanted}; there is {some}", NOT_THERE)


def _only(known: list[str]) -> str:
    if not known:
        raise CommandError("there is no Flink cluster; `headrace flink session` starts one", NOT_THERE)
    if len(known) > 1:
        raise CommandError(f"say which Flink cluster with --cluster ID; there is {', '.join(known)}")
    return known[0]


def _list(rows: Sequence[JobRow]) -> str:
    lines = [f"  {row.jid}  {row.state.lower()}  {row.name}" for row in rows[:_LISTED]]
    return "\n".join(lines + ([f"  and {len(rows) - _LISTED} more"] if len(rows) > _LISTED else []))
