"""Flink with ZooKeeper: defaults, where the application master's store is, and what is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.flink import high_availability, zookeeper_ha
from headrace.flink.appmaster import records
from headrace.flink.appmaster.events import Stop
from headrace.flink.appmaster.stopping import App, Situation, decide
from headrace.flink.cluster import resolve
from headrace.flink.options import KNOWN, with_present_names
from headrace.kernel.daemon import UserError
from headrace.kernel.store import StoreError

HA = "high-availability."
ZK = HA + "zookeeper."
GIVEN = {HA + "type": "zookeeper", ZK + "quorum": "a:1, b:2", HA + "cluster-id": "/one", HA + "storageDir": "file:///s"}


def address(**changes: str) -> str | None:
    given = {**GIVEN, **{key.replace("__", "-"): value for key, value in changes.items()}}
    found = zookeeper_ha.store_address(given)
    return str(found) if found is not None else None


def test_takeovers_are_quick_unless_the_user_says_otherwise() -> None:
    found = zookeeper_ha.with_defaults(GIVEN, {})
    assert found[ZK + "client.session-timeout"] == "10000"
    assert found[ZK + "client.tolerate-suspended-connections"] == "true"
    slow = {**GIVEN, ZK + "client.session-timeout": "60 s", ZK + "client.tolerate-suspended-connections": "false"}
    assert zookeeper_ha.with_defaults(slow, {}) == slow
    assert zookeeper_ha.with_defaults({HA + "type": "NONE"}, {"MARATHON_APP_ID": "/a"}) == {HA + "type": "NONE"}


def test_an_app_has_its_own_name_so_that_no_cluster_lies_within_another() -> None:
    unnamed = {key: value for key, value in GIVEN.items() if key != HA + "cluster-id"}
    assert zookeeper_ha.with_defaults(unnamed, {"MARATHON_APP_ID": "/a/b"})[HA + "cluster-id"] == "a_b"
    assert zookeeper_ha.with_defaults(GIVEN, {"MARATHON_APP_ID": "/a/b"})[HA + "cluster-id"] == "/one"


def test_the_store_lies_beside_what_flink_removes() -> None:
    found = zookeeper_ha.store_address(GIVEN)
    flinks = zookeeper_ha.flinks_address(GIVEN)
    assert found is not None
    assert flinks is not None
    assert (found.hosts, found.path, flinks.path) == (("a:1", "b:2"), "/flink/mesos-workers/one", "/flink/one")
    assert zookeeper_ha.store_address({}) is None
    assert zookeeper_ha.flinks_address({}) is None


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({ZK + "path.root": "/x/y/"}, "zk://a:1,b:2/x/y/mesos-workers/one"),
        ({ZK + "path.mesos-workers": "/w"}, "zk://a:1,b:2/flink/w/one"),
        ({"headrace.appmaster.store": "zk://me:pw@c:3/mine"}, "zk://me:***@c:3/mine"),
        ({"headrace.appmaster.store": "sqlite:///a.db"}, None),
        ({HA + "type": "NONE"}, None),
        ({HA + "type": "NONE", "headrace.appmaster.store": "zk://c/mine"}, "zk://c:2181/mine"),
    ],
)
def test_where_the_store_is(changes: dict[str, str], path: str | None) -> None:
    assert address(**changes) == path


def test_the_address_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("zk://me:pw@c:3/mine\n")
    found = zookeeper_ha.store_address({"headrace.appmaster.store": f"file://{tmp_path}/store"})
    assert found is not None
    assert found.credentials == "me:pw"


@pytest.mark.parametrize(
    ("missing", "changes", "why"),
    [
        (ZK + "quorum", {}, "needs high-availability.zookeeper.quorum"),
        (HA + "storageDir", {}, "needs high-availability.storageDir"),
        ("", {HA + "cluster-id": "mesos-workers"}, "is where application masters keep their workers"),
        ("", {HA + "cluster-id": "one", ZK + "path.mesos-workers": "/one/w"}, "keep their workers, /flink/one/w"),
        ("", {ZK + "path.mesos-workers": "/a/../b"}, "path.mesos-workers .* does not take the path"),
        ("", {HA + "cluster-id": "a/b"}, "option high-availability.cluster-id is 'a/b'"),
        ("", {HA + "cluster-id": ".."}, r"option high-availability.cluster-id is '\.\.'"),
        ("", {HA + "cluster-id": "job-result-store"}, "a name that is kept"),
        ("", {"headrace.appmaster.store": "zk://a:1/flink/one/store"}, "lie within each other"),
        ("", {"headrace.appmaster.store": "zk://b:2/flink"}, "lie within each other"),
        ("", {ZK + "quorum": "a:x"}, "option high-availability.zookeeper.quorum .* is no host:port"),
    ],
)
def test_what_flink_would_not_start_with_is_said_first(missing: str, changes: dict[str, str], why: str) -> None:
    given = {key: value for key, value in {**GIVEN, **changes}.items() if key != missing}
    with pytest.raises(UserError, match=why):
        zookeeper_ha.check(given)
    zookeeper_ha.check(GIVEN)
    zookeeper_ha.check({})


def test_a_closed_flink_needs_credentials_for_the_store() -> None:
    with pytest.raises(UserError, match="headrace.appmaster.store=zk://user:password@"):
        address(**{ZK + "client.acl": "creator"})
    assert address(**{ZK + "client.acl": "creator", "headrace.appmaster.store": "zk://u:p@a:1/x"})


@pytest.mark.parametrize(("text", "seconds"), [("6 s", 6), ("4000", 4), ("2500 ms", 2.5), ("1 min", 60)])
def test_session_timeout(text: str, seconds: float) -> None:
    assert zookeeper_ha.session_timeout({"headrace.appmaster.session-timeout": text}) == seconds
    assert zookeeper_ha.session_timeout({}) == 6


@pytest.mark.parametrize("text", ["", "soon", "0", "1 week"])
def test_a_session_timeout_that_makes_no_sense(text: str) -> None:
    with pytest.raises(UserError, match="must be a time such as 6 s"):
        zookeeper_ha.session_timeout({"headrace.appmaster.session-timeout": text})


def test_files_of_flink_are_those_of_this_cluster_alone() -> None:
    assert zookeeper_ha.kept_files(GIVEN) == [Path("/s/one"), Path("/s/job-result-store/one")]
    assert zookeeper_ha.kept_files({**GIVEN, HA + "storageDir": "s3://bucket/flink"}) == []
    assert zookeeper_ha.kept_files({**GIVEN, HA + "storageDir": "file:/s"})[0] == Path("/s/one")
    assert zookeeper_ha.kept_files({**GIVEN, HA + "storageDir": "/s", "fs.default-scheme": "hdfs://n/"}) == []
    assert zookeeper_ha.kept_files({**GIVEN, "job-result-store.storage-path": "/shared/r"}) == [Path("/s/one")]
    assert zookeeper_ha.kept_files({**GIVEN, HA + "cluster-id": "/"}) == []
    assert zookeeper_ha.kept_files({**GIVEN, HA + "type": "NONE"}) == []


def test_files_of_flink_are_removed_and_no_others(tmp_path: Path) -> None:
    for below in ("one/blob", "two/blob", "job-result-store/one", "job-result-store/two"):
        (tmp_path / below).mkdir(parents=True)
    zookeeper_ha.remove_files({**GIVEN, HA + "storageDir": f"file:{tmp_path}"})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")) == [
        "job-result-store/two",
        "two/blob",
    ]


@pytest.mark.parametrize("name", ["quorum", "path.root", "path.mesos-workers", "client.session-timeout"])
def test_names_of_before(name: str) -> None:
    assert with_present_names({f"recovery.zookeeper.{name}": "x"}) == {ZK + name: "x"}
    assert KNOWN[ZK + name].supported


def test_job_manager_and_task_managers_are_told(tmp_path: Path) -> None:
    given = high_availability.with_defaults({**GIVEN, "mesos.master": "m:1"}, {}, tmp_path)
    cluster = resolve(given, {}, "me")
    for options in (cluster.task_manager_options(), cluster.flink):
        assert options[ZK + "quorum"] == "a:1, b:2"
        assert options[ZK + "client.session-timeout"] == "10000"


def test_a_leader_that_is_one_too_many_leaves_the_cluster_to_a_standby() -> None:
    situation = Situation("ask", supervised=True, files_stay=True, store_stays=True, standbys=True)
    scaled_down = App(instances=1, others=1, actions=frozenset({"ScaleApplication"}))
    assert decide(situation, scaled_down).stop is Stop.RESTART
    destroyed = App(exists=False, actions=frozenset({"StopApplication"}))
    assert decide(situation, destroyed).stop is Stop.DESTROY
    assert decide(situation, App(instances=0)).stop is Stop.SUSPEND


def test_without_zookeeper_nobody_pays_for_its_client() -> None:
    check = "import headrace.flink.appmaster.daemon, sys; sys.exit('kazoo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("generation", b"x"), ("framework", b"\xff"), ("workers/1", b"{}"), ("job-manager", b"\xac\xed"), ("port", b"")],
)
def test_s2_4_an_entry_that_can_not_be_read_is_named(key: str, value: bytes) -> None:
    with pytest.raises(StoreError, match=f"entry {key} of the application master's store can't be read"):
        records.recover({key: value})
