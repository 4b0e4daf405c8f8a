"""High availability without a ZooKeeper, by default: where a JobManager's successor finds its jobs.

The driver jar has a factory of Flink's high availability services that keeps job graphs, pointers to
checkpoints, results and jars in files below ``high-availability.storageDir``/``high-availability.cluster-id``.
The user's own ``high-availability.type`` counts: ``zookeeper``, ``NONE``, another factory.

If no storageDir is given, the files lie below $HEADRACE_DATA, which `headrace up` sets for its tasks, so that they
outlive the task; else in the sandbox, which is enough for the death of JobManager and application master, but not
for that of the whole task. A JobManager that is to come back on another machine needs a storageDir that all
machines share, or ZooKeeper.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headrace.flink.options import FlinkOptions, with_present_names

FACTORY = "org.headrace.flink.HeadraceHaServicesFactory"
DATA_VARIABLE = "HEADRACE_DATA"

TYPE, STORAGE, CLUSTER_ID = "high-availability.type", "high-availability.storageDir", "high-availability.cluster-id"
_OLD_STORAGES = ("high-availability.zookeeper.storageDir", "recovery.zookeeper.storageDir")
_RESULTS = "job-result-store.storage-path"
_RECOVERY = "resourcemanager.previous-worker.recovery.timeout"
_OWN_COMMAND = "mesos.resourcemanager.tasks.taskmanager-cmd"


def with_defaults(given: FlinkOptions, environment: Mapping[str, str], sandbox: Path) -> FlinkOptions:
    """``given`` with what makes the cluster highly available, unless the user chose otherwise.

    A TaskManager that a command of the user starts does not know our jar, so then only who asks for it gets it.
    Raises UserError if options contradict each other.
    """
    given = with_present_names(given)
    chosen = given.get(TYPE)
    if (chosen or "NONE").upper() == "NONE" and (chosen or _OWN_COMMAND in given):
        return given
    # Flink waits so long for the TaskManagers from before until it asks for others.
    given = {_RECOVERY: "15 s", **given}
    if chosen not in (None, FACTORY):
        return given
    storage = next((given[key] for key in (STORAGE, *_OLD_STORAGES) if key in given), None)
    named = given.get(CLUSTER_ID) or environment.get("MARATHON_APP_ID")
    added = {TYPE: FACTORY}
    if storage is None:
        data = environment.get(DATA_VARIABLE) if named else None
        added[STORAGE] = storage = f"{data}/flink" if data else f"{sandbox}/.headrace/ha"
        named = named or "flink"
    if named:
        folder = named.strip("/").replace("/", "_")
        added[_RESULTS] = f"{storage}/{folder}/job-results"
        given = {**given, CLUSTER_ID: folder, STORAGE: storage}
    return {**added, **given}


def directory(options: FlinkOptions) -> Path | None:
    """The directory of the cluster's files; None if they are not kept in files."""
    if options.get(TYPE) != FACTORY or CLUSTER_ID not in options:
        return None
    return Path(options[STORAGE].removeprefix("file://")) / options[CLUSTER_ID]


def named_directory(options: FlinkOptions, environment: Mapping[str, str]) -> Path | None:
    """The directory of the cluster's files, if it is the same for each task of this cluster; else None."""
    found = directory(options)
    return None if found is None or found.parent.parts[-2:] == (".headrace", "ha") else found


def ships_driver(options: FlinkOptions) -> bool:
    """Whether TaskManagers need the driver jar, which tells them who leads."""
    return options.get(TYPE) == FACTORY


def stable_directory(options: FlinkOptions, environment: Mapping[str, str]) -> Path | None:
    """Where more can be kept that is to outlive the task; None if there is no such place."""
    found = directory(options)
    data = environment.get(DATA_VARIABLE)
    return found if found is not None and data and found.is_relative_to(Path(data)) else None


def remove(options: FlinkOptions) -> None:
    """Remove what a cluster that is gone for good has kept."""
    from shutil import rmtree

    found = directory(options)
    if found is not None:
        rmtree(found, ignore_errors=True)
        rmtree(found, ignore_errors=True)  # a JobManager that was just killed may have written something more
