"""The daemon's flags under Marathon's names, and what is made of them."""

from __future__ import annotations

import argparse
import getpass
import socket
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.kernel.flags import Parser, not_empty, port
from headrace.marathon.core.books import Settings
from headrace.mesos.masters import shown
from headrace.mesos.messages.common import Capability, FrameworkInfo, Identifier

CAPABILITIES = ("MULTI_ROLE", "PARTITION_AWARE")

_SHOWN = (
    "access_control_allow_origin",
    "checkpoint",
    "decline_offer_duration",
    "default_network_name",
    "env_vars_prefix",
    "executor",
    "failover_timeout",
    "features",
    "framework_name",
    "ha",
    "hostname",
    "launch_token",
    "launch_token_refresh_interval",
    "leader_proxy_connection_timeout_ms",
    "leader_proxy_read_timeout_ms",
    "local_port_max",
    "local_port_min",
    "master",
    "max_instances_per_offer",
    "mesos_bridge_name",
    "mesos_heartbeat_failure_threshold",
    "mesos_heartbeat_interval",
    "mesos_leader_ui_url",
    "mesos_role",
    "mesos_user",
    "min_revive_offers_interval",
    "new_group_enforce_role",
    "offer_matching_timeout",
    "on_elected_prepare_timeout",
    "reconciliation_initial_delay",
    "reconciliation_interval",
    "scale_apps_initial_delay",
    "scale_apps_interval",
    "store_cache",
    "task_launch_confirm_timeout",
    "task_launch_timeout",
    "task_lost_expunge_initial_delay",
    "task_lost_expunge_interval",
    "task_reservation_timeout",
    "webui_url",
    "maintenance_mode",
)
"""What /v2/info tells of the configuration; clients refuse names beyond these."""

_FIXED = {"checkpoint": True, "executor": "//cmd", "features": [], "ha": False}


def parser() -> Parser:
    """What reads the command line. Every flag may be written with ``_`` or ``-``; times are milliseconds where
    Marathon's are."""
    parser = Parser("headrace marathon", "Marathon-compatible service orchestrator")
    parser.add_argument("command", nargs="?", choices=["run_jar"], help="accepted for scripts, means nothing")

    def flag(name: str, **options: Any) -> None:
        spellings = dict.fromkeys((f"--{name}", "--" + name.replace("_", "-")))
        parser.add_argument(*spellings, **options)

    flag("master", required=True, metavar="HOST:PORT", help="the Mesos master: host:port, zk://host:port,…/path")
    flag("zk", metavar="URL", help="not supported yet: state is kept in --data")
    flag("data", default="marathon-data", metavar="DIR", help="where the state is kept")
    spellings = ("--http_address", "--http-address", "--host")
    parser.add_argument(*spellings, default="127.0.0.1", dest="http_address", help="address to listen on")
    spellings = ("--http_port", "--http-port", "--port")
    parser.add_argument(*spellings, default="8080", dest="http_port", help="port to listen on; 0: a free one")
    flag("hostname", help="the name that this Marathon is known by; default: the address")
    flag("framework_name", default="marathon", help="its name in Mesos")
    flag("mesos_role", default="*", help="the role of all apps")
    flag("mesos_user", default=None, help="told to the master; default: the user of this process")
    flag("failover_timeout", type=float, default=604_800.0, help="seconds that tasks outlive an absent Marathon")
    flag("webui_url", default=None, help="what the master links to; default: its own address")
    flag("env_vars_prefix", default="", help="put before HOST, PORT… in the environment of tasks")
    flag("local_port_min", type=int, default=10_000, help="least service port that is assigned to port 0")
    flag("local_port_max", type=int, default=20_000, help="greatest of these")
    flag("max_running_deployments", type=int, default=100, help="deployments at a time")
    flag("max_instances_per_offer", type=int, default=5, help="tasks started from one offer")
    for name, milliseconds, about in (
        ("task_launch_timeout", 300_000, "a task that is not running after that is ended"),
        ("task_launch_confirm_timeout", 300_000, "a task that nobody tells of after that is ended"),
        ("task_lost_expunge_interval", 30_000, "time until an unreachable task is given up, unless the app says more"),
        ("reconciliation_interval", 600_000, "time between comparisons with the master"),
        ("decline_offer_duration", 120_000, "how long a useless offer stays away"),
        ("min_revive_offers_interval", 100, "least time between two requests for offers"),
    ):
        flag(name, type=float, default=milliseconds, metavar="MS", help=about)
    levels = ["debug", "info", "warn", "error"]
    flag("logging_level", default="info", type=str.lower, choices=levels, help="what is logged")
    return parser


def parse(argv: list[str]) -> argparse.Namespace:
    """The command line. Raises UserError."""
    reader = parser()
    options = reader.parse_args(argv)
    not_empty(options, ("master", "data", "http_address", "http_port", "hostname"))
    options.data, options.http_port = Path(options.data), port("--http_port", options.http_port)
    _check(reader, options)
    return options


def _check(parser: Parser, options: argparse.Namespace) -> None:
    if not 0 < options.local_port_min <= options.local_port_max <= 65535:
        low, high = options.local_port_min, options.local_port_max
        parser.error(f"--local_port_min {low} and --local_port_max {high} are no range of ports from 1 to 65535")
    for name in ("max_running_deployments", "max_instances_per_offer"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; give 1 or more")


def settings(options: argparse.Namespace) -> Settings:
    """What the core is told."""
    return Settings(
        role=options.mesos_role,
        env_prefix=options.env_vars_prefix,
        local_port_min=options.local_port_min,
        local_port_max=options.local_port_max,
        task_launch_timeout=options.task_launch_timeout / 1000,
        task_launch_confirm_timeout=options.task_launch_confirm_timeout / 1000,
        task_lost_expunge_interval=options.task_lost_expunge_interval / 1000,
        reconciliation_interval=options.reconciliation_interval / 1000,
        decline_offer_duration=options.decline_offer_duration / 1000,
        min_revive_offers_interval=options.min_revive_offers_interval / 1000,
        max_instances_per_offer=options.max_instances_per_offer,
        max_running_deployments=options.max_running_deployments,
    )


def framework(options: argparse.Namespace, framework_id: str | None) -> FrameworkInfo:
    """Who this scheduler is; with the id that it had before, if any."""
    return FrameworkInfo(
        user=options.mesos_user or getpass.getuser(),
        name=options.framework_name,
        id=None if framework_id is None else Identifier(framework_id),
        failover_timeout=options.failover_timeout,
        checkpoint=True,
        roles=[options.mesos_role],
        hostname=options.hostname or socket.gethostname(),
        capabilities=[Capability(one) for one in CAPABILITIES],
    )


def info(options: argparse.Namespace, leader: str, port: int) -> dict[str, Any]:
    """The body of /v2/info, but for the framework id."""
    given = vars(options) | _FIXED | {"master": shown(options.master)}
    config = {name: given.get(name) for name in _SHOWN}
    config = {name: int(value) if isinstance(value, float) else value for name, value in config.items()}
    return {
        "name": options.framework_name,
        "version": __version__,
        "buildref": "headrace",
        "elected": True,
        "leader": leader,
        "marathon_config": config,
        "zookeeper_config": {},
        "http_config": {"http_port": port, "https_port": None},
    }
