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

from headrace.flink import storage_dir
from headrace.flink.options import FlinkOptions
from headrace.flink.storage_dir import CLUSTER_ID, RESULTS, STORAGE, TYPE, plain_name
from headrace.kernel.daemon import UserError
from headrace.kernel.zookeeper.address import SCHEME, ZooKeeperAddress, parse
from headrace.mesos.masters import read_master

_ZOOKEEPER = "high-availability.zookeeper."
QUORUM, ROOT = _ZOOKEEPER + "quorum", _ZOOKEEPER + "path.root"
WORKERS = _ZOOKEEPER + "path.mesos-workers"
FLINKS_TIMEOUT = _ZOOKEEPER + "client.session-timeout"
TOLERATE = _ZOOKEEPER + "client.tolerate-suspended-connections"
ACL = _ZOOKEEPER + "client.acl"
STORE, TIMEOUT = "headrace.appmaster.store", "headrace.appmaster.session-timeout"
_FILE_SYSTEM = "fs.default-scheme"
_RESULT_STORE = "job-result-store"

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
    """Raise UserError if something is missing without which Flink does not start, or would take what is another's."""
    if not chosen(options):
        return
    quorum = _quorum(options)
    if STORAGE not in options:
        raise UserError(
            f"{TYPE} zookeeper needs {STORAGE}: a directory or URL that all machines share, for what is too large "
            f"for {quorum.hosts[0]}"
        )
    workers = _workers(options)
    parse(f"{SCHEME}{','.join(quorum.hosts)}/{workers}", f"option {WORKERS}")
    if CLUSTER_ID not in options:
        return
    name = plain_name(options[CLUSTER_ID], f"option {CLUSTER_ID}")
    if f"{workers}/".startswith(f"{name}/"):
        raise UserError(
            f"{CLUSTER_ID} {name} is where application masters keep their workers, {quorum.path}/{workers}; "
            "give another name"
        )
    _check_apart(flinks_address(options), store_address(options))


def _check_apart(flinks: ZooKeeperAddress | None, own: ZooKeeperAddress | None) -> None:
    """Each is removed with all that is below it. Raises UserError if one lies within the other."""
    if flinks is None or own is None or not {*flinks.hosts} & {*own.hosts}:
        return
    if f"{flinks.path}/".startswith(f"{own.path}/") or f"{own.path}/".startswith(f"{flinks.path}/"):
        raise UserError(
            f"option {STORE}: {own} and what Flink keeps, {flinks}, lie within each other, but each is removed as a "
            "whole; give the store a znode of its own"
        )


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
    found = _storage(options)
    return [found[0].joinpath(*below) for below in found[1]] if found is not None else []


def remove_files(options: Mapping[str, str]) -> None:
    """Remove what Flink has kept beside ZooKeeper, if it is in directories here. The log says what stays, and why."""
    found = _storage(options)
    if found is not None:
        for below in found[1]:
            storage_dir.remove(found[0], *below)


def _storage(options: Mapping[str, str]) -> tuple[Path, list[tuple[str, ...]]] | None:
    """Flink's directory, and what below it is this cluster's alone; None if it is none here.

    A job result store that the user has named may be other clusters', too.
    """
    name, storage = options.get(CLUSTER_ID, "").strip("/"), options.get(STORAGE, "")
    elsewhere = _FILE_SYSTEM in options and not storage.startswith("file:")
    found = None if elsewhere else storage_dir.local_path(storage)
    if not chosen(options) or not name or found is None:
        return None
    return found, [(name,), *([] if RESULTS in options else [(_RESULT_STORE, name)])]


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
