"""What is made of the flags: checks between them, the core's settings, who the framework is."""

from __future__ import annotations

import argparse
import getpass
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from headrace.kernel.daemon import UserError
from headrace.kernel.flags import not_empty, port
from headrace.kernel.store.znodes import LIMIT, Policy
from headrace.kernel.zookeeper.address import ZooKeeperAddress
from headrace.kernel.zookeeper.address import parse as parse_address
from headrace.marathon.core.settings import Settings
from headrace.marathon.flags.cluster import FEATURES
from headrace.marathon.flags.reading import read
from headrace.mesos import masters
from headrace.mesos.messages.common import Capability, FrameworkInfo, Identifier
from headrace.mesos.resources.roles import role

CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE", "REGION_AWARE", "RESERVATION_REFINEMENT")
_OF_FEATURES = {"gpu_resources": "GPU_RESOURCES", "task_killing": "TASK_KILLING_STATE"}

_TEXTS = ("master", "data", "zk", "http_address", "http_port", "hostname", "https_address", "https_port", "http_realm")
_AT_LEAST_ONE = (
    "max_running_deployments",
    "max_instances_per_offer",
    "max_concurrent_marathon_health_checks",
    "http_max_concurrent_requests",
    "event_stream_max_outstanding_messages",
    "reconciliation_interval",
    "scale_apps_interval",
    "zk_timeout",
    "zk_session_timeout",
    "zk_connection_timeout",
    "on_elected_prepare_timeout",
    "leader_proxy_connection_timeout",
    "leader_proxy_read_timeout",
    "leader_proxy_max_open_connections",
)
LEAST_NODE = 10_000
"""Bytes that a znode must be able to hold."""
_LEVELS = {"off": "CRITICAL", "fatal": "CRITICAL", "warn": "WARNING", "trace": "DEBUG", "all": "DEBUG"}


