"""What Marathon's flags say to its core."""

from __future__ import annotations

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """What the flags say; times in seconds."""

    role: str = "*"
    env_prefix: str = ""
    features: frozenset[str] = frozenset()
    default_network_name: str | None = None
    mesos_bridge_name: str = "mesos-bridge"
    new_group_enforce_role: str = "off"
    secrets_dir: str | None = None
    local_port_min: int = 10_000
    local_port_max: int = 20_000
    task_launch_timeout: float = 300.0
    task_launch_confirm_timeout: float = 300.0
    task_reservation_timeout: float = 20.0
    task_lost_expunge_initial_delay: float = 0.0
    task_lost_expunge_interval: float = 30.0
    reconciliation_initial_delay: float = 15.0
    reconciliation_interval: float = 600.0
    scale_apps_initial_delay: float = 15.0
    scale_apps_interval: float = 300.0
    decline_offer_duration: float = 120.0
    min_revive_offers_interval: float = 0.1
    suppress_offers: bool = True
    max_instances_per_offer: int = 5
    max_running_deployments: int = 100
    max_queued_root_group_updates: int = 500
    kill_retry_interval: float = 30.0
    accepted_resource_roles_default_behavior: str = "any"
    maintenance_mode: bool = True
    draining_seconds: float = 0.0
    gpu_scheduling_behavior: str = "restricted"
    principal: str | None = None
