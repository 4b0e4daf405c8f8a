"""Rows of Marathon's suites that need several agents: constraints, regions, GPUs, volumes, agents that are away.

Agents ``a`` and ``b`` are in the master's region, ``c`` is in another one and has a GPU.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.harness import PORTS, cluster, wait_for
from tests.cluster.marathon_rows import SLEEP, SMALL, Events, declined, queued, removed
from tests.cluster.test_marathon_apps import Marathon

FIRST_PORT = int(PORTS.strip("[]").partition("-")[0])
VOLUME = {"containerPath": "data", "mode": "RW", "persistent": {"size": 8}}
DB: dict[str, Any] = {**SLEEP, "backoffSeconds": 0, "container": {"type": "MESOS", "volumes": [VOLUME]}}
ANY = {"labels": {"GPU_SCHEDULING_BEHAVIOR": "unrestricted"}}
"""Of an app that may also use what has a GPU."""
PINGS = ["--agent-ping-timeout", "2secs", "--max-agent-ping-timeouts", "5", "--allocation-interval", "50ms"]
"""Only an agent that is away for long is away."""


def domain(region: str, zone: str) -> str:
    return json.dumps({"fault_domain": {"region": {"name": region}, "zone": {"name": zone}}})


@pytest.fixture(scope="module")
def marathon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marathon]:
    home = [*PINGS, "--domain", domain("home", "z0")]
    with cluster(tmp_path_factory.mktemp("places"), agents=0, master=home) as it:
        for number, (name, region, more) in enumerate((("a", "home", ""), ("b", "home", ""), ("c", "away", ";gpus:1"))):
            first = FIRST_PORT + 100 * number
            resources = f"cpus:4;mem:2048;disk:2048;ports:[{first}-{first + 99}]{more}"
            where = ["--domain", domain(region, f"z{number + 1}"), "--attributes", f"rack:r{number}"]
            it.add_agent("--hostname", name, "--resources", resources, *where)
        features = "gpu_resources,task_killing"
        yield Marathon(it, "--mesos_role", "data", "--enable_features", features, "--decline_offer_duration", "300")


def hosts(marathon: Marathon, app_id: str) -> list[str]:
    """Where the app's tasks run."""
    tasks = marathon.app(app_id)["tasks"]
    return sorted(one["host"] for one in tasks if one["state"] == "TASK_RUNNING")


def test_pinned_apps(marathon: Marathon) -> None:
    """§7.2 pinned_task_scales_on_host_only; pinned_task_recovers_on_host;
    pinned_task_does_not_scale_to_unpinned_host; pinned_task_does_not_find_unknown_host; pin_pod."""
    to_a = {"constraints": [["hostname", "LIKE", "a"]]}
    marathon.deploy("POST", "/v2/apps", {"id": "/pin/scales", **SLEEP, **to_a})
    marathon.settled("/pin/scales", 1)
    marathon.deploy("PUT", "/v2/apps/pin/scales", {"instances": 4})
    (victim, *_) = sorted(marathon.settled("/pin/scales", 4))
    assert hosts(marathon, "/pin/scales") == ["a"] * 4
    assert marathon.ask("DELETE", f"/v2/apps/pin/scales/tasks/{victim}")[0] == 200
    wait_for(lambda: victim not in marathon.tasks("/pin/scales"), "it is killed")
    wait_for(lambda: hosts(marathon, "/pin/scales") == ["a"] * 4, "it is back where it was")
    marathon.deploy("POST", "/v2/apps", {"id": "/pin/wide", **SLEEP, "cpus": 3, **to_a})
    marathon.settled("/pin/wide", 1)
    marathon.deploy("PUT", "/v2/apps/pin/wide", {"instances": 2})
    declined(marathon, "/pin/wide", "InsufficientCpus")
    declined(marathon, "/pin/wide", "UnfulfilledConstraint")
    assert (hosts(marathon, "/pin/wide"), len(marathon.app("/pin/wide")["deployments"])) == (["a"], 1)
    marathon.deploy("POST", "/v2/apps", {"id": "/pin/lost", **SLEEP, "constraints": [["hostname", "LIKE", "nobody"]]})
    declined(marathon, "/pin/lost", "UnfulfilledConstraint", 2)
    assert len(marathon.app("/pin/lost")["deployments"]) == 1
    pinned = {"placement": {"constraints": [{"fieldName": "hostname", "operator": "LIKE", "value": "b"}]}}
    container = {"name": "one", "resources": SMALL, "exec": {"command": {"shell": "exec sleep 1000"}}}
    pod = {"id": "/pin/pod", "containers": [container], "scheduling": pinned}
    assert marathon.ask("POST", "/v2/pods", pod)[0] == 201

    def pod_hosts() -> list[str]:
        status = marathon.ask("GET", "/v2/pods/pin/pod::status")[1]
        return [one["agentHostname"] for one in status["instances"] if one["status"] == "STABLE"]

    wait_for(lambda: pod_hosts() == ["b"], "the pod runs where it shall")
    removed(marathon, "/pin")


