"""Health, readiness and other checks, and how tasks end, as Marathon's own suites try them: one Marathon, one agent."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import cluster, wait_for
from tests.cluster.marathon_rows import MOCK, QUICK, SLEEP, SMALL, Events, ping, removed
from tests.cluster.test_marathon_apps import Marathon

READY = {"name": "ready", "portName": "web", "path": "/ready", "intervalSeconds": 61, "timeoutSeconds": 60}
"""It is asked more often at first."""
PORTS = [{"port": 0, "name": "web"}]


@pytest.fixture(scope="module")
def marathon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marathon]:
    with cluster(tmp_path_factory.mktemp("checks")) as it:
        yield Marathon(it)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key in one file, of nobody."""
    directory = tmp_path_factory.mktemp("certificate")
    key, path = directory / "key.pem", directory / "both.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=none"]
    subprocess.run([*request, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


def test_every_kind_of_health_check(marathon: Marathon, certificate: Path) -> None:
    """§7.1 AppDeploy: Marathon HTTP, Mesos HTTP, HTTP with port, Marathon TCP, Mesos TCP, COMMAND health check. §7.2
    http_health_check_healthy[HTTP,MESOS_HTTP,TCP,MESOS_TCP]; command_health_check_healthy;
    https_health_check_healthy[2]."""
    kinds: dict[str, dict[str, Any]] = {
        "http": {"protocol": "HTTP", "path": "/ping"},
        "mesos-http": {"protocol": "MESOS_HTTP", "path": "/ping"},
        "port": {"protocol": "HTTP", "path": "/ping", "port": 30999},
        "tcp": {"protocol": "TCP"},
        "mesos-tcp": {"protocol": "MESOS_TCP"},
        "command": {"protocol": "COMMAND", "command": {"value": 'test -n "$PORT0"'}},
        "https": {"protocol": "HTTPS", "path": "/ping"},
        "mesos-https": {"protocol": "MESOS_HTTPS", "path": "/ping"},
    }
    apps = []
    for name, check in kinds.items():
        env = {"CERTIFICATE": str(certificate)} if "https" in name else {}
        app: dict[str, Any] = {"id": name, **MOCK, "env": env, "healthChecks": [{**check, **QUICK}]}
        if "port" in check:
            check["port"] = app["healthChecks"][0]["port"] = _free_port(marathon)
            app |= {"portDefinitions": [{"port": check["port"]}], "requirePorts": True}
        else:
            app["dependencies"] = ["port"]  # so that none of these others has got its port
        apps.append(app)
    assert marathon.ask("POST", "/v2/groups", {"id": "/kinds", "apps": apps})[0] == 201
    for name in kinds:
        marathon.settled(f"/kinds/{name}", 1)
        app = marathon.app(f"/kinds/{name}")
        assert app["tasksHealthy"] == 1, name
        (result,) = app["tasks"][0]["healthCheckResults"]
        assert (result["alive"], result["consecutiveFailures"]) == (True, 0), name
    removed(marathon, "/kinds")


def test_an_app_is_not_deployed_before_its_check_has_passed(marathon: Marathon, tmp_path: Path) -> None:
    """§7.1 AppDeploy: Marathon HTTP health check, "only after check pinged"; ReadinessCheck: deployment stays until
    ready; with health; upgrade waits. §7.2 framework_readiness_time_check; rollback_before_ready;
    never_deploys_due_to_bad_readiness_check."""
    env = {"HEALTH": str(tmp_path / "healthy"), "READY": str(tmp_path / "ready")}
    check = {"protocol": "HTTP", "path": "/health", **QUICK}
    body = {"id": "/gate", **MOCK, "env": env, "healthChecks": [check], "readinessChecks": [READY]}
    plan = marathon.deploy("POST", "/v2/apps", {**body, "portDefinitions": PORTS})

    def results() -> list[dict[str, Any]]:
        (deployment,) = [one for one in marathon.ask("GET", "/v2/deployments")[1] if one["id"] == plan]
        return [one for action in deployment["currentActions"] for one in action["readinessCheckResults"]]

    wait_for(results, "readiness was asked")
    assert [(one["name"], one["ready"]) for one in results()] == [("ready", False)]
    assert marathon.app("/gate")["tasksRunning"] == 1
    (tmp_path / "ready").touch()
    (first,) = marathon.tasks("/gate")
    wait_for(lambda: [one["ready"] for one in results()] == [True], "it is ready")
    assert marathon.app("/gate")["deployments"] == [{"id": plan}], "and not healthy"
    (tmp_path / "healthy").touch()
    assert marathon.settled("/gate", 1) == {first}

    (tmp_path / "ready").unlink()
    upgrade = marathon.deploy("PUT", "/v2/apps/gate", {"env": {**env, "MARK": "two"}})
    new = wait_for(lambda: marathon.tasks("/gate") - {first}, "the new task runs")
    assert first in marathon.tasks("/gate"), "the old one stays until the new one is ready"
    assert marathon.ask("DELETE", f"/v2/deployments/{upgrade}")[0] == 200, "rolled back before it is ready"
    assert marathon.settled("/gate", 1) == {first}
    assert not new & marathon.tasks("/gate")
    second = marathon.deploy("PUT", "/v2/apps/gate", {"env": {**env, "MARK": "three"}})
    wait_for(lambda: marathon.tasks("/gate") - {first}, "the new task runs")
    assert [one["id"] for one in marathon.app("/gate")["deployments"]] == [second]
    (tmp_path / "ready").touch()
    (last,) = marathon.settled("/gate", 1)
    assert (last != first, ping(marathon.app("/gate")["tasks"][0])) == (True, "pong three")
    removed(marathon, "/gate")


def test_readiness_over_https(marathon: Marathon, certificate: Path) -> None:
    """§7.2 https_readiness_check_ready."""
    body = {"id": "/tls", **MOCK, "env": {"CERTIFICATE": str(certificate)}, "portDefinitions": PORTS}
    marathon.deploy("POST", "/v2/apps", {**body, "readinessChecks": [{**READY, "protocol": "HTTPS"}]})
    marathon.settled("/tls", 1)
    removed(marathon, "/tls")


def test_a_deployment_goes_on_after_a_restart_with_the_same_tasks(marathon: Marathon, tmp_path: Path) -> None:
    """§7.1 Restart: running task survives restart in deployment; readiness; health deployments resume with same
    tasks."""
    env = {"HEALTH": str(tmp_path / "healthy"), "READY": str(tmp_path / "ready")}
    check = {"protocol": "HTTP", "path": "/health", **QUICK}
    members: list[dict[str, Any]] = [
        {"id": "/resume/ready", **MOCK, "env": env, "readinessChecks": [READY], "portDefinitions": PORTS},
        {"id": "/resume/health", **MOCK, "env": env, "healthChecks": [check]},
        {"id": "/resume/both", **SLEEP, "instances": 2, "constraints": [["hostname", "UNIQUE"]]},
    ]
    assert marathon.ask("POST", "/v2/groups", {"id": "/resume", "apps": members})[0] == 201
    names = [one["id"] for one in members]
    wait_for(lambda: all(len(marathon.tasks(one)) == 1 for one in names), "a task of each runs")
    before = [marathon.tasks(one) for one in names]
    marathon.daemon.kill()
    marathon.daemon.start()
    assert [len(marathon.app(one)["deployments"]) for one in names] == [1, 1, 1]
    for file in ("healthy", "ready"):
        (tmp_path / file).touch()
    marathon.deploy("PUT", "/v2/apps/resume/both?force=true", {"instances": 1})
    for name, tasks in zip(names, before, strict=True):
        assert marathon.settled(name, 1) == tasks
    removed(marathon, "/resume")


@pytest.mark.parametrize("protocol", ["HTTP", "MESOS_HTTP"])
def test_an_unhealthy_task_is_told_and_replaced(marathon: Marathon, tmp_path: Path, protocol: str) -> None:
    """§7.1 HealthCheck: failing HTTP -> unhealthy_instance_kill_event(taskId); MESOS_HTTP -> instance_changed."""
    (tmp_path / "healthy").touch()
    check = {"protocol": protocol, "path": "/health", **QUICK, "maxConsecutiveFailures": 1}
    body = {"id": "/ill", **MOCK, "env": {"HEALTH": str(tmp_path / "healthy")}, "healthChecks": [check]}
    with Events(marathon, "unhealthy_instance_kill_event", "instance_changed_event") as events:
        marathon.deploy("POST", "/v2/apps", body)
        (task,) = marathon.settled("/ill", 1)
        (tmp_path / "healthy").unlink()
        if protocol == "HTTP":
            events.wait("unhealthy_instance_kill_event", taskId=task)
        events.wait("instance_changed_event", condition="Killed", runSpecId="/ill")
        (tmp_path / "healthy").touch()
        wait_for(lambda: task.removesuffix(".1") + ".2" in marathon.tasks("/ill"), "it is replaced")
    removed(marathon, "/ill")


def test_mesos_checks(marathon: Marathon) -> None:
    """§7.1 MesosCheck: task.checkResult.command.exitCode 0; 1."""
    for code in (0, 1):
        check = {"exec": {"command": {"shell": f"exit {code}"}}, "intervalSeconds": 1, "delaySeconds": 0}
        marathon.deploy("POST", "/v2/apps", {"id": f"/check{code}", **SLEEP, "check": {**check, "timeoutSeconds": 60}})

    def code_of(name: str) -> Any:
        tasks = marathon.app(name)["tasks"]
        return tasks and tasks[0].get("checkResult", {}).get("command", {}).get("exitCode")

    wait_for(lambda: [code_of("/check0"), code_of("/check1")] == [0, 1], "the checks' codes")
    for name in ("/check0", "/check1"):
        removed(marathon, name)


def test_a_kill_waits_for_who_traps_it(marathon: Marathon) -> None:
    """§7.1 GracefulTaskKill (2). §7.2 launch_mesos_grace_period. With 2 s in place of 10."""
    ends = {"stubborn": "Killed", "plain": "Terminated"}
    trap = "trap 'true' TERM; echo ready >ready; while true; do sleep 0.1; done"
    grace = {"taskKillGracePeriodSeconds": 2}
    took = {}
    for name, command in (("stubborn", trap), ("plain", "exec sleep 1000")):
        check = {"protocol": "COMMAND", "command": {"value": "true"}, **QUICK}
        check["command"] = {"value": "test -e ready" if name == "stubborn" else "true"}
        marathon.deploy(
            "POST", "/v2/apps", {"id": f"/{name}", "cmd": command, **SMALL, **grace, "healthChecks": [check]}
        )
        (task,) = marathon.settled(f"/{name}", 1)
        with Events(marathon, "status_update_event") as events:
            begun = time.monotonic()
            assert marathon.ask("DELETE", f"/v2/apps/{name}")[0] == 200
            (end,) = events.wait("status_update_event", taskId=task, taskStatus="TASK_KILLED")
            took[name] = time.monotonic() - begun
            assert f"signal {ends[name]}" in end["message"]
    assert took["stubborn"] >= 2


def test_users_and_artifacts(marathon: Marathon, tmp_path: Path) -> None:
    """§7.2 run_app_with_specified_user; run_app_with_non_existing_user; run_app_with_non_downloadable_artifact;
    default_user."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o077 == 0:
            parent.chmod(0o711)
    for name, user in (("specified", "nobody"), ("default", None)):
        command = f"id -un >{tmp_path / name}; exec sleep 1000"
        marathon.deploy(
            "POST", "/v2/apps", {"id": f"/{name}", "cmd": command, **SMALL, **({"user": user} if user else {})}
        )
    wait_for(lambda: (tmp_path / "specified").read_text() == "nobody\n", "the user's name")
    wait_for(lambda: (tmp_path / "default").read_text() == "root\n", "the default user's name")
    marathon.deploy("POST", "/v2/apps", {"id": "/nobody", **SLEEP, "user": "no-such-user", "backoffSeconds": 600})
    fetch = [{"uri": f"file://{tmp_path}/no-such-file"}]
    marathon.deploy("POST", "/v2/apps", {"id": "/nothing", **SLEEP, "fetch": fetch, "backoffSeconds": 600})

    def failure_of(name: str) -> Any:
        return wait_for(lambda: marathon.app(name).get("lastTaskFailure"), f"{name} fails")

    for name, text in (("/nobody", "no-such-user"), ("/nothing", "no-such-file")):
        failure = failure_of(name)
        assert failure["state"] == "TASK_FAILED"
        assert text in failure["message"]
    for name in ("/specified", "/default", "/nobody", "/nothing"):
        removed(marathon, name)


def test_metrics(marathon: Marathon) -> None:
    """§7.1 Metrics (4): required names; prometheus; bytes read and written grow. §7.2 metrics_endpoint."""

    def counts() -> dict[str, int]:
        found = marathon.ask("GET", "/metrics")[1]
        return {name: one["count"] for kind in ("counters", "meters") for name, one in found.get(kind, {}).items()}

    before = counts()
    marathon.ask("GET", "/v2/apps")
    after = counts()
    grown = [name for name in after if "bytes" in name and after[name] > before[name]]
    assert grown, sorted(after)
    gauges = marathon.ask("GET", "/metrics")[1]["gauges"]
    for name in ("apps", "deployments", "groups", "instances.running", "instances.staged"):
        assert any(name in one for one in gauges), name


def test_a_terminal_is_refused_by_name(marathon: Marathon) -> None:
    """§7.1 AppDeploy: tty configured: there are none, and the task's end says so (docs/differences.md)."""
    marathon.deploy("POST", "/v2/apps", {"id": "/tty", **SLEEP, "tty": True, "backoffSeconds": 600})
    failure = wait_for(lambda: marathon.app("/tty").get("lastTaskFailure"), "it fails")
    assert "tty" in failure["message"] or "terminal" in failure["message"]
    removed(marathon, "/tty")


def _free_port(marathon: Marathon) -> int:
    """A port of those that the agent offers."""
    from tests.cluster.harness import PORTS

    assert marathon.cluster.agents
    return int(PORTS.strip("[]").split("-")[0]) + 7
