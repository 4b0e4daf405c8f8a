"""Every row of Marathon's own suites that can be tried from outside has a test here; this is the list of them.

The rows are those of Marathon 1.11: §7.1 its integration tests, §7.2 its system tests, §7.3 the rest; ``B`` needs one
Marathon and one agent, ``b`` several processes. Rows for real Docker registries, DC/OS, Universe, seccomp, IPv6 and
plug-ins are left out. A row is named by its suite and a few of its words.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
APPS, CHECKS = "cluster/test_marathon_rows_apps.py", "cluster/test_marathon_rows_checks.py"
GROUPS, PLACES = "cluster/test_marathon_rows_groups.py", "cluster/test_marathon_rows_places.py"
OLD, PODS, READS = "cluster/test_marathon_apps.py", "cluster/test_marathon_pods.py", "cluster/test_marathon_reads.py"
SERVER, VOLUMES = "cluster/test_marathon_server.py", "cluster/test_marathon_residency.py"
STANDBYS = "cluster/test_marathon_standbys.py"
ENDPOINTS = "conformance/test_marathon_endpoints.py"

ROWS: dict[str, tuple[str, str]] = {
    # §7.1
    "AppDeploy: simple app, two tasks, list apps and tasks, metric": (APPS, "test_an_app_of_two_tasks_and_its_events"),
    "AppDeploy: redeploying without changes": (APPS, "test_the_same_again_restarts_nothing"),
    "AppDeploy: backoff (4)": (APPS, "test_back_off"),
    "AppDeploy: health checks (6)": (CHECKS, "test_every_kind_of_health_check"),
    "AppDeploy: only after the check": (CHECKS, "test_an_app_is_not_deployed_before_its_check_has_passed"),
    "AppDeploy: unhealthy app fails to deploy (2)": (APPS, "test_what_is_unhealthy_is_not_deployed"),
    "AppDeploy: update, patch, restart, versions (2)": (APPS, "test_updates_and_versions"),
    "AppDeploy: scale up and down": (OLD, "test_an_app_lives"),
    "AppDeploy: kill a task / all, with scaling (4), delete": (APPS, "test_kills"),
    "AppDeploy: stop, rollback (3)": (APPS, "test_deployments_are_stopped_and_rolled_back"),
    "AppDeploy: Docker info, docker update, ports (3)": (APPS, "test_docker_parts_of_definitions"),
    "AppDeploy: tty (2), here refused by name": (CHECKS, "test_a_terminal_is_refused_by_name"),
    "Events: filter": (OLD, "test_the_event_stream"),
    "Events: small events": (APPS, "test_an_app_of_two_tasks_and_its_events"),
    "GpuScheduling (5)": (PLACES, "test_gpus"),
    "GracefulTaskKill (2)": (CHECKS, "test_a_kill_waits_for_who_traps_it"),
    "GroupDeploy: empty, 404": (GROUPS, "test_empty_groups"),
    "GroupDeploy: start, restart, same, health, rollback": (GROUPS, "test_a_group_with_apps_is_updated"),
    "GroupDeploy: min health": (GROUPS, "test_an_upgrade_keeps_the_health_capacity"),
    "GroupDeploy: min health, watched by the tasks": (OLD, "test_a_rolling_restart_keeps_capacity"),
    "GroupDeploy: 409, group_change_failed, force": (GROUPS, "test_locks_of_groups"),
    "GroupDeploy: circular, order, relative dependencies": (GROUPS, "test_dependencies"),
    "GroupDeploy: enforceRole, PATCH": (GROUPS, "test_enforce_role"),
    "HealthCheck (2)": (CHECKS, "test_an_unhealthy_task_is_told_and_replaced"),
    "HealthCheck: more kinds": (OLD, "test_an_unhealthy_task_is_replaced"),
    "Info: keys, leader": (ENDPOINTS, "test_every_endpoint"),
    "LaunchQueue: empty": (APPS, "test_reasons_of_the_queue"),
    "LaunchQueue: impossible constraint": (APPS, "test_deployments_are_stopped_and_rolled_back"),
    "LaunchQueue: backed-off": (APPS, "test_back_off"),
    "LaunchQueue: backed-off pods": (GROUPS, "test_a_pod_that_fails_waits_before_it_is_tried_again"),
    "Leader: abdication ends the process, tasks stay": (SERVER, "test_a_leader_that_goes_leaves_its_tasks"),
    "MarathonStartup: bound port": (READS, "test_a_user_s_mistakes_are_explained_in_a_line"),
    "MesosApp: create, scale, delete, versions, incarnation, wipe": (
        GROUPS,
        "test_pods_are_created_scaled_and_removed",
    ),
    "MesosApp: cancel, rollback, UNIQUE, group delete": (GROUPS, "test_deployments_of_pods"),
    "MesosApp: health-checked pods": (GROUPS, "test_pods_talk_and_are_checked"),
    "MesosApp: recovery": (PODS, "test_sigkill_of_marathon_touches_no_pod"),
    "MesosApp: persistent pod": (VOLUMES, "test_a_pods_containers_share_a_volume"),
    "MesosCheck (2)": (CHECKS, "test_mesos_checks"),
    "Metrics (4)": (CHECKS, "test_metrics"),
    "Metrics: prometheus": (READS, "test_the_small_pages"),
    "MultiRole: dev, metrics": (GROUPS, "test_enforce_role"),
    "MultiRole: resident instance keeps its role": (PLACES, "test_volumes_on_several_agents"),
    "ReadinessCheck (3)": (CHECKS, "test_an_app_is_not_deployed_before_its_check_has_passed"),
    "RemoteRegionOffers (4)": (PLACES, "test_regions"),
    "ResidentTask: write, re-attach, reserved resources": (VOLUMES, "test_a_volume_keeps_its_file_until_its_app_goes"),
    "ResidentTask: UNIQUE, scale, restart, change": (PLACES, "test_volumes_on_several_agents"),
    "Restart (3)": (CHECKS, "test_a_deployment_goes_on_after_a_restart_with_the_same_tasks"),
    "SystemResource: ping": (READS, "test_the_small_pages"),
    "TaskKilling (3)": (APPS, "test_kills"),
    "TaskUnreachable (5)": (PLACES, "test_agents_that_are_away"),
    "ForwardToLeader (13), AppDeploy via secondary": (STANDBYS, "test_a_standby_asks_the_leader"),
    "Leader: same leader, abdication, re-elections": (STANDBYS, "test_abdication"),
    "Info: ZK credentials hidden": (STANDBYS, "test_credentials_and_the_command_of_the_documents"),
    # §7.2
    "launch_mesos_container, launch_app_timed, no health check": (APPS, "test_an_app_of_two_tasks_and_its_events"),
    "launch_mesos_grace_period": (CHECKS, "test_a_kill_waits_for_who_traps_it"),
    "ui_available": (ENDPOINTS, "test_every_endpoint"),
    "task_failure_recovers": (APPS, "test_kills"),
    "user (3), non_downloadable_artifact": (CHECKS, "test_users_and_artifacts"),
    "launch_group, scale (4)": (APPS, "test_groups_are_scaled"),
    "http_health_check_healthy[4], command, https[2]": (CHECKS, "test_every_kind_of_health_check"),
    "https_readiness_check_ready": (CHECKS, "test_readiness_over_https"),
    "failing_health_check_results_in_unhealthy_app": (APPS, "test_what_is_unhealthy_is_not_deployed"),
    "health_check_works_with_resident_task, volume (4)": (PLACES, "test_volumes_on_several_agents"),
    "pinned_task (4), pin_pod": (PLACES, "test_pinned_apps"),
    "app_update, app_update_rollback": (APPS, "test_updates_and_versions"),
    "unhealthy_app_can_be_rolled_back": (APPS, "test_what_is_unhealthy_can_be_rolled_back"),
    "master_process_failure, task_agent_bounced": (PLACES, "test_a_bounced_agent_keeps_its_tasks"),
    "all daemons at once": (OLD, "test_sigkill_of_everybody_at_once_touches_no_task"),
    "task_gets_restarted_due_to_network_split": (PLACES, "test_agents_that_are_away"),
    "declined_offer (2)": (APPS, "test_reasons_of_the_queue"),
    "ping, metrics_endpoint": (READS, "test_the_small_pages"),
    "event_channel": (APPS, "test_an_app_of_two_tasks_and_its_events"),
    "file_based_secret, secret_env_var": (VOLUMES, "test_apps_of_several_roles_and_their_secrets"),
    "pods: create, remove, scale, update, HEAD, events": (GROUPS, "test_pods_are_created_scaled_and_removed"),
    "pods: shared volume, nonzero exit": (GROUPS, "test_deployments_of_pods"),
    "pods: ports, communication, health, failed health": (GROUPS, "test_pods_talk_and_are_checked"),
    "pods: persistent volume (2)": (VOLUMES, "test_a_pods_containers_share_a_volume"),
    "dcos_service: readiness (3)": (CHECKS, "test_an_app_is_not_deployed_before_its_check_has_passed"),
    "dcos_service: has_single_instance": ("conformance/test_marathon_cases.py", "test_case"),
    "auth: 401": (SERVER, "test_https_alone_and_a_password"),
    # §7.3, §7.4
    "jepsen: every acknowledged app is there": (OLD, "test_sigkill_at_many_moments_neither_loses_nor_doubles"),
    "jepsen: upgrades under SIGKILL": (
        "cluster/test_marathon_upgrades.py",
        "test_capacity_is_kept_and_every_upgrade_ends",
    ),
    "label selectors": (READS, "test_lists_of_apps"),
    "fixtures": ("conformance/test_marathon_cases.py", "test_case"),
}


@cache
def names(path: str) -> dict[str, str]:
    """The tests of a file with their docstrings."""
    tree = ast.parse((TESTS / path).read_text())
    found = [one for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {one.name: ast.get_docstring(one) or "" for one in found if one.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_its_test(row: str) -> None:
    path, test = ROWS[row]
    assert test in names(path)
    if path in (APPS, CHECKS, GROUPS, PLACES):
        assert "§7." in names(path)[test], "it says which rows it is"
