"""Marathon with real master and agents: apps live, scale, restart, fail, survive SIGKILL, and go."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, cluster, wait_for

SLEEP: dict[str, Any] = {"cmd": "exec sleep 1000", "cpus": 0.1, "mem": 16}
SERVER = "exec {python} -u -c '" + (
    "import http.server,os,pathlib\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "  def do_GET(self):\n"
    '    sick=pathlib.Path(os.environ["SICK"]).exists() and os.environ["MESOS_TASK_ID"].endswith(".1")\n'
    "    self.send_response(500 if sick else 200); self.end_headers()\n"
    "  def log_message(self,*a): pass\n"
    'http.server.HTTPServer((os.environ["HOST"],int(os.environ["PORT0"])),H).serve_forever()\n'
    "'"
)


class Marathon:
    """Marathon's API, as a client sees it."""

    def __init__(self, of: Cluster, *flags: str) -> None:
        daemon = of.add_marathon("--min_revive_offers_interval", "50", *flags)
        self.cluster, self.daemon = of, daemon
        self.address = daemon.url.removeprefix("http://")

    def ask(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            data = raw if raw is not None else None if body is None else json.dumps(body).encode()
            connection.request(method, path, data)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def app(self, app_id: str) -> dict[str, Any]:
        status, body = self.ask("GET", f"/v2/apps/{app_id}")
        assert status == 200, body
        return body["app"]  # type: ignore[no-any-return]

    def tasks(self, app_id: str) -> set[str]:
        return {task["id"] for task in self.app(app_id)["tasks"] if task["state"] == "TASK_RUNNING"}

    def settled(self, app_id: str, instances: int, timeout: float = 60.0) -> set[str]:
        """Wait until the app's deployments are over and it has so many tasks; their ids."""

        def look() -> set[str] | None:
            app = self.app(app_id)
            tasks = {task["id"] for task in app["tasks"] if task["state"] == "TASK_RUNNING"}
            return tasks if not app["deployments"] and len(tasks) == instances == len(app["tasks"]) else None

        if instances == 0:
            wait_for(lambda: not self.app(app_id)["deployments"] and not self.app(app_id)["tasks"], "no tasks", timeout)
            return set()
        return set(wait_for(look, f"{app_id} has {instances} tasks", timeout))

    def deploy(self, method: str, path: str, body: Any = None) -> str:
        status, answer = self.ask(method, path, body)
        assert status in (200, 201), answer
        return str(answer["deploymentId"] if "deploymentId" in answer else answer["deployments"][0]["id"])


@pytest.fixture
def marathon(tmp_path: Path) -> Iterator[Marathon]:
    with cluster(tmp_path) as it:
        yield Marathon(it)


def test_an_app_lives(marathon: Marathon) -> None:
    """Create, scale up and down, change, restart, kill a task, remove."""
    marathon.deploy("POST", "/v2/apps", {"id": "/team/sleep", **SLEEP})
    first = marathon.settled("/team/sleep", 1)
    marathon.deploy("PUT", "/v2/apps//team/sleep", {"instances": 3})
    three = marathon.settled("/team/sleep", 3)
    assert first < three
    marathon.deploy("PUT", "/v2/apps//team/sleep", {"instances": 2})
    two = marathon.settled("/team/sleep", 2)
    assert first <= two < three, "the youngest goes first"
    marathon.deploy("PATCH", "/v2/apps//team/sleep", {"env": {"A": "b"}})
    changed = marathon.settled("/team/sleep", 2)
    assert not changed & two
    marathon.deploy("POST", "/v2/apps/team/sleep/restart")
    restarted = marathon.settled("/team/sleep", 2)
    assert not restarted & changed
    victim = min(restarted)
    status, body = marathon.ask("DELETE", f"/v2/apps/team/sleep/tasks/{victim}")
    assert (status, body["task"]["id"]) == (200, victim)
    again = victim.removesuffix(".1") + ".2"
    wait_for(lambda: again in marathon.tasks("/team/sleep"), "the next incarnation of the killed instance")
    status, versions = marathon.ask("GET", "/v2/apps/team/sleep/versions")
    assert len(versions["versions"]) == 5
    assert versions["versions"] == sorted(versions["versions"], reverse=True)
    status, _ = marathon.ask("DELETE", "/v2/apps/team/sleep")
    assert status == 200
    wait_for(lambda: marathon.ask("GET", "/v2/tasks")[1]["tasks"] == [], "all tasks are gone")
    assert marathon.ask("GET", "/v2/apps/team/sleep")[0] == 404
    wait_for(lambda: marathon.ask("GET", "/v2/deployments")[1] == [], "all deployments are over")


def test_a_rolling_restart_keeps_capacity(marathon: Marathon, tmp_path: Path) -> None:
    """At no moment are fewer than minimumHealthCapacity up or more than the maximum there."""
    gate = tmp_path / "gate"
    gate.touch()
    app = {
        "id": "/web",
        "cmd": f"until test -e {gate}; do sleep 0.05; done; " + SERVER.format(python=sys.executable),
        "cpus": 0.1,
        "mem": 32,
        "instances": 4,
        "env": {"SICK": str(tmp_path / "sick")},
        "healthChecks": [{"protocol": "HTTP", "path": "/", "intervalSeconds": 1, "gracePeriodSeconds": 600}],
        "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0.25},
    }
    marathon.deploy("POST", "/v2/apps", app)
    old = marathon.settled("/web", 4)
    gate.unlink()
    marathon.deploy("POST", "/v2/apps/web/restart")
    seen: list[tuple[int, int]] = []

    def over() -> bool:
        now = marathon.app("/web")
        seen.append((now["tasksHealthy"], len(now["tasks"])))
        return not now["deployments"]

    def looked() -> bool:
        return over() or ((2, 5) in seen and len(seen) > 3)

    wait_for(looked, "as many as may be there, and no new one is healthy")
    gate.touch()
    wait_for(over, "the restart is over")
    assert min(healthy for healthy, _ in seen) >= 2, seen
    assert max(tasks for _, tasks in seen) <= 5, seen
    assert (2, 5) in seen, "both limits are reached"
    assert not marathon.settled("/web", 4) & old


@pytest.mark.parametrize("protocol", ["HTTP", "MESOS_HTTP", "COMMAND", "COMMAND twice"])
def test_an_unhealthy_task_is_replaced(marathon: Marathon, tmp_path: Path, protocol: str) -> None:
    """Killed after more than maxConsecutiveFailures; the instance comes back as its next incarnation."""
    check: dict[str, Any] = {"protocol": protocol.split()[0], "intervalSeconds": 1, "gracePeriodSeconds": 600}
    check |= {"delaySeconds": 0, "maxConsecutiveFailures": 1}
    if check["protocol"] == "COMMAND":
        check["command"] = {"value": 'case "$MESOS_TASK_ID" in *.1) ! test -e "$SICK";; esac'}
    app = {
        "id": "/web",
        "cmd": SERVER.format(python=sys.executable),
        "cpus": 0.1,
        "mem": 32,
        "env": {"SICK": str(tmp_path / "sick")},
        "healthChecks": [check | {"command": {"value": "true"}}, check] if "twice" in protocol else [check],
    }
    marathon.deploy("POST", "/v2/apps", app)
    (task,) = marathon.settled("/web", 1)
    assert marathon.app("/web")["tasksHealthy"] == 1
    (tmp_path / "sick").touch()
    again = task.removesuffix(".1") + ".2"
    wait_for(lambda: again in marathon.tasks("/web"), "the sick task is replaced")
    assert "health check failed" in marathon.app("/web")["lastTaskFailure"]["message"]
    wait_for(lambda: marathon.app("/web")["tasksHealthy"] == 1, "the new task is healthy")


def test_sigkill_in_the_middle_of_a_deployment(marathon: Marathon, tmp_path: Path) -> None:
    """Marathon comes back, touches no task, and finishes what it began."""
    marathon.deploy("POST", "/v2/apps", {"id": "/calm", "instances": 3, **SLEEP})
    calm = marathon.settled("/calm", 3)
    pids = {task: _pids_of(task) for task in calm}
    held, ready = tmp_path / "held", tmp_path / "ready"
    held.touch()
    ready.mkdir()
    slow = {
        "id": "/slow",
        "instances": 3,
        "cpus": 0.1,
        "mem": 16,
        "cmd": f"trap 'while test -e {held}; do sleep 0.05; done; exit' TERM; : >{ready}/$MESOS_TASK_ID;"
        " sleep 1000 & wait",
        "taskKillGracePeriodSeconds": 600,
    }
    marathon.deploy("POST", "/v2/apps", slow)
    old = marathon.settled("/slow", 3)
    wait_for(lambda: old <= {one.name for one in ready.iterdir()}, "the old tasks heed no SIGTERM")
    deployment = marathon.deploy("PUT", "/v2/apps/slow", {"env": {"NEW": "1"}})
    wait_for(lambda: len(marathon.app("/slow")["tasks"]) > 3, "new tasks beside old ones")
    marathon.daemon.kill()
    marathon.daemon.start()
    _, running = marathon.ask("GET", "/v2/deployments")
    assert [one["id"] for one in running] == [deployment]
    held.unlink()
    new = marathon.settled("/slow", 3)
    assert not new & old
    assert marathon.tasks("/calm") == calm
    assert {task: _pids_of(task) for task in calm} == pids


def test_sigkill_at_many_moments_neither_loses_nor_doubles(marathon: Marathon) -> None:
    """Right after a request is accepted is the worst moment: some things are said, others not."""
    name = f"moment{os.getpid()}"  # whose tasks are looked for on the whole machine, where others test, too
    for number in range(4):
        status, _ = marathon.ask("POST", "/v2/apps", {"id": f"/{name}-{number}", "instances": 2, **SLEEP})
        assert status == 201
        marathon.daemon.kill()
        marathon.daemon.start()
    for number in range(4):
        marathon.settled(f"/{name}-{number}", 2)
    status, everything = marathon.ask("GET", "/v2/tasks")
    ids = [task["id"] for task in everything["tasks"]]
    assert len(ids) == 8
    wait_for(lambda: _running_tasks(name) == set(ids), "what runs is what is known")


def test_sigkill_of_everybody_at_once_touches_no_task(tmp_path: Path) -> None:
    """Master, agent and Marathon come back, find every task again, and go on deploying."""
    with cluster(tmp_path) as it:
        marathon = Marathon(it)
        marathon.deploy("POST", "/v2/apps", {"id": "/app", "instances": 3, **SLEEP})
        tasks = marathon.settled("/app", 3)
        pids = {task: _pids_of(task) for task in tasks}
        daemons = [it.master, *it.agents, marathon.daemon]
        for daemon in daemons:
            daemon.kill()
        for daemon in daemons:
            daemon.start()
        marathon.deploy("PUT", "/v2/apps/app", {"instances": 4})
        assert marathon.settled("/app", 4) > tasks
        assert {task: _pids_of(task) for task in tasks} == pids


def test_a_failing_app_backs_off_and_tells_why(marathon: Marathon) -> None:
    """The queue shows delay and reason; resetting the delay launches at once; a good cmd ends it."""
    marathon.deploy("POST", "/v2/apps", {"id": "/bad", "cmd": "exit 3", "cpus": 0.1, "mem": 16, "backoffSeconds": 250})
    (item,) = wait_for(
        lambda: [one for one in marathon.ask("GET", "/v2/queue")[1]["queue"] if not one["delay"]["overdue"]],
        "the launch is delayed",
    )
    assert 150 <= item["delay"]["timeLeftSeconds"] <= 250
    failure = marathon.app("/bad")["lastTaskFailure"]
    assert (failure["state"], failure["appId"]) == ("TASK_FAILED", "/bad")
    assert marathon.ask("DELETE", "/v2/queue//bad/delay")[0] == 204
    wait_for(lambda: marathon.app("/bad")["lastTaskFailure"]["taskId"] != failure["taskId"], "launched again")
    assert marathon.ask("PUT", "/v2/apps/bad?force=True", {"cmd": "exec sleep 1000"})[0] == 200
    marathon.settled("/bad", 1)


def test_what_does_not_fit_waits_and_says_so(marathon: Marathon) -> None:
    """Reasons in the queue; a cancelled deployment leaves the app, a reverted one removes it."""
    deployment = marathon.deploy("POST", "/v2/apps", {"id": "/big", "cmd": "sleep 1", "cpus": 64, "mem": 16})
    item = wait_for(
        lambda: next((one for one in _queue(marathon) if one["processedOffersSummary"]["processedOffersCount"]), None),
        "an offer was looked at",
    )
    assert item["delay"]["overdue"] is True
    reasons = {one["reason"]: one["declined"] for one in item["processedOffersSummary"]["rejectSummaryLastOffers"]}
    assert reasons["InsufficientCpus"] == 1
    assert "needs 64 cpus" in json.dumps(marathon.ask("GET", "/v2/queue?embed=why")[1])
    status, body = marathon.ask("PUT", "/v2/apps/big", {"instances": 0})
    assert (status, body["deployments"]) == (409, [{"id": deployment}])
    assert marathon.ask("DELETE", f"/v2/deployments/{deployment}?force=true") == (202, None)
    assert marathon.ask("GET", "/v2/deployments") == (200, [])
    assert marathon.app("/big")["instances"] == 1
    second = marathon.deploy("PUT", "/v2/apps/big", {"cpus": 65})
    assert marathon.ask("DELETE", f"/v2/deployments/{second}")[0] == 200
    assert marathon.app("/big")["cpus"] == 64


def test_the_event_stream(marathon: Marathon) -> None:
    """A filtered stream tells the life of a deployment."""
    connection = http.client.HTTPConnection(marathon.address, timeout=60)
    kinds = ["deployment_success", "status_update_event", "api_post_event"]
    path = "/v2/events?" + "&".join(f"event_type={kind}" for kind in kinds)
    connection.request("GET", path, headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert answer.getheader("Content-Type") == "text/event-stream"
    deployment = marathon.deploy("POST", "/v2/apps", {"id": "/one", **SLEEP})
    events: list[dict[str, Any]] = []
    while "deployment_success" not in [one["eventType"] for one in events]:
        line = answer.readline()
        if line.startswith(b"data: "):
            events.append(json.loads(line[6:]))
    connection.close()
    assert {one["eventType"] for one in events} <= set(kinds)
    assert events[0]["eventType"] == "api_post_event"
    assert events[-1]["id"] == deployment
    assert "TASK_RUNNING" in [one.get("taskStatus") for one in events]
    assert marathon.ask("GET", "/v2/events")[0] == 405


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "message"),
    [
        ("POST", "/v2/apps", b'{"id": "/x"', 400, "Invalid JSON"),
        ("POST", "/v2/apps", b"[" * 100_000, 400, "Invalid JSON"),
        ("POST", "/v2/apps", b"", 400, "Please specify data in JSON format"),
        ("POST", "/v2/apps", b'{"id": 1, "cmd": "x"}', 422, "Invalid JSON"),
        ("POST", "/v2/apps", b'{"id": "/x", "cmd": "x", "mem": -1}', 422, "Invalid JSON"),
        ("POST", "/v2/apps", b'{"id": "/x"}', 422, "Object is not valid"),
        ("GET", "/v2/apps/nope", b"", 404, "App '/nope' does not exist"),
        ("POST", "/v2/apps/nope/restart", b"", 404, "App '/nope' does not exist"),
        ("DELETE", "/v2/deployments/nope", b"", 404, "DeploymentPlan nope does not exist"),
        ("GET", "/v2/nothing", b"", 404, "There is nothing at /v2/nothing"),
    ],
)
def test_bad_requests_change_nothing(
    idle: Marathon, method: str, path: str, body: bytes, status: int, message: str
) -> None:
    got, answer = idle.ask(method, path, raw=body)
    assert (got, answer["message"]) == (status, message)
    assert idle.ask("GET", "/v2/apps") == (200, {"apps": []})


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marathon]:
    with cluster(tmp_path_factory.mktemp("idle"), agents=0) as it:
        yield Marathon(it)


