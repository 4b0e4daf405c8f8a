"""High availability with ZooKeeper: Flink's own, and the application master's store beside it.

Flink keeps leaders, job graphs and pointers to checkpoints below ``<root>/<cluster-id>``, and removes all of that
when the cluster ends. So the application master's znode lies elsewhere, ``<root>/mesos-workers/<cluster-id>``: there
its instances stand for election, and the store is. With ``high-availability.type: zookeeper`` that is so by itself;
``headrace.appmaster.store`` names another place, also for clusters whose Flink is highly available by files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from headrace.flink.options import FlinkOptions
from headrace.kernel.daemon import UserError
from headrace.kernel.zookeeper.address import SCHEME, ZooKeeperAddress, parse
from headrace.mesos.masters import read_master

TYPE = "high-availability.type"
STORAGE, CLUSTER_ID = "high-availability.storageDir", "high-availability.cluster-id"
_ZOOKEEPER = "high-availability.zookeeper."
QUORUM, ROOT = _ZOOKEEPER + "quorum", _ZOOKEEPER + "path.root"
WORKERS = _ZOOKEEPER + "path.mesos-workers"
FLINKS_TIMEOUT = _ZOOKEEPER + "client.session-timeout"
TOLERATE = _ZOOKEEPER + "client.tolerate-suspended-connections"
ACL = _ZOOKEEPER + "client.acl"
STORE, TIMEOUT = "headrace.appmaster.store", "headrace.appmaster.session-timeout"
_RESULTS = "job-result-store.storage-path"

_DEFAULT_TIMEOUT = 6.0
_UNITS = {"": 0.001, "ms": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "min": 60.0, "m": 60.0}


def chosen(options: Mapping[str, str]) -> bool:
    """Whether Flink is to be highly available with ZooKeeper."""
    return options.get(TYPE, "").strip().lower() == "zookeeper"


def with_defaults(given: FlinkOptions, environment: Mapping[str, str]) -> FlinkOptions:
    """``given`` with what makes takeovers quick, and a name for the cluster if it is an app."""
    if not chosen(given):
        return given
    app = environment.get("MARATHON_APP_ID", "").strip("/").replace("/", "_")
    named = {CLUSTER_ID: app} if app else {}
    return {FLINKS_TIMEOUT: "10000", TOLERATE: "true", **named, **given}


def check(options: Mapping[str, str]) -> None:
    """Raise UserError if something is missing without which Flink does not start."""
    if not chosen(options):
        return
    quorum = _quorum(options)
    if STORAGE not in options:
        raise UserError(
            f"{TYPE} zookeeper needs {STORAGE}: a directory or URL that all machines share, for what is too large "
            f"for {quorum.hosts[0]}"
        )
    name = options.get(CLUSTER_ID, "").strip("/")
    workers = _workers(options)
    if name and (name == workers or name.startswith(workers + "/")):
        raise UserError(f"{CLUSTER_ID} {name} is where application masters keep their workers; give another name")


def store_url(options: Mapping[str, str]) -> str:
    """What the user says of the store, maybe in a file; empty if nothing. Raises UserError."""
    return read_master(options.get(STORE, ""), f"option {STORE}")


def store_address(options: Mapping[str, str]) -> ZooKeeperAddress | None:
    """Where the application master keeps its store and stands for election; None if not in ZooKeeper.

    Raises UserError.
    """
    said = store_url(options)
    if said.startswith(SCHEME):
        return parse(said, f"option {STORE}")
    if said or not chosen(options) or CLUSTER_ID not in options:
        return None
    if options.get(ACL, "open").strip().lower() == "creator":
        raise UserError(
            f"{ACL} is creator, but the application master has no credentials for its own store: give "
            f"{STORE}=zk://user:password@host:port/path, best in a file: {STORE}=file:///path/of/it"
        )
    quorum = _quorum(options)
    return quorum.at("/".join((quorum.path, _workers(options), options[CLUSTER_ID].strip("/"))))


def session_timeout(options: Mapping[str, str]) -> float:
    """Seconds for which an application master leads without a word. Raises UserError."""
    text = options.get(TIMEOUT)
    if text is None:
        return _DEFAULT_TIMEOUT
    match = re.fullmatch(r"\s*(\d+)\s*([a-z]*)\s*", text)
    if match is None or match[2] not in _UNITS or not int(match[1]):
        raise UserError(f"option {TIMEOUT} is {text!r}; it must be a time such as 6 s or 6000 ms")
    return int(match[1]) * _UNITS[match[2]]


def flinks_address(options: Mapping[str, str]) -> ZooKeeperAddress | None:
    """The znode of all that Flink itself keeps of this cluster; None if it does not keep it in ZooKeeper."""
    name = options.get(CLUSTER_ID, "").strip("/")
    if not chosen(options) or not name:
        return None
    quorum = _quorum(options)
    return quorum.at(f"{quorum.path}/{name}")


def kept_files(options: Mapping[str, str]) -> list[Path]:
    """The directories of what Flink keeps beside ZooKeeper, as far as they are directories here."""
    name, storage = options.get(CLUSTER_ID, "").strip("/"), options.get(STORAGE, "").removeprefix("file://")
    if not chosen(options) or not name or not storage.startswith("/"):
        return []
    results = options.get(_RESULTS, f"{storage}/job-result-store/{name}").removeprefix("file://")
    return [Path(storage) / name, *([Path(results)] if results.startswith("/") else [])]


def _quorum(options: Mapping[str, str]) -> ZooKeeperAddress:
    """The servers, and Flink's root among all clusters. Raises UserError."""
    servers = options.get(QUORUM, "").strip()
    if not servers:
        raise UserError(f"{TYPE} zookeeper needs {QUORUM}: give host:port,host:port of the servers")
    hosts = ",".join(map(str.strip, servers.split(",")))
    root = options.get(ROOT, "/flink").strip("/")
    return parse(f"{SCHEME}{hosts}/{root}", f"option {QUORUM}")


def _workers(options: Mapping[str, str]) -> str:
    return options.get(WORKERS, "").strip("/") or "mesos-workers"
