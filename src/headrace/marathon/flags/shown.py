"""The flags as the API shows them: /v2/info with Marathon's keys, and /config with all of them; never a secret."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.marathon.flags.flag import Fate, Kind
from headrace.marathon.flags.made import advertised, features
from headrace.marathon.flags.table import TABLE
from headrace.mesos import masters

SPOKEN = "1.11.24"
"""The Marathon whose API this is: scripts compare it. Headrace's own version stands in ``buildref``."""
MARATHON_CONFIG = {
    "access_control_allow_origin": "access_control_allow_origin",
    "checkpoint": "checkpoint",
    "decline_offer_duration": "decline_offer_duration",
    "default_network_name": "default_network_name",
    "env_vars_prefix": "env_vars_prefix",
    "executor": "executor",
    "failover_timeout": "failover_timeout",
    "features": "features",
    "framework_name": "framework_name",
    "ha": "ha",
    "hostname": "hostname",
    "launch_token": "launch_tokens",
    "launch_token_refresh_interval": "launch_token_refresh_interval",
    "leader_proxy_connection_timeout_ms": "leader_proxy_connection_timeout",
    "leader_proxy_read_timeout_ms": "leader_proxy_read_timeout",
    "local_port_max": "local_port_max",
    "local_port_min": "local_port_min",
    "master": "master",
    "max_instances_per_offer": "max_instances_per_offer",
    "mesos_bridge_name": "mesos_bridge_name",
    "mesos_heartbeat_failure_threshold": "mesos_heartbeat_failure_threshold",
    "mesos_heartbeat_interval": "mesos_heartbeat_interval",
    "mesos_leader_ui_url": "mesos_leader_ui_url",
    "mesos_role": "mesos_role",
    "mesos_user": "mesos_user",
    "min_revive_offers_interval": "min_revive_offers_interval",
    "new_group_enforce_role": "new_group_enforce_role",
    "offer_matching_timeout": "offer_matching_timeout",
    "on_elected_prepare_timeout": "on_elected_prepare_timeout",
    "reconciliation_initial_delay": "reconciliation_initial_delay",
    "reconciliation_interval": "reconciliation_interval",
    "scale_apps_initial_delay": "scale_apps_initial_delay",
    "scale_apps_interval": "scale_apps_interval",
    "store_cache": "store_cache",
    "task_launch_confirm_timeout": "task_launch_confirm_timeout",
    "task_launch_timeout": "task_launch_timeout",
    "task_lost_expunge_initial_delay": "task_lost_expunge_initial_delay",
    "task_lost_expunge_interval": "task_lost_expunge_interval",
    "task_reservation_timeout": "task_reservation_timeout",
    "webui_url": "webui_url",
    "maintenance_mode": "maintenance_mode",
}
"""Keys of /v2/info's marathon_config and their flags. Clients refuse keys beyond these."""
ZOOKEEPER_CONFIG = (
    "zk",
    "zk_compression",
    "zk_compression_threshold",
    "zk_connection_timeout",
    "zk_max_node_size",
    "zk_max_versions",
    "zk_session_timeout",
    "zk_timeout",
)


def info(options: argparse.Namespace, ports: dict[str, int | None]) -> dict[str, Any]:
    """The body of /v2/info, but for what changes: framework id and leader. ``ports``: http_port, https_port."""
    given = config(options) | {"features": sorted(features(options)), "hostname": advertised(options)}
    return {
        "name": options.framework_name,
        "version": SPOKEN,
        "buildref": f"headrace {__version__}",
        "elected": True,
        "marathon_config": {key: given[name] for key, name in MARATHON_CONFIG.items()},
        "zookeeper_config": {name: given[name] for name in ZOOKEEPER_CONFIG},
        "http_config": ports,
    }


def config(options: argparse.Namespace) -> dict[str, Any]:
    """The value of each flag; secrets are only said to be there. What is refused is null."""
    shown: dict[str, Any] = {}
    for flag in TABLE:
        value = getattr(options, flag.name)
        if flag.kind is Kind.SECRET and value is not None:
            value = "***"
        elif flag.name in ("master", "zk") and value is not None:
            value = masters.shown(value)
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        elif isinstance(value, Path) or value == "":
            value = str(value) or None
        shown[flag.name] = None if flag.fate is Fate.REFUSED and flag.takes_value else value
    return shown
