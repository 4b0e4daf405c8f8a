"""Persistent volumes with real master and agent: data survives all that its task goes through, and nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import cluster, get, wait_for
from tests.cluster.test_marathon_apps import Marathon

COMMAND = "echo $MESOS_TASK_ID >>data/tasks; until test -e data/fail; do sleep 0.05; done; rm data/fail; exit 1"
APP: dict[str, Any] = {
    "id": "/db",
    "cmd": COMMAND,
    "cpus": 0.1,
    "mem": 32,
    "backoffSeconds": 0,
    "container": {
        "type": "MESOS",
        "volumes": [{"containerPath": "data", "mode": "RW", "persistent": {"size": 16}}],
    },
}


@pytest.fixture
def marathon(tmp_path: Path) -> Iterator[Marathon]:
    with cluster(tmp_path) as it:
        yield Marathon(it, "--mesos_role", "data")


def volumes(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "agent-1" / "volumes" / "roles" / "data").glob("*"))


def starts(tmp_path: Path) -> list[str]:
    """Which tasks have written into the only volume."""
    (volume,) = volumes(tmp_path)
    return [line.rpartition(".")[2] for line in (volume / "tasks").read_text().split()]


def reserved(marathon: Marathon) -> Any:
    """What the master knows to be reserved at its agent."""
    (agent,) = get(marathon.cluster.master.url + "/slaves")["slaves"]
    return agent["reserved_resources_full"]


def wrote(marathon: Marathon, tmp_path: Path, number: int) -> None:
    """Wait until the so-manieth incarnation runs and has written to the one volume."""

    def look() -> bool:
        wanted = [str(one + 1) for one in range(number)]
        return {one.rpartition(".")[2] for one in marathon.tasks("/db")} == {str(number)} and starts(tmp_path) == wanted

    wait_for(look, f"incarnation {number} has found the file of those before")


def test_a_volume_keeps_its_file_until_its_app_goes(marathon: Marathon, tmp_path: Path) -> None:
    marathon.deploy("POST", "/v2/apps", APP)
    marathon.settled("/db", 1)
    wrote(marathon, tmp_path, 1)
    (task,) = marathon.app("/db")["tasks"]
    (local,) = task["localVolumes"]
    assert local["persistenceId"] == volumes(tmp_path)[0].name

    marathon.deploy("POST", "/v2/apps/db/restart")
    wrote(marathon, tmp_path, 2)

    (volumes(tmp_path)[0] / "fail").touch()
    wrote(marathon, tmp_path, 3)
    assert marathon.app("/db")["lastTaskFailure"]["state"] == "TASK_FAILED"

    wait_for(lambda: not marathon.app("/db")["deployments"], "the restart is over")
    marathon.deploy("PUT", "/v2/apps/db", {"instances": 0})
    wait_for(lambda: not marathon.app("/db")["deployments"], "it is stopped")
    assert [one["state"] for one in marathon.app("/db")["tasks"]] == ["TASK_KILLED"]
    marathon.daemon.kill()
    marathon.daemon.start()
    marathon.deploy("PUT", "/v2/apps/db", {"instances": 1})
    wrote(marathon, tmp_path, 4)
    assert reserved(marathon)

    marathon.deploy("DELETE", "/v2/apps/db")
    marathon.daemon.kill()
    marathon.daemon.start()
    wait_for(lambda: not reserved(marathon), "nothing is reserved any more")
    wait_for(lambda: not volumes(tmp_path), "the volume is gone")


def test_a_pods_containers_share_a_volume(marathon: Marathon, tmp_path: Path) -> None:
    def container(name: str, command: str) -> dict[str, Any]:
        return {
            "name": name,
            "resources": {"cpus": 0.1, "mem": 32},
            "exec": {"command": {"shell": command}},
            "volumeMounts": [{"name": "store", "mountPath": "here"}],
        }

    reader = "until test -e here/word; do sleep 0.05; done; cat here/word >>here/read; exec sleep 1000"
    pod = {
        "id": "/pod",
        "containers": [
            container("writer", "echo x >here/new; mv here/new here/word; exec sleep 1000"),
            container("reader", reader),
        ],
        "volumes": [{"name": "store", "persistent": {"size": 16}}],
        "scheduling": {"backoff": {"backoff": 0}},
    }
    assert marathon.ask("POST", "/v2/pods", pod)[0] == 201

    def read() -> str:
        return "".join((one / "read").read_text() for one in volumes(tmp_path))

    wait_for(lambda: read() == "x\n", "one container has read what the other wrote")
    (instance,) = marathon.ask("GET", "/v2/pods/pod::status")[1]["instances"]
    assert instance["localVolumes"]
    marathon.ask("DELETE", f"/v2/pods/pod::instances/{instance['id']}")
    wait_for(lambda: read() == "x\nx\n", "the next incarnation has the same volume")
    assert reserved(marathon)
    assert marathon.ask("DELETE", "/v2/pods/pod")[0] == 202
    wait_for(lambda: not reserved(marathon), "nothing is reserved any more")
    wait_for(lambda: not volumes(tmp_path), "the volume is gone")


def test_apps_of_several_roles_and_their_secrets(tmp_path: Path) -> None:
    """A role is subscribed to with its first app; a secret comes from a file and is nowhere to be seen."""
    secrets = tmp_path / "secrets"
    (secrets / "db").mkdir(parents=True)
    (secrets / "db" / "password").write_text("hush\n")
    with cluster(tmp_path) as it:
        marathon = Marathon(it, "--enable_features", "secrets,task_killing", "--secrets_dir", str(secrets))
        app = {
            "id": "/dev/app",
            "role": "dev",
            "cmd": f"echo $PASSWORD $(cat file) >{tmp_path}/seen; exec sleep 1000",
            "cpus": 0.1,
            "mem": 32,
            "env": {"PASSWORD": {"secret": "pw"}},
            "secrets": {"pw": {"source": "db/password"}},
            "container": {"type": "MESOS", "volumes": [{"containerPath": "file", "secret": "pw"}]},
        }
        marathon.deploy("POST", "/v2/apps", app)
        (task,) = marathon.settled("/dev/app", 1)
        wait_for(lambda: (tmp_path / "seen").read_text() == "hush hush\n", "the task has read its secret")
        state = get(it.master.url + "/state")
        (framework,) = state["frameworks"]
        assert sorted(framework["roles"]) == ["*", "dev"]
        assert [(one["id"], one["role"]) for one in framework["tasks"]] == [(task, "dev")]
        told = [str(state), str(get(it.agents[0].url + "/state")), str(marathon.app("/dev/app"))]
        told += [one.log.read_text() for one in (it.master, it.agents[0], marathon.daemon)]
        assert not [one for one in told if "hush" in one or "aHVzaA==" in one]
        marathon.deploy("DELETE", "/v2/apps/dev/app")
        wait_for(lambda: get(it.master.url + "/state")["frameworks"][0]["roles"] == ["*"], "the role is given up")