def test_regions(marathon: Marathon) -> None:
    """§7.1 RemoteRegionOffers (4): home region by default; @region LIKE; @zone LIKE; GROUP_BY region replacement."""
    marathon.deploy(
        "POST", "/v2/apps", {"id": "/r/home", **SLEEP, "instances": 3, "constraints": [["@zone", "UNIQUE"]]}
    )
    marathon.deploy("POST", "/v2/apps", {"id": "/r/plain", **SLEEP, "instances": 4})
    marathon.deploy("POST", "/v2/apps", {"id": "/r/away", **SLEEP, **ANY, "constraints": [["@region", "LIKE", "away"]]})
    zone = [["@region", "IS", "home"], ["@zone", "LIKE", "z2"]]
    marathon.deploy("POST", "/v2/apps", {"id": "/r/zone", **SLEEP, "constraints": zone})
    spread = [["@region", "GROUP_BY", "2"]]
    marathon.deploy("POST", "/v2/apps", {"id": "/r/spread", **SLEEP, **ANY, "instances": 2, "constraints": spread})
    marathon.settled("/r/plain", 4)
    marathon.settled("/r/away", 1)
    marathon.settled("/r/zone", 1)
    spread_tasks = marathon.settled("/r/spread", 2)
    assert "c" not in hosts(marathon, "/r/plain")
    assert (hosts(marathon, "/r/away"), hosts(marathon, "/r/zone")) == (["c"], ["b"])
    found = {one["host"]: (one["region"], one["zone"]) for one in marathon.app("/r/away")["tasks"]}
    assert found == {"c": ("away", "z3")}
    assert hosts(marathon, "/r/spread")[1] == "c"
    victim = next(one["id"] for one in marathon.app("/r/spread")["tasks"] if one["host"] == "c")
    assert marathon.ask("DELETE", f"/v2/apps/r/spread/tasks/{victim}?wipe=true")[0] == 200
    wait_for(lambda: marathon.settled("/r/spread", 2) != spread_tasks, "it is replaced")
    assert hosts(marathon, "/r/spread")[1] == "c"
    assert len(marathon.app("/r/home")["deployments"]) == 1
    assert "c" not in hosts(marathon, "/r/home")
    removed(marathon, "/r")


def test_gpus(marathon: Marathon) -> None:
    """§7.1 GpuScheduling: restricted policy declines non-GPU apps (DeclinedScarceResources); label override; an app
    that wants a GPU has it."""
    there = {"constraints": [["@region", "LIKE", "away"], ["hostname", "LIKE", "c"]]}
    label = {"labels": {"GPU_SCHEDULING_BEHAVIOR": "restricted"}}
    marathon.deploy("POST", "/v2/apps", {"id": "/gpu/none", **SLEEP, **there, **label})
    assert declined(marathon, "/gpu/none", "DeclinedScarceResources")["declined"] >= 1
    marathon.deploy("PUT", "/v2/apps/gpu/none?force=true", ANY)
    marathon.settled("/gpu/none", 1)
    marathon.deploy("POST", "/v2/apps", {"id": "/gpu/one", **SLEEP, **there, "gpus": 1, "backoffSeconds": 600})
    wait_for(lambda: hosts(marathon, "/gpu/one") == ["c"] or _failed(marathon), "it is launched")
    removed(marathon, "/gpu")


