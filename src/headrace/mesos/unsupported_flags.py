"""Flags of Mesos's master and agent that mean nothing here, and what to do instead. One table; ``x_*`` is a prefix."""

from __future__ import annotations

_ONE_MASTER = "there is one master, which keeps its state in --data; leave it out"
_STATE = "the master's state is a file under --data; leave it out"
_OPEN = "nobody is authenticated or authorized; listen on an address that only friends reach (--host), and leave it out"
_STDERR = "the daemon logs to stderr; redirect that, choose how much with --logging_level, and leave it out"
_MODULES = "there are no modules; leave it out"
_IMAGES = "images are run by Docker alone; use --containerizers=mesos,docker, and leave it out"
_ISOLATORS = "there is no such isolator; see --isolation in --help for those that there are, and leave it out"
_ALLOCATOR = "there is one allocator, the hierarchical DRF; leave it out"
_ROLES = "roles need not be listed: every role may be used; set limits with quotas (/quota), and leave it out"
_USERS = "an agent of root runs a task as its command's user, others as themselves; leave it out"
_SYSTEMD = "tasks outlive the agent by themselves; under systemd use KillMode=process, and leave it out"
_OVERSUBSCRIPTION = "there is no oversubscription; leave it out"
_FIXED = "this can't be changed here; leave it out"
_DETECTED = "give the address itself, with --ip and --hostname"
_EXECUTORS = "command tasks need no executor of Mesos's; leave it out"
_RECOVERY = "an agent always takes up its tasks after a restart; leave it out, or give another --data to begin anew"
_RESOURCES = "changed resources and attributes are taken at a restart as long as what is in use fits; leave it out"
_VERSION = "use: headrace --version"
_RATES = "calls of frameworks are not limited; leave it out"
_WHITELIST = "use maintenance (/machine/down) to keep agents away, and leave it out"
_DOCKER = "Docker is reached by its socket; use --docker_socket, and leave it out"

_TABLE = {
    _ONE_MASTER: ("zk", "zk_*", "quorum", "master_contender", "master_detector", "recover_timeout"),
    _STATE: ("registry", "registry_fetch_timeout", "registry_store_timeout", "registry_strict", "log_auto_initialize"),
    _OPEN: (
        *("acls", "authenticate", "authenticate_*", "authentication_*", "authenticatee", "authenticators"),
        *("authorizer", "authorizers", "credential", "credentials", "http_*authenticators", "http_credentials"),
        *("jwt_secret_key", "firewall_rules", "root_submissions", "secret_resolver"),
    ),
    _STDERR: ("log_dir", "logbufsecs", "quiet", "external_log_file", "initialize_driver_logging"),
    _MODULES: (
        *("modules", "modules_dir", "hooks", "container_logger", "disk_profile_adaptor", "resource_provider_*"),
        *("csi_*", "memory_profiling"),
    ),
    _IMAGES: (
        *("appc_*", "image_*", "docker_registry", "docker_store_dir", "docker_stall_timeout", "docker_config"),
        *("docker_volume_*", "default_container_info", "sandbox_directory"),
    ),
    _ISOLATORS: (
        *("network_*", "port_mapping_*", "ephemeral_ports_per_container", "eth0_name", "lo_name", "egress_*"),
        *("enforce_container_ports", "check_agent_port_range_only", "container_ports_*", "perf_*", "xfs_*"),
        *("seccomp_*", "nvidia_gpu_devices", "effective_capabilities", "bounding_capabilities", "allowed_devices"),
        *("cgroups_*", "default_shm_size", "disallow_sharing_agent_*", "default_container_dns", "volume_gid_range"),
        *("host_path_volume_force_creation", "allowed_capabilities"),
    ),
    _ALLOCATOR: ("allocator", "framework_sorter", "role_sorter", "user_sorter", "fair_sharing_excluded_*"),
    _ROLES: ("roles",),
    _USERS: ("switch_user",),
    _SYSTEMD: ("systemd_*",),
    _OVERSUBSCRIPTION: (
        *("oversubscribed_resources_interval", "qos_*", "resource_estimator", "revocable_cpu_low_priority"),
    ),
    _DETECTED: ("ip_discovery_command", "ip6*", "hostname_lookup", "advertise_ip", "advertise_port"),
    _EXECUTORS: ("http_command_executor", "launcher", "launcher_dir", "frameworks_home"),
    _RECOVERY: ("recover", "strict", "checkpoint"),
    _RESOURCES: ("reconfiguration_policy",),
    _VERSION: ("version",),
    _RATES: ("rate_limits",),
    _WHITELIST: ("whitelist",),
    _DOCKER: ("docker", "docker_ignore_runtime", "docker_kill_orphans", "docker_mesos_image"),
    _FIXED: (
        *("agent_features", "agent_subsystems", "slave_subsystems", "executor_reregistration_retry_interval"),
        *("gc_non_executor_container_sandboxes", "http_heartbeat_interval", "max_completed_executors_per_framework"),
        *("max_operator_event_stream_subscribers", "offer_constraints_*", "publish_per_framework_metrics"),
        *("registration_backoff_factor", "runtime_dir", "webui_dir"),
    ),
}


def advice(name: str) -> str | None:
    """What to do instead of Mesos's flag ``name`` (with underscores); None if there is no such flag."""
    name = name.removeprefix("no_")
    for text, patterns in _TABLE.items():
        for pattern in patterns:
            before, star, after = pattern.partition("*")
            if name == pattern or (star and name.startswith(before) and name.endswith(after)):
                return text
    return None
