"""Options of the application master with real Flink: what only real processes can show."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster.flink_harness import app_master, task_manager_pids
from tests.cluster.harness import cluster, get, wait_for

TASKS = "mesos.resourcemanager.tasks."
SERVER = "headrace.artifactserver."


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """One that this machine's clients trust for the time being, as ``SSL_CERT_FILE``."""
    path = tmp_path / "tls.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*request, *names, "-keyout", f"{path}.key", "-out", str(path)], check=True, capture_output=True)
    return path


def test_task_managers_as_they_are_asked_for(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS for artifacts, a command before and around the TaskManager, more ports, labels, user jars, a keystore."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    (tmp_path / "more.txt").write_text("more")
    options = {
        "mesos.initial-tasks": 1,
        SERVER + "ssl.certificate": certificate,
        SERVER + "ssl.key": f"{certificate}.key",
        TASKS + "bootstrap-cmd": "echo bootstrapped >bootstrap.txt",
        TASKS + "uris": tmp_path / "more.txt",
        TASKS + "port-assignments": "taskmanager.rpc.bind-port,metrics.internal.query-service.port",
        TASKS + "labels": "team:data",
        TASKS + "disk": 64,
        "headrace.constraints.unique": "HOSTNAME",
        "containerized.taskmanager.env.GREETING": "a $b",
        "security.ssl.rest.truststore": certificate,
        "metrics.reporters": "",
    }
    with cluster(tmp_path / "mesos") as mesos, app_master(tmp_path / "session", mesos.master.url, **options) as it:
        (worker,) = it.wait_for_task_managers(1)
        (pid,) = task_manager_pids(worker)
        sandbox = Path(os.readlink(f"/proc/{pid}/cwd"))
        assert (sandbox / "bootstrap.txt").read_text() == "bootstrapped\n"
        assert (sandbox / "more.txt").read_text() == "more"
        assert (sandbox / "secrets/rest.truststore.pem").read_bytes() == certificate.read_bytes()
        assert (sandbox / "secrets").stat().st_mode & 0o077 == 0
        environment = Path(f"/proc/{pid}/environ").read_text().split("\0")
        assert "GREETING=a $b" in environment
        assert f"TASK_NAME={worker}" in environment
        assert "https://" in (sandbox / "stderr").read_text()
        (framework,) = get(mesos.master.url + "/master/state")["frameworks"]
        (task,) = framework["tasks"]
        assert {"key": "team", "value": "data"} in task["labels"]
        assert task["resources"]["disk"] == 64
        ports = it.state["workers"][0]["ports"]
        command = Path(f"/proc/{pid}/cmdline").read_text()
        assert len(ports) == 4
        assert f"metrics.internal.query-service.port={ports[3]}" in command
        assert it.stop() == 0
        wait_for(lambda: not task_manager_pids(worker), "the TaskManager is gone")


def test_own_command_for_the_task_manager(tmp_path: Path) -> None:
    """One that takes what is shipped, as a script of the user's would."""
    script = tmp_path / "start.sh"
    script.write_text(
        'exec ${JAVA_HOME:+$JAVA_HOME/bin/}java $JVM_ARGS -cp "$FLINK_LIB_DIR/*" '
        "-Dlog4j.configurationFile=file:$FLINK_CONF_DIR/log4j.properties -Dlog.file=taskmanager.log "
        'org.apache.flink.runtime.taskexecutor.TaskManagerRunner --configDir "$FLINK_CONF_DIR" "$@"\n'
    )
    options = {"mesos.initial-tasks": 1, TASKS + "taskmanager-cmd": "exec sh ./start.sh", TASKS + "uris": script}
    with cluster(tmp_path / "mesos") as mesos, app_master(tmp_path / "session", mesos.master.url, **options) as it:
        (worker,) = it.wait_for_task_managers(1)
        (pid,) = task_manager_pids(worker)
        assert "FLINK_HOME=" in Path(f"/proc/{pid}/environ").read_text()
