"""High availability by default: where its files lie, and whose choice counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.flink import high_availability, job_result, storage_dir
from headrace.flink.cluster import resolve
from headrace.flink.high_availability import DATA_VARIABLE, FACTORY
from headrace.flink.job_result import JobResult
from headrace.flink.storage_dir import CLUSTER_ID, STORAGE, TYPE
from headrace.flink.task_options import ORIGINAL_COMMAND
from headrace.kernel.daemon import UserError

SANDBOX = Path("/sandbox")
APP = {"MARATHON_APP_ID": "/flink/session"}
DATA = {DATA_VARIABLE: "/data"}


def ha(given: dict[str, str], environment: dict[str, str]) -> dict[str, str]:
    options = high_availability.with_defaults(given, environment, SANDBOX)
    return {key: value for key, value in options.items() if key in (TYPE, STORAGE, CLUSTER_ID)}


@pytest.mark.parametrize(
    ("given", "environment", "directory"),
    [
        ({}, {}, "/sandbox/.headrace/ha/flink"),
        ({}, APP, "/sandbox/.headrace/ha/flink_session"),
        ({}, DATA, "/sandbox/.headrace/ha/flink"),  # two clusters without a name must not meet there
        ({}, APP | DATA, "/data/flink/flink_session"),
        ({CLUSTER_ID: "/mine"}, APP | DATA, "/data/flink/mine"),
        ({TYPE: FACTORY}, APP | DATA, "/data/flink/flink_session"),
        ({STORAGE: "/nfs"}, APP | DATA, "/nfs/flink_session"),
        ({STORAGE: "file:///nfs"}, APP, "/nfs/flink_session"),
        ({STORAGE: "file:/nfs"}, APP, "/nfs/flink_session"),
        ({STORAGE: "/nfs//a/../b/"}, APP, "/nfs/b/flink_session"),  # as Flink's Path has it
        ({STORAGE: "/a%20b"}, APP, "/a%20b/flink_session"),
        ({"recovery.zookeeper.storageDir": "/nfs"}, APP, "/nfs/flink_session"),
        ({TYPE: "zookeeper"}, APP, None),
        ({"high-availability": "NONE"}, APP, None),
        ({"mesos.resourcemanager.tasks.taskmanager-cmd": "tm.sh"}, APP, None),
        ({"mesos.resourcemanager.tasks.taskmanager-cmd": ORIGINAL_COMMAND}, APP, "/sandbox/.headrace/ha/flink_session"),
    ],
)
def test_directory(given: dict[str, str], environment: dict[str, str], directory: str | None) -> None:
    options = high_availability.with_defaults(given, environment, SANDBOX)
    found = high_availability.directory(options)
    assert found == (Path(directory) if directory else None)
    assert high_availability.ships_driver(options) is (directory is not None)


def test_another_choice_changes_nothing_else() -> None:
    assert ha({TYPE: "zookeeper"}, APP) == {TYPE: "zookeeper", CLUSTER_ID: "flink_session"}
    assert ha({TYPE: "a.Factory"}, APP) == {TYPE: "a.Factory"}
    assert ha({}, APP)[TYPE] == FACTORY


def test_a_shared_directory_needs_a_name_for_the_cluster() -> None:
    """The cluster's options are refused without one."""
    assert CLUSTER_ID not in ha({STORAGE: "/nfs"}, {})


def test_contradictions_are_refused() -> None:
    with pytest.raises(UserError, match="high-availability"):
        ha({TYPE: "zookeeper", "high-availability": "NONE"}, {})


@pytest.mark.parametrize(
    ("given", "environment", "stable"),
    [
        ({}, APP | DATA, True),
        ({}, APP, False),
        ({}, DATA, False),
        ({STORAGE: "/nfs"}, APP | DATA, False),
        ({TYPE: "NONE"}, APP | DATA, False),
    ],
)
def test_the_store_outlives_the_task_where_there_is_a_place_for_it(
    given: dict[str, str], environment: dict[str, str], stable: bool
) -> None:
    options = high_availability.with_defaults(given, environment, SANDBOX)
    found = high_availability.stable_directory(options, environment)
    assert found == (Path("/data/flink/flink_session") if stable else None)


def test_each_slot_of_an_app_has_its_own_directory_and_name() -> None:
    for slot, mark in ((1, ""), (2, "@2")):
        options = high_availability.with_defaults({"mesos.master": "m:5050"}, APP | DATA, SANDBOX, slot)
        assert high_availability.directory(options) == Path(f"/data/flink/flink_session{mark}")
        assert options["job-result-store.storage-path"] == f"/data/flink/flink_session{mark}/job-results"
        cluster = resolve(options, APP | DATA, "me", slot=slot)
        assert cluster.flink[CLUSTER_ID] == f"flink_session{mark}"
        assert (cluster.cluster_id, cluster.framework.name) == (f"/flink/session{mark}", f"Flink{mark}")