def _failed(marathon: Marathon) -> bool:
    """Agents without GPU drivers say so; the offer was used."""
    return "gpu" in str(marathon.app("/gpu/one").get("lastTaskFailure", "")).lower()


def test_volumes_on_several_agents(marathon: Marathon) -> None:
    """§7.1 ResidentTask: UNIQUE; scale up; scale down (suspended tasks listed); restart creates no extra task; config
    change creates no extra task. MultiRole: resident instance keeps old role after role change. §7.2
    health_check_works_with_resident_task; app_with_persistent_volume_recovers; healtchcheck_and_volume."""
    check = {"protocol": "COMMAND", "command": {"value": "test -d data"}, "intervalSeconds": 1, "delaySeconds": 0}
    body = {"id": "/dev/db", **DB, "instances": 2, "constraints": [["hostname", "UNIQUE"]], "healthChecks": [check]}
    marathon.deploy("POST", "/v2/apps", body)
    marathon.settled("/dev/db", 2)
    assert hosts(marathon, "/dev/db") == ["a", "b"]

    def members() -> dict[str, str]:
        """Instances and their states."""
        return {one["id"].rpartition("._app.")[0]: one["state"] for one in marathon.app("/dev/db")["tasks"]}

    def running() -> bool:
        app = marathon.app("/dev/db")
        return not app["deployments"] and set(members().values()) == {"TASK_RUNNING"} and app["tasksHealthy"] == 2

    names = set(members())
    wait_for(running, "both are healthy")
    marathon.deploy("PUT", "/v2/apps/dev/db", {"instances": 3})
    wait_for(lambda: (queued(marathon, "/dev/db") or {}).get("count") == 1, "the third has no place")
    marathon.deploy("PUT", "/v2/apps/dev/db?force=true", {"instances": 2})
    wait_for(running, "two again")
    assert set(members()) == names
    marathon.deploy("PUT", "/v2/apps/dev/db", {"instances": 1})
    wait_for(lambda: sorted(members().values()) == ["TASK_KILLED", "TASK_RUNNING"], "one is suspended")
    wait_for(lambda: not marathon.app("/dev/db")["deployments"], "the deployment is over")
    marathon.deploy("PUT", "/v2/apps/dev/db", {"instances": 2})
    wait_for(running, "it is back")
    assert (set(members()), hosts(marathon, "/dev/db")) == (names, ["a", "b"])
    for method, path, change in (("POST", "/restart", None), ("PUT", "", {"env": {"A": "b"}, "role": "dev"})):
        marathon.deploy(method, f"/v2/apps/dev/db{path}", change)
        wait_for(running, "all are new")
        assert (set(members()), hosts(marathon, "/dev/db")) == (names, ["a", "b"])
    roles = {one["role"] for one in marathon.app("/dev/db")["tasks"]}
    assert (marathon.app("/dev/db")["role"], roles) == ("dev", {"data"})
    (victim, *_) = marathon.tasks("/dev/db")
    assert marathon.ask("DELETE", f"/v2/apps/dev/db/tasks/{victim}")[0] == 200
    wait_for(lambda: victim not in marathon.tasks("/dev/db"), "it is killed")
    wait_for(running, "it is back with its volume")
    assert set(members()) == names
    removed(marathon, "/dev")


def test_a_bounced_agent_keeps_its_tasks(marathon: Marathon) -> None:
    """§7.2 marathon_with_master_process_failure; marathon_when_task_agent_bounced."""
    marathon.deploy("POST", "/v2/apps", {"id": "/stays", **SLEEP, "constraints": [["hostname", "LIKE", "a"]]})
    tasks = marathon.settled("/stays", 1)
    it = marathon.cluster
    for daemon in (it.agents[0], it.master):
        daemon.kill()
        daemon.start()
    marathon.deploy("PUT", "/v2/apps/stays", {"instances": 2})
    assert marathon.settled("/stays", 2) > tasks
    removed(marathon, "/stays")


