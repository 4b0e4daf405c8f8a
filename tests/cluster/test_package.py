"""S0-15: our package flink, installed on a real cluster; S2-20: the doctor's look at that cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.cluster.flink_harness import JVM_WAIT
from tests.cluster.harness import PORTS, cluster, get, wait_for

HEADRACE = str(Path(sys.executable).with_name("headrace"))
OPTIONS = {
    "service": {"slots": 2, "extra-args": "-Denv.java.opts.all=-XX:TieredStopAtLevel=1"},
    "task-managers": {"count": 1, "cpus": 0.5, "memory": 800},
}


def test_s0_15_package_flink_starts_a_session_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "options.json").write_text(json.dumps(OPTIONS))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    scripts = Path(__file__).parents[2] / "scripts"
    tasks = json.dumps({"PATH": f"{scripts}:{path}"})
    with cluster(tmp_path / "mesos", agents=0) as mesos:
        mesos.add_agent("--resources", f"cpus:8;mem:8192;ports:{PORTS}", "--executor-environment-variables", tasks)
        marathon = mesos.add_marathon()
        environment = {**os.environ, "HEADRACE_MARATHON": marathon.url, "HEADRACE_MASTER": mesos.master.url}

        def package(*words: str) -> str:
            command = [HEADRACE, "package", *words]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        output = package("install", "flink", "--options", str(tmp_path / "options.json"), "--wait")
        assert "package flink 1.20.5-1.0 is installed as app /flink" in output

        def flink() -> Any:
            found = get(mesos.master.url + "/master/state")["frameworks"]
            return next((one for one in found if one["name"] == "flink" and one["webui_url"]), None)

        state = wait_for(flink, "the dashboard is shown")
        overview = state["webui_url"].rstrip("/") + "/overview"
        wait_for(lambda: get(overview)["slots-total"] == 2, "one TaskManager with two slots", JVM_WAIT, pause=0.2)
        assert_everything_is_reachable(environment)
        rows = json.loads(package("list", "flink", "--json"))
        assert {"name": "flink", "version": "1.20.5-1.0", "app": "/flink"} in rows

        assert "no longer installed" in package("uninstall", "flink")
        frameworks = get(mesos.master.url + "/master/state")["frameworks"]
        assert [framework["name"] for framework in frameworks] == ["marathon"]
        assert get(marathon.url + "/v2/apps")["apps"] == []


def assert_everything_is_reachable(environment: dict[str, str]) -> None:
    """What the doctor says of a cluster in which all is well: it has found every port."""
    doctor = [HEADRACE, "doctor", "--timeout", "60"]
    done = subprocess.run(doctor, env=environment, capture_output=True, text=True, timeout=300, check=False)
    lines = [line.removeprefix("ok   ") for line in done.stdout.splitlines() if line.startswith("ok   ")]
    assert done.returncode == 0, done.stdout + done.stderr
    for what in ("master", "Marathon", "agent ", "JobManager's REST", "JobManager's RPC", "artifact", "RPC of", "data"):
        assert [line for line in lines if line.startswith(what)], f"{what} is missing in {lines}"