def test_headers(idle: Marathon) -> None:
    connection = http.client.HTTPConnection(idle.address, timeout=60)
    connection.request("GET", "/v2/apps")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.getheader("Cache-Control") == "no-cache, no-store, must-revalidate"
    assert answer.getheader("X-Marathon-Leader") == f"http://{idle.address}"


def test_a_hostile_page_can_send_nothing_and_curl_can(tmp_path: Path) -> None:
    """Refused by where it comes from, whatever its content type; ``curl -d`` has a form's type and no origin."""
    body = json.dumps({"id": "/x", "instances": 0, **SLEEP}).encode()
    with cluster(tmp_path, agents=0) as it:
        daemon = it.add_marathon("--hostname", "marathon.example")

        def post(**headers: str) -> int:
            connection = http.client.HTTPConnection(daemon.url.removeprefix("http://"), timeout=60)
            try:
                connection.request(
                    "POST", "/v2/apps", body, {name.replace("_", "-"): one for name, one in headers.items()}
                )
                return connection.getresponse().status
            finally:
                connection.close()

        for kind in ("text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"):
            assert post(Content_Type=kind, Origin="http://evil.example") == 403
            assert post(Content_Type=kind, Sec_Fetch_Site="cross-site") == 403
        assert post(Host="evil.example") == 403
        form = "application/x-www-form-urlencoded"
        assert post(Content_Type=form, Host="marathon.example", Origin="http://marathon.example") == 201
        assert post(Content_Type=form) == 409


def _queue(marathon: Marathon) -> list[dict[str, Any]]:
    return marathon.ask("GET", "/v2/queue")[1]["queue"]  # type: ignore[no-any-return]


def _processes(match: Callable[[bytes], bool]) -> Iterator[tuple[int, bytes]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                environment = Path(f"/proc/{name}/environ").read_bytes()
            except OSError:
                continue
            for variable in environment.split(b"\0"):
                if variable.startswith(b"MESOS_TASK_ID=") and match(variable):
                    yield int(name), variable.removeprefix(b"MESOS_TASK_ID=")


def _pids_of(task_id: str) -> list[int]:
    """The processes of a task whose command is ``exec sleep``, once one is that."""

    def look() -> list[int] | None:
        found = sorted(pid for pid, _ in _processes(lambda variable: variable.endswith(task_id.encode())))
        names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in found]
        return found if names.count("sleep") == 1 else None

    return list(wait_for(look, f"the command of {task_id} runs"))


def _running_tasks(name: str) -> set[str]:
    """The tasks of apps whose ids begin so, by what runs."""
    return {
        task.decode() for _, task in _processes(lambda variable: variable.startswith(f"MESOS_TASK_ID={name}".encode()))
    }
