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

from headrace.flink import storage_dir, zookeeper_ha
from headrace.flink.options import FlinkOptions, with_present_names
from headrace.flink.storage_dir import CLUSTER_ID, RESULTS, STORAGE, TYPE
from headrace.flink.task_options import own_command
from headrace.kernel.daemon import UserError
from headrace.kernel.output_file import read_regular, replace_file

FACTORY = "org.headrace.flink.HeadraceHaServicesFactory"
DATA_VARIABLE = "HEADRACE_DATA"

_OLD_STORAGES = ("high-availability.zookeeper.storageDir", "recovery.zookeeper.storageDir")
_APPLICATION_RESULTS = "application-result-store.storage-path"  # since Flink 2.3
_RECOVERY = "resourcemanager.previous-worker.recovery.timeout"
_VERSION = "flink-version"
_MARKERS = (_VERSION, "generation")
"""Files by which a cluster's directory is known: ours, and that of the driver's HaDirectory."""


def with_defaults(given: FlinkOptions, environment: Mapping[str, str], sandbox: Path, slot: int = 1) -> FlinkOptions:
    """``given`` with what makes the cluster highly available, unless the user chose otherwise.

    ``slot`` tells the clusters of one app from each other; see ``appmaster.slots``.

    A TaskManager that a command of the user starts does not know our jar, so then only who asks for it gets it.
    Raises UserError if options contradict each other, or files can't be kept where they say.
    """
    given = with_present_names(given)
    chosen = given.get(TYPE)
    if (chosen or "NONE").upper() == "NONE" and (chosen or own_command(given)):
        return given
    # Flink waits so long for the TaskManagers from before until it asks for others.
    given = {_RECOVERY: "15 s", **given}
    if chosen not in (None, FACTORY):
        return zookeeper_ha.with_defaults(given, environment)
    storage = next((given[key] for key in (STORAGE, *_OLD_STORAGES) if key in given), None)
    named = _name(given, environment)
    added = {TYPE: FACTORY}
    if storage is None:
        data = environment.get(DATA_VARIABLE) if named else None
        added[STORAGE] = storage = f"{data}/flink" if data else f"{sandbox}/.headrace/ha"
        named = named or "flink"
    storage_dir.needs_local(storage)
    if named:
        folder = slot_name(named, slot)
        added[RESULTS] = f"{storage}/{folder}/job-results"
        added[_APPLICATION_RESULTS] = f"{storage}/{folder}/application-results"
        given = {**given, CLUSTER_ID: folder, STORAGE: storage}
    return {**added, **given}


def _name(given: FlinkOptions, environment: Mapping[str, str]) -> str:
    """The cluster's name as a directory's; empty if it has none. Raises UserError."""
    app = environment.get("MARATHON_APP_ID")
    where, text = (f"option {CLUSTER_ID}", given[CLUSTER_ID]) if CLUSTER_ID in given else ("the app's id", app)
    return storage_dir.plain_name(text.strip("/").replace("/", "_"), where) if text is not None else ""


def slot_name(name: str, slot: int) -> str:
    """What the cluster in a slot is called; the first has the plain name. No app's id has an @."""
    return name if slot == 1 else f"{name}@{slot}"


def directory(options: FlinkOptions) -> Path | None:
    """The directory of the cluster's files; None if they are not kept in files. Raises UserError."""
    if options.get(TYPE) != FACTORY or CLUSTER_ID not in options:
        return None
    return storage_dir.needs_local(options[STORAGE]) / options[CLUSTER_ID]


def named_directory(options: FlinkOptions, environment: Mapping[str, str]) -> Path | None:
    """The directory of the cluster's files, if it is the same for each task of this cluster; else None."""
    found = directory(options)
    return None if found is None or found.parent.parts[-2:] == (".headrace", "ha") else found


def claim_version(options: FlinkOptions, version: str) -> None:
    """Note which Flink this cluster runs, for those that take it over. Raises UserError if it was another, OSError.

    Jobs that one version has kept can't be read by another, and its TaskManagers can't work for it.
    """
    found = directory(options)
    if found is None:
        return
    if found.is_symlink():
        raise UserError(f"{found} is a symbolic link; remove it, or give this cluster another name")
    note = found / _VERSION
    try:
        before = read_regular(note, 100).decode(errors="replace").strip()
    except FileNotFoundError:
        before = version
    if before != version:
        raise UserError(
            f"the cluster in {found} runs Flink {before}, whose jobs and TaskManagers Flink {version} can't take over; "
            "take savepoints and destroy it first, or give this cluster another name"
        )
    found.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_file(note, f"{version}\n".encode())


def ships_driver(options: FlinkOptions) -> bool:
    """Whether TaskManagers need the driver jar, which tells them who leads."""
    return options.get(TYPE) == FACTORY


def stable_directory(options: FlinkOptions, environment: Mapping[str, str]) -> Path | None:
    """Where more can be kept that is to outlive the task; None if there is no such place."""
    found = directory(options)
    data = environment.get(DATA_VARIABLE)
    return found if found is not None and data and found.is_relative_to(Path(data)) else None


def remove(options: FlinkOptions, but: str = "") -> None:
    """Remove what a cluster that is gone for good has kept, if it is a directory of ours; ``but``: see storage_dir."""
    found = directory(options)
    if found is not None:
        storage_dir.remove(found.parent, found.name, markers=_MARKERS, but=but)