def test_agents_that_are_away(marathon: Marathon) -> None:
    """§7.1 TaskUnreachable (5): inactive -> replacement, both listed, returns -> replacement killed; inactiveAfter 0
    instant; scale-down with unreachable finishes; pod wipe with volume; pod wipe without volume. §7.2
    task_gets_restarted_due_to_network_split."""
    spread = {"constraints": [["hostname", "UNIQUE"]], "instances": 2}
    quick = {"unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 3600}}
    marathon.deploy("POST", "/v2/apps", {"id": "/away/one", **SLEEP, **quick, "constraints": [["hostname", "UNIQUE"]]})
    patient = {"unreachableStrategy": {"inactiveAfterSeconds": 3000, "expungeAfterSeconds": 3600}}
    marathon.deploy("POST", "/v2/apps", {"id": "/away/two", **SLEEP, **patient, **spread})
    (task,) = marathon.settled("/away/one", 1)
    both = marathon.settled("/away/two", 2)
    host = hosts(marathon, "/away/one")[0]
    placement = {"constraints": [{"fieldName": "hostname", "operator": "LIKE", "value": host}]}
    plain: dict[str, Any] = {
        "containers": [{"name": "c", "resources": SMALL, "exec": {"command": {"shell": "exec sleep 1000"}}}],
        "scheduling": {"placement": placement, "unreachableStrategy": quick["unreachableStrategy"]},
    }
    keeps = {**plain, "volumes": [{"name": "v", "persistent": {"size": 8}}]}
    keeps["containers"] = [{**plain["containers"][0], "volumeMounts": [{"name": "v", "mountPath": "v"}]}]
    keeps["scheduling"] = {"placement": placement}
    for name, pod in (("plain", plain), ("keeps", keeps)):
        assert marathon.ask("POST", "/v2/pods", {"id": f"/away/{name}", **pod})[0] == 201

    def pods(name: str) -> list[dict[str, Any]]:
        return list(marathon.ask("GET", f"/v2/pods/away/{name}::status")[1]["instances"])

    def states() -> list[str]:
        return [one["status"] for name in ("plain", "keeps") for one in pods(name)]

    wait_for(lambda: states() == ["STABLE", "STABLE"], "both pods run")
    ids = {name: pods(name)[0]["id"] for name in ("plain", "keeps")}
    agent = next(one for one, name in zip(marathon.cluster.agents, "abc", strict=True) if name == host)
    try:
        with Events(marathon, "instance_changed_event") as events:
            agent.send(signal.SIGSTOP)
            events.wait("instance_changed_event", runSpecId="/away/one", condition="UnreachableInactive")
        wait_for(lambda: marathon.tasks("/away/one") - {task}, "a replacement")
        seen = {one["id"]: one["state"] for one in marathon.app("/away/one")["tasks"]}
        assert (len(seen), seen[task]) == (2, "TASK_UNREACHABLE")
        wait_for(lambda: len(marathon.tasks("/away/two")) == 1, "one of two is unreachable")
        assert not both - {one["id"] for one in marathon.app("/away/two")["tasks"]}
        marathon.deploy("PUT", "/v2/apps/away/two", {"instances": 1})
        wait_for(lambda: not marathon.app("/away/two")["deployments"], "scaled down without the unreachable one")
        for name, one in ids.items():
            assert marathon.ask("DELETE", f"/v2/pods/away/{name}::instances/{one}?wipe=true")[0] == 200
        wait_for(lambda: not {one["id"] for name in ids for one in pods(name)} & {*ids.values()}, "both are forgotten")
    finally:
        agent.send(signal.SIGCONT)
    wait_for(lambda: marathon.tasks("/away/one") == {task}, "the first is back, its replacement is gone")
    marathon.settled("/away/two", 1)
    removed(marathon, "/away")