def test_remove(tmp_path: Path) -> None:
    options = high_availability.with_defaults({}, {}, tmp_path)
    found = high_availability.directory(options)
    assert found is not None
    (found / "jobs").mkdir(parents=True)
    high_availability.remove(options)
    assert found.exists()  # nothing says that it is ours
    (found / "generation").write_text("1")
    high_availability.remove(options)
    assert not found.exists()
    high_availability.remove(options)
    high_availability.remove({})


def test_a_store_that_is_still_needed_stays(tmp_path: Path) -> None:
    """Its framework could not be torn down."""
    options = high_availability.with_defaults({}, {}, tmp_path)
    found = high_availability.directory(options)
    assert found is not None
    (found / "jobs").mkdir(parents=True)
    for name in ("appmaster.db", "appmaster.db-wal", "flink-version", "jobs/one"):
        (found / name).write_text("x")
    high_availability.remove(options, "appmaster.db")
    assert sorted(path.name for path in found.iterdir()) == ["appmaster.db", "appmaster.db-wal"]


def test_another_version_of_flink_does_not_take_over(tmp_path: Path) -> None:
    options = {TYPE: FACTORY, STORAGE: f"file://{tmp_path}", CLUSTER_ID: "it"}
    for _ in range(2):
        high_availability.claim_version(options, "1.20.5")
    with pytest.raises(
        UserError, match=r"runs Flink 1\.20\.5, whose jobs and TaskManagers Flink 2\.3\.0 can't take over"
    ):
        high_availability.claim_version(options, "2.3.0")
    high_availability.remove(options)
    high_availability.claim_version(options, "2.3.0")
    assert (tmp_path / "it").stat().st_mode & 0o077 == 0
    high_availability.claim_version({}, "2.3.0")


NO_NAMES = [".", "..", "", "/", "x@2", "a:b", "a\\b", "a\nb", " a", "x.slot", "x.done", "job-result-store", "/../"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_a_name_that_would_be_another_directory_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"option high-availability\.cluster-id is "):
        ha({CLUSTER_ID: name}, DATA)


@pytest.mark.parametrize(
    "storage", ["hdfs://nn/ha", "s3://bucket/x", "ha", "file:ha", "file://host/ha", "file:///a%20b", "FILE:///x", ""]
)
def test_a_storage_that_is_no_directory_is_refused_at_once(storage: str) -> None:
    with pytest.raises(UserError, match=r"option high-availability\.storageDir .*high-availability\.type=zookeeper"):
        ha({STORAGE: storage}, APP)


def test_what_is_no_directory_of_ours_is_not_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "flink-version").write_text("1")
    (tmp_path / "ha").mkdir()
    (tmp_path / "ha" / "it").symlink_to(tmp_path / "precious")
    options = {TYPE: FACTORY, STORAGE: str(tmp_path / "ha"), CLUSTER_ID: "it"}
    high_availability.remove(options)
    assert (tmp_path / "precious" / "flink-version").exists()
    assert "is not removed: it is a link" in caplog.text
    with pytest.raises(UserError, match="is a symbolic link"):
        high_availability.claim_version(options, "1.20.5")
    for name in (".", ".."):
        with pytest.raises(ValueError, match="no directory's name"):
            storage_dir.remove(tmp_path, name)


def test_nobody_elses_file_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "it").mkdir()
    for name in ("flink-version.new", "flink-version"):
        (tmp_path / "it" / name).symlink_to(tmp_path / "victim")
    options = {TYPE: FACTORY, STORAGE: str(tmp_path), CLUSTER_ID: "it"}
    with pytest.raises(OSError, match="symbolic link"):
        high_availability.claim_version(options, "1.20.5")
    (tmp_path / "it" / "flink-version").unlink()
    high_availability.claim_version(options, "1.20.5")
    assert (tmp_path / "victim").read_text() == "precious"
    assert (tmp_path / "it" / "flink-version").read_text() == "1.20.5\n"


def test_a_jobs_result_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    for name in ("it.done", "it.done.new"):
        (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link"):
        job_result.load(tmp_path / "it.done")
    job_result.save(JobResult("1", "FINISHED", 0), tmp_path / "it.done")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "it.done").is_symlink()
