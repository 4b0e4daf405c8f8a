"""Flags about the framework in Mesos, offers, tasks and deployments."""

from __future__ import annotations

from headrace.marathon.flags.flag import Flag, Kind, idle, refused

FEATURES = ("secrets", "gpu_resources", "external_volumes", "task_killing", "vips")
"""What ``--enable_features`` knows."""

_MS, _COUNT, _TEXT, _TOGGLE = Kind.MILLISECONDS, Kind.COUNT, Kind.TEXT, Kind.TOGGLE
_NO_TOKENS = "agents start hundreds of tasks a second; offers are the limit"
_MASTERS_WORD = "the master says how often it sends heartbeats; after five missed ones the connection is given up"
_REVIVED = "offers are revived whenever something new waits, and once is enough over HTTP"
_ONE_THREAD = "there are no actors that wait for each other"

CLUSTER: tuple[Flag, ...] = (
    Flag(
        "master", _TEXT, None, "the Mesos master: host:port, zk://host:port,…/path", metavar="HOST:PORT", required=True
    ),
    Flag("framework_name", _TEXT, "marathon", "its name in Mesos"),
    Flag("mesos_role", _TEXT, "*", "the role of all apps"),
    Flag("mesos_user", _TEXT, None, "told to the master; default: the user of this process"),
    Flag("failover_timeout", Kind.SECONDS, 604_800.0, "seconds that tasks outlive an absent Marathon"),
    Flag("checkpoint", _TOGGLE, True, "tasks outlive their agent's process, where that is a choice"),
    Flag("hostname", _TEXT, None, "the name that this Marathon is known by; default: the address"),
    Flag("webui_url", _TEXT, None, "what the master links to; default: its own address"),
    Flag("mesos_leader_ui_url", _TEXT, None, "where people find the master's pages; shown in /v2/info"),
    Flag("mesos_authentication", _TOGGLE, False, "log in at the master: HTTP Basic with the two that follow"),
    Flag("mesos_authentication_principal", _TEXT, None, "as whom; also without a secret"),
    Flag("mesos_authentication_secret_file", _TEXT, None, "the file that holds the secret", metavar="FILE"),
    Flag("mesos_authentication_secret", Kind.SECRET, None, "the secret itself; a file is safer: others see this"),
    Flag("env_vars_prefix", _TEXT, "", "put before HOST, PORT… in the environment of tasks"),
    Flag("default_network_name", _TEXT, None, "the container network of what names none", metavar="NAME"),
    Flag("mesos_bridge_name", _TEXT, "mesos-bridge", "the network of container/bridge", metavar="NAME"),
    Flag("enable_features", _TEXT, "", "what is off by default: " + ", ".join(FEATURES), metavar="A,B"),
    refused(
        "deprecated_features",
        _TEXT,
        "old behaviour to keep",
        "nothing of it is left, as in Marathon 1.11; leave it out",
    ),
    Flag("executor", _TEXT, "//cmd", "the executor of what names none: //cmd is Mesos's own, and there is no other"),
    Flag("local_port_min", _COUNT, 10_000, "least service port that is assigned to port 0"),
    Flag("local_port_max", _COUNT, 20_000, "greatest of these"),
    Flag(
        "new_group_enforce_role",
        _TEXT,
        "off",
        "top: new top-level groups enforce their name as the role",
        choices=("off", "top"),
    ),
    Flag(
        "accepted_resource_roles_default_behavior",
        _TEXT,
        "any",
        "the resources of apps that do not say acceptedResourceRoles",
        choices=("any", "unreserved", "reserved"),
    ),
    refused(
        "default_accepted_resource_roles",
        _TEXT,
        "the same, by roles",
        "say --accepted_resource_roles_default_behavior any, unreserved or reserved",
    ),
    Flag(
        "gpu_scheduling_behavior",
        _TEXT,
        "restricted",
        "restricted: agents with GPUs are for tasks that want them",
        choices=("restricted", "unrestricted"),
    ),
    Flag("maintenance_mode", _TOGGLE, True, "nothing is started on agents that are about to be maintained"),
    Flag("draining_seconds", Kind.SECONDS, 0.0, "seconds before a maintenance from which on nothing is started there"),
    Flag(
        "secrets_dir",
        _TEXT,
        None,
        "Headrace's own: the files of secrets, one for each source; regular files of up to 1 MiB",
        metavar="DIR",
    ),
    Flag("max_running_deployments", _COUNT, 100, "deployments at a time"),
    Flag("max_queued_root_group_updates", _COUNT, 500, "changes that may wait, up to 5 s, for one of these to end"),
    Flag("max_instances_per_offer", _COUNT, 5, "tasks started from one offer"),
    refused("max_tasks_per_offer", _COUNT, "its name before 1.4", "say --max_instances_per_offer"),
    refused("max_tasks_per_offer_cycle", _COUNT, "tasks per round of offers", "say --max_instances_per_offer"),
    Flag("task_launch_timeout", _MS, 300_000, "a task that is not running after that is ended"),
    Flag("task_launch_confirm_timeout", _MS, 300_000, "a task that nobody tells of after that is ended"),
    Flag("task_reservation_timeout", _MS, 20_000, "a reservation that nobody confirms after that is tried anew"),
    Flag(
        "task_lost_expunge_interval",
        _MS,
        30_000,
        "time until an unreachable task is given up, unless the app says more",
    ),
    Flag("task_lost_expunge_initial_delay", _MS, 300_000, "after a start none is given up for so long"),
    refused("task_lost_expunge_gc", _MS, "when lost tasks are given up", "say it in the app's unreachableStrategy"),
    Flag("reconciliation_initial_delay", _MS, 15_000, "from subscription, which compares at once, to the next time"),
    Flag("reconciliation_interval", _MS, 600_000, "time between comparisons with the master after that"),
    Flag("scale_apps_initial_delay", _MS, 15_000, "time to the first look at all apps for missing or surplus tasks"),
    Flag("scale_apps_interval", _MS, 300_000, "time between these; apps that change are looked at when they do"),
    Flag("decline_offer_duration", _MS, 120_000, "how long a useless offer stays away"),
    Flag("min_revive_offers_interval", _MS, 100, "least time between two requests for offers"),
    Flag("suppress_offers", _TOGGLE, True, "ask for no offers while nothing waits"),
    Flag("kill_retry_timeout", _MS, 30_000, "a task that is told to end and does not say so is told again"),
    idle("kill_chunk_size", _COUNT, 100, "kills at a time", "an agent takes any number"),
    Flag("max_concurrent_marathon_health_checks", _COUNT, 4096, "health checks at a time that Marathon runs itself"),
    idle("launch_tokens", _COUNT, 100, "tasks started per interval", _NO_TOKENS),
    idle("launch_token_refresh_interval", _MS, 30_000, "that interval", _NO_TOKENS),
    idle("offer_matching_timeout", _MS, 3000, "time for one offer", "an offer is looked at within milliseconds"),
    idle("save_tasks_to_launch_timeout", _MS, 3000, "time to store new tasks", "they start when they are stored"),
    idle("revive_offers_for_new_apps", _TOGGLE, True, "ask for offers when there are new apps", _REVIVED),
    idle("revive_offers_repetitions", _COUNT, 3, "how often they are asked for", _REVIVED),
    idle("mesos_offer_constraints", _TOGGLE, False, "let the master filter offers", "offers are looked at here"),
    idle("min_mesos_offer_constraints_update_interval", _MS, 1000, "how often that changes", "nothing to change"),
    idle("mesos_heartbeat_interval", _MS, 15_000, "silence after which the master is asked", _MASTERS_WORD),
    idle("mesos_heartbeat_failure_threshold", _COUNT, 5, "how often before it is given up", _MASTERS_WORD),
    idle("max_apps", _COUNT, None, "greatest number of apps", "Marathon does not look at it either"),
    idle(
        "minimum_viable_task_execution_duration",
        _MS,
        60_000,
        "a task that ran so long is viable",
        "the delay of an app that fails passes by itself",
    ),
    idle("launch_queue_request_timeout", _MS, 1000, "time for the launch queue's answer", _ONE_THREAD),
    idle("task_operation_notification_timeout", _MS, 10_000, "time for a launcher's answer", _ONE_THREAD),
    idle("task_tracker_request_timeout", _MS, 10_000, "time for the task tracker's answer", _ONE_THREAD),
    idle("task_update_request_timeout", _MS, 10_000, "time to take a status", _ONE_THREAD),
    idle("group_manager_request_timeout", _MS, 10_000, "time for the group manager's answer", _ONE_THREAD),
    idle("internal_max_parallel_status_updates", _COUNT, 20, "statuses taken at a time", _ONE_THREAD),
    idle("internal_max_queued_status_updates", _COUNT, 10_000, "statuses that may wait", _ONE_THREAD),
)