def parse(arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> argparse.Namespace:
    """The command line, and MARATHON_… of the environment. Raises UserError."""
    options = read(arguments, environment)
    not_empty(options, _TEXTS)
    options.data = Path(options.data)
    options.http_port = port("--http_port", options.http_port)
    options.https_port = port("--https_port", options.https_port)
    options.mesos_user = options.mesos_user or getpass.getuser()
    options.https_address = options.https_address or options.http_address
    _check(options)
    return options


def zookeeper(options: argparse.Namespace) -> ZooKeeperAddress | None:
    """Where ZooKeeper keeps the state; None if it does not. Raises UserError, which says no password."""
    if options.zk is None:
        return None
    return parse_address(masters.read_master(options.zk, "--zk"), "--zk")


def policy(options: argparse.Namespace) -> Policy:
    """How values are kept in ZooKeeper."""
    above = int(options.zk_compression_threshold) if options.zk_compression else None
    return Policy(min(LIMIT, options.zk_max_node_size), above)


def features(options: argparse.Namespace) -> frozenset[str]:
    """Those that are enabled."""
    return frozenset(filter(None, (one.strip() for one in options.enable_features.split(","))))


def advertised(options: argparse.Namespace) -> str:
    """The host that others reach this Marathon by."""
    address: str = options.hostname or options.http_address
    return socket.gethostname() if address in ("0.0.0.0", "::") else address  # noqa: S104 - that is what is looked for


def log_level(options: argparse.Namespace) -> str:
    """As Python names it."""
    level: str = options.logging_level
    return _LEVELS.get(level, level.upper())


def settings(options: argparse.Namespace) -> Settings:
    """What the core is told."""
    return Settings(
        role=options.mesos_role,
        env_prefix=options.env_vars_prefix,
        features=features(options),
        default_network_name=options.default_network_name,
        mesos_bridge_name=options.mesos_bridge_name,
        new_group_enforce_role=options.new_group_enforce_role,
        accepted_resource_roles_default_behavior=options.accepted_resource_roles_default_behavior,
        gpu_scheduling_behavior=options.gpu_scheduling_behavior,
        maintenance_mode=options.maintenance_mode,
        draining_seconds=options.draining_seconds,
        secrets_dir=options.secrets_dir,
        local_port_min=options.local_port_min,
        local_port_max=options.local_port_max,
        task_launch_timeout=options.task_launch_timeout / 1000,
        task_launch_confirm_timeout=options.task_launch_confirm_timeout / 1000,
        task_reservation_timeout=options.task_reservation_timeout / 1000,
        task_lost_expunge_initial_delay=options.task_lost_expunge_initial_delay / 1000,
        task_lost_expunge_interval=options.task_lost_expunge_interval / 1000,
        reconciliation_initial_delay=options.reconciliation_initial_delay / 1000,
        reconciliation_interval=options.reconciliation_interval / 1000,
        scale_apps_initial_delay=options.scale_apps_initial_delay / 1000,
        scale_apps_interval=options.scale_apps_interval / 1000,
        decline_offer_duration=options.decline_offer_duration / 1000,
        min_revive_offers_interval=options.min_revive_offers_interval / 1000,
        suppress_offers=options.suppress_offers,
        max_instances_per_offer=options.max_instances_per_offer,
        max_running_deployments=options.max_running_deployments,
        max_queued_root_group_updates=options.max_queued_root_group_updates,
        kill_retry_interval=options.kill_retry_timeout / 1000,
        principal=options.mesos_authentication_principal,
    )


def framework(options: argparse.Namespace, framework_id: str | None, roles: Sequence[str] = ()) -> FrameworkInfo:
    """Who this scheduler is; with the id that it had before, if any. ``roles``: those of its apps."""
    return FrameworkInfo(
        user=options.mesos_user,
        name=options.framework_name,
        id=None if framework_id is None else Identifier(framework_id),
        failover_timeout=options.failover_timeout,
        checkpoint=options.checkpoint,
        roles=list(roles) or [options.mesos_role],
        hostname=options.hostname or socket.gethostname(),
        principal=options.mesos_authentication_principal,
        capabilities=[Capability(one) for one in _capabilities(features(options))],
    )


def _capabilities(enabled: frozenset[str]) -> list[str]:
    return [*CAPABILITIES, *(_OF_FEATURES[one] for one in sorted(enabled & _OF_FEATURES.keys()))]


def _check(options: argparse.Namespace) -> None:
    if wrong := role(options.mesos_role):
        raise UserError(f"--mesos_role: {wrong}")
    if not 0 < options.local_port_min <= options.local_port_max <= 65535:
        low, high = options.local_port_min, options.local_port_max
        raise UserError(f"--local_port_min {low} and --local_port_max {high} are no range of ports from 1 to 65535")
    unknown = features(options) - set(FEATURES)
    if unknown:
        raise UserError(f"--enable_features: there is no {min(unknown)}; there are {', '.join(FEATURES)}")
    for name in _AT_LEAST_ONE:
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value:g}; give 1 or more")
    if options.executor not in ("", "//cmd"):
        raise UserError(f"--executor {options.executor}: custom executors are not supported; leave it out")
    if options.zk_max_node_size < LEAST_NODE:
        raise UserError(f"--zk_max_node_size is {options.zk_max_node_size}; give {LEAST_NODE} bytes or more")
    if options.ha and options.zk is None:
        raise UserError("--ha needs --zk zk://host:port/path, where several Marathons meet; one alone needs neither")
    options.ha = options.zk is not None if options.ha is None else options.ha
    zookeeper(options)
    _check_login(options)
    _check_listening(options)


def _check_login(options: argparse.Namespace) -> None:
    principal = options.mesos_authentication_principal
    if options.mesos_authentication and not principal:
        raise UserError("--mesos_authentication needs --mesos_authentication_principal")
    if principal is not None and (not principal or ":" in principal):
        raise UserError("--mesos_authentication_principal is a name without colons")
    if options.mesos_authentication_secret and options.mesos_authentication_secret_file:
        raise UserError("--mesos_authentication_secret and --mesos_authentication_secret_file both give the secret")


def _check_listening(options: argparse.Namespace) -> None:
    if options.disable_http and not options.ssl_keystore_path:
        raise UserError("--disable_http needs HTTPS: give a certificate with --ssl_keystore_path")
    if options.http_credentials is not None and (
        ":" not in options.http_credentials or options.http_credentials.startswith(":")
    ):
        raise UserError("--http_credentials is not understood; give user:password")
