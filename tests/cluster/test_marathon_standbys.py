"""Several Marathons with a real ZooKeeper: one leads, the others ask it, and one of them goes on when it is gone."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.kernel.store.znodes import LIMIT
from headrace.kernel.zookeeper import Session, parse
from tests.cluster.harness import Cluster, Daemon, cluster, get, wait_for
from tests.cluster.test_marathon_reads import run
from tests.cluster.test_marathon_server import fetch, make_certificate
from tests.cluster.zookeeper_harness import ZooKeeper, tree, zookeeper

log = logging.getLogger(__name__)

LONG, SHORT = ("--zk_session_timeout", "40000"), ("--zk_session_timeout", "10000")
"""Of a session, in ms: the longest that the server grants, so that no stall of the machine makes a leader go, and one
for tests that wait for its end."""
PATIENCE = 30.0
"""Seconds for what has to come long before a session runs out."""
SLEEP: dict[str, Any] = {"cmd": "exec sleep 1000", "cpus": 0.1, "mem": 16}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    with zookeeper(tmp_path_factory.mktemp("zookeeper")) as it:
        yield it


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("mesos")) as it:
        yield it


class Marathons:
    """Those of one test, which share a znode."""

    def __init__(self, of: Cluster, server: ZooKeeper, name: str) -> None:
        self._cluster, self._server, self.name = of, server, name
        self.all: list[Daemon] = []

    def start(self, *flags: str, zk: str = "") -> Daemon:
        """One more, when it leads or stands by."""
        words = ["--zk", zk or self._server.address(f"/{self.name}"), *LONG]
        name = f"{self.name}-{len(self.all) + 1}"
        marathon = self._cluster.add_marathon(*words, "--min_revive_offers_interval", "50", *flags, name=name)
        self.all.append(marathon)
        return marathon

    def pair(self, *flags: str) -> tuple[Daemon, Daemon]:
        """A leader and a standby that knows it."""
        leader, standby = self.start(*flags), self.start(*flags)
        wait_for(lambda: leader_of(standby) == address(leader), "the standby knows the leader")
        return leader, standby

    def close(self) -> None:
        for one in self.all:
            if one.runs:
                one.send(signal.SIGCONT)
            one.stop()


@pytest.fixture
def marathons(mesos: Cluster, server: ZooKeeper, request: pytest.FixtureRequest) -> Iterator[Marathons]:
    it = Marathons(mesos, server, request.node.name.partition("[")[0].removeprefix("test_"))
    yield it
    for one in it.all:
        if one.runs and one.url.startswith("http:"):
            ask(one, "PUT", "/v2/groups?force=true", {"apps": [], "groups": []})
            break
    it.close()


def address(marathon: Daemon) -> str:
    return marathon.url.removeprefix("http://")


def ask(
    marathon: Daemon, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, dict[str, str]]:
    connection = http.client.HTTPConnection(address(marathon), timeout=120)
    try:
        connection.request(method, path, None if body is None else json.dumps(body).encode(), headers or {})
        answer = connection.getresponse()
        text = answer.read()
        try:
            content = json.loads(text) if text else None
        except ValueError:
            content = text
        return answer.status, content, dict(answer.headers)
    finally:
        connection.close()


def leader_of(marathon: Daemon) -> str:
    status, body, _ = ask(marathon, "GET", "/v2/leader")
    return str(body["leader"]) if status == 200 else ""


def running(marathon: Daemon, app: str) -> set[str]:
    status, body, _ = ask(marathon, "GET", f"/v2/apps/{app}/tasks")
    return {task["id"] for task in body["tasks"] if task["state"] == "TASK_RUNNING"} if status == 200 else set()


def settled(marathon: Daemon, app: str, instances: int, timeout: float = 60.0) -> set[str]:
    def look() -> set[str] | None:
        status, body, _ = ask(marathon, "GET", f"/v2/apps/{app}")
        if status != 200 or body["app"]["deployments"] or len(body["app"]["tasks"]) != instances:
            return None
        tasks = running(marathon, app)
        return tasks if len(tasks) == instances else None

    return set(wait_for(look, f"{app} has {instances} tasks", timeout))


def framework_id(marathon: Daemon) -> str:
    return str(ask(marathon, "GET", "/v2/info")[1]["frameworkId"])


def test_a_standby_asks_the_leader(marathons: Marathons) -> None:
    leader, standby = marathons.pair()
    via = f"1.1 {address(standby)}"
    for one, passed in ((leader, None), (standby, via)):
        status, body, headers = ask(one, "GET", "/v2/info")
        assert (status, body["elected"], body["leader"]) == (200, True, address(leader))
        assert (headers["X-Marathon-Leader"], headers.get("X-Marathon-Via")) == (leader.url, passed)
        assert body["zookeeper_config"]["zk"].endswith(marathons.name)
        assert body["marathon_config"]["ha"] is True
        status, text, headers = ask(one, "GET", "/ping")
        assert (status, text, headers.get("X-Marathon-Via")) == (200, b"pong", None)
    status, body, headers = ask(
        standby, "POST", "/v2/apps?force=false", {"id": "/a b"}, {"X-Marathon-Via": "1.1 other:1"}
    )
    assert (status, headers["X-Marathon-Via"]) == (422, via)
    status, body, headers = ask(standby, "POST", "/v2/apps", {"id": "/team/a", **SLEEP})
    assert (status, headers["Marathon-Deployment-Id"]) == (201, body["deployments"][0]["id"])
    tasks = settled(standby, "/team/a", 1)
    assert tasks == running(leader, "team/a")
    assert ask(standby, "GET", "/v2/apps/none")[:2] == ask(leader, "GET", "/v2/apps/none")[:2]
    assert ask(standby, "HEAD", "/v2/apps")[2]["Content-Length"] == ask(leader, "HEAD", "/v2/apps")[2]["Content-Length"]
    status, _, headers = ask(standby, "GET", "/v2/events?event_type=x", None, {"Accept": "text/event-stream"})
    assert (status, headers["Location"]) == (302, f"{leader.url}/v2/events?event_type=x")
    status, body, _ = ask(standby, "GET", "/v2/apps", None, {"X-Marathon-Via": f"1.1 x:1, {via}"})
    assert (status, body["message"]) == (502, "Detected proxying loop.")
    status, _, headers = ask(standby, "GET", "/help", None, {"Accept-Encoding": "gzip"})
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    own = {"Origin": standby.url, "Content-Type": "application/json"}
    assert ask(standby, "DELETE", "/v2/apps//team/a", None, own)[0] == 200
    assert ask(standby, "DELETE", "/v2/apps//team/a", None, {"Origin": "http://evil.example"})[0] == 403


def test_a_leader_that_is_killed_amid_an_upgrade(marathons: Marathons) -> None:
    """The standby goes on with the deployment of the same framework, and tasks that are new stay."""
    leader, standby = marathons.pair(*SHORT)
    app = {
        "id": "/web",
        **SLEEP,
        "instances": 4,
        "upgradeStrategy": {"minimumHealthCapacity": 0.75, "maximumOverCapacity": 0.0},
        "cmd": "touch ready; exec sleep 1000",
        "healthChecks": [
            {"protocol": "COMMAND", "command": {"value": "test -e ready"}, "intervalSeconds": 1, "delaySeconds": 0}
        ],
    }
    assert ask(leader, "POST", "/v2/apps", app)[0] == 201
    first = settled(leader, "/web", 4)
    assert ask(leader, "POST", "/v2/apps", {"id": "/other", **SLEEP, "instances": 2})[0] == 201
    others = settled(leader, "/other", 2)
    framework = framework_id(leader)
    status, body, _ = ask(standby, "PUT", "/v2/apps/web", {"cmd": "sleep 1; touch ready; exec sleep 1000"})
    assert status == 200
    begun = wait_for(lambda: running(leader, "web") - first, "the first of the new ones runs")
    leader.kill()
    killed = time.monotonic()
    wait_for(lambda: leader_of(standby) == address(standby), "the standby leads")
    took = time.monotonic() - killed
    deployments = ask(standby, "GET", "/v2/deployments")[1]
    assert [one["id"] for one in deployments] in ([body["deploymentId"]], [])
    new = settled(standby, "/web", 4)
    assert begun <= new
    assert not new & first
    assert settled(standby, "/other", 2) == others
    assert framework_id(standby) == framework
    log.warning("a takeover by a standby took %.1f s", took)


def test_a_leader_that_was_stopped_does_no_harm(marathons: Marathons) -> None:
    leader, standby = marathons.pair(*SHORT)
    assert ask(leader, "POST", "/v2/apps", {"id": "/a", **SLEEP, "instances": 2})[0] == 201
    tasks = settled(leader, "/a", 2)
    framework = framework_id(leader)
    leader.send(signal.SIGSTOP)
    wait_for(lambda: leader_of(standby) == address(standby), "the standby leads")
    assert settled(standby, "/a", 2) == tasks
    assert ask(standby, "PUT", "/v2/apps/a", {"instances": 3})[0] == 200
    three = settled(standby, "/a", 3)
    assert tasks < three
    leader.send(signal.SIGCONT)
    wait_for(lambda: leader.status is not None, "the one that leads no more ends")
    assert leader.stop() == 103
    assert "leadership at" in leader.log.read_text() or "store zk://" in leader.log.read_text()
    assert settled(standby, "/a", 3) == three
    assert standby.log.read_text().count("not subscribed to") == 0, "it took the framework from its successor"
    assert framework_id(standby) == framework
    leader.start()
    wait_for(lambda: leader_of(leader) == address(standby), "it stands by")


def test_abdication(marathons: Marathons) -> None:
    leader, standby = marathons.pair()
    third = marathons.start()
    check = {"protocol": "COMMAND", "command": {"value": "true"}, "intervalSeconds": 3600, "delaySeconds": 0}
    assert ask(leader, "POST", "/v2/apps", {"id": "/a", **SLEEP, "healthChecks": [check]})[0] == 201
    tasks = settled(third, "/a", 1)
    wait_for(lambda: ask(third, "GET", "/v2/apps/a")[1]["app"]["tasksHealthy"] == 1, "it is healthy")
    assert ask(standby, "DELETE", "/v2/leader?backup=file:///x")[0] == 422
    assert ask(standby, "DELETE", "/v2/leader")[:2] == (200, {"message": "Leadership abdicated"})
    wait_for(lambda: leader.status is not None, "it ends")
    assert leader.stop() == 103
    assert "the leadership was given up" in leader.log.read_text()
    wait_for(lambda: leader_of(third) == address(standby), "the next one leads, and the one behind it knows")
    assert settled(third, "/a", 1) == tasks
    assert ask(third, "GET", "/v2/apps/a")[1]["app"]["tasksHealthy"] == 1, "health is known without another check"
    leader.start()
    wait_for(lambda: leader_of(leader) == address(standby), "the first one is the last now")
    assert standby.stop() == 0
    wait_for(lambda: leader_of(leader) == address(third), "an orderly end makes nobody wait", PATIENCE)
    assert settled(leader, "/a", 1) == tasks


def test_a_killed_leader_that_comes_back_leads_on(marathons: Marathons) -> None:
    leader, standby = marathons.pair()
    assert ask(leader, "POST", "/v2/apps", {"id": "/a", **SLEEP})[0] == 201
    tasks = settled(leader, "/a", 1)
    leader.kill()
    status, body, _ = ask(standby, "GET", "/v2/apps")
    assert (status, body["message"]) == (502, "Connection to leader refused.")
    leader.start()
    assert leader_of(standby) == address(leader)
    assert settled(standby, "/a", 1) == tasks
    assert "this Marathon leads" not in standby.log.read_text()


def test_a_killed_leader_that_comes_back_elsewhere_blocks_nobody(marathons: Marathons, server: ZooKeeper) -> None:
    """With the same directory, and so with the session that it had, but at another znode."""
    leader, standby = marathons.pair()
    leader.kill()
    data = leader.log.parent / leader.name
    assert (data / "zookeeper-session").exists()
    other = marathons.start("--data", str(data), zk=server.address(f"/{marathons.name}/elsewhere"))
    assert leader_of(other) == address(other)
    wait_for(lambda: leader_of(standby) == address(standby), "the standby leads", PATIENCE)


def test_large_state(marathons: Marathons, server: ZooKeeper) -> None:
    """An app of several MB, which can't be compressed, and a group of thousands go to the successor."""
    leader, standby = marathons.pair()
    text = random.Random(1).randbytes(LIMIT + LIMIT // 2).hex()  # as hex it has twice the size
    large = {"id": "/large", **SLEEP, "instances": 0, "labels": {"text": text}}
    assert ask(leader, "POST", "/v2/apps", large)[0] == 201
    apps = [{"id": f"app-{number}", **SLEEP, "instances": 0} for number in range(3000)]
    status, body, _ = ask(standby, "PUT", "/v2/groups", {"id": "/many", "apps": apps})
    assert status in (200, 201), body
    wait_for(lambda: ask(leader, "GET", "/v2/deployments")[1] == [], "all are deployed", 60)
    znodes = asyncio.run(tree(server, f"/{marathons.name}/state/large"))
    assert len(znodes) >= 2, "the large value lies apart, in parts"
    assert ask(leader, "DELETE", "/v2/leader")[0] == 200
    wait_for(lambda: leader_of(standby) == address(standby), "the standby leads", 60)
    assert ask(standby, "GET", "/v2/apps/large")[1]["app"]["labels"]["text"] == text
    assert len(ask(standby, "GET", "/v2/groups/many")[1]["apps"]) == 3000
    assert ask(standby, "DELETE", "/v2/apps/large")[0] == 200
    assert ask(standby, "DELETE", "/v2/groups/many?force=true")[0] == 200
    wait_for(lambda: ask(standby, "GET", "/v2/apps")[1]["apps"] == [], "they are gone", 60)


def test_zookeeper_is_away_for_a_while(marathons: Marathons, server: ZooKeeper) -> None:
    leader = marathons.start("--zk_timeout", "1000")
    standby = marathons.start()
    assert ask(leader, "POST", "/v2/apps", {"id": "/a", **SLEEP})[0] == 201
    tasks = settled(leader, "/a", 1)
    server.pause()
    try:
        status, body, _ = ask(leader, "PUT", "/v2/apps/a", {"instances": 2})
        assert (status, "A change may be made even so" in body["message"]) == (503, True)
        assert ask(leader, "GET", "/ping")[0] == ask(standby, "GET", "/ping")[0] == 200
    finally:
        server.go_on()
    assert tasks < settled(leader, "/a", 2)
    assert leader_of(standby) == address(leader)


def test_there_is_no_zookeeper(tmp_path: Path) -> None:
    words = ("--master=m:1", "--http_port=0", "--zk=zk://me:hidden@127.0.0.1:1/m", "--zk_connection_timeout=500")
    status, text = run(*words, data=tmp_path)
    assert (status, "no connection to ZooKeeper at 127.0.0.1:1 within 0.5 s" in text) == (100, True), text
    assert "hidden" not in text


def test_credentials_and_the_command_of_the_documents(marathons: Marathons, server: ZooKeeper, tmp_path: Path) -> None:
    """``marathon run_jar --master … --zk …`` with a password that comes from a file, and is nowhere to be seen."""
    secret = tmp_path / "zk"
    secret.write_text(f"zk://me:hidden@{server.hosts}/{marathons.name}\n")
    leader = marathons.start("run_jar", zk=f"file://{secret}")
    assert ask(leader, "POST", "/v2/apps", {"id": "/a", **SLEEP})[0] == 201
    settled(leader, "/a", 1)
    strange = f"--zk={server.address(f'/{marathons.name}')}"
    status, text = run("--master=m:1", "--http_port=0", strange, data=tmp_path / "stranger")
    assert (status, "credentials in the address" in text) == (112, True), text
    said = [str(ask(leader, "GET", path)[1]) for path in ("/config", "/v2/info", "/metrics")]
    assert "hidden" not in "".join([*said, leader.log.read_text()])
    assert secret.name in ask(leader, "GET", "/config")[1]["zk"]


def test_what_another_marathon_has_stored_is_left_alone(server: ZooKeeper, tmp_path: Path) -> None:
    """The original keeps its state below the same znode, in another form."""

    async def make() -> None:
        session = Session(parse(server.address("/original"), "test"), timeout=10)
        await session.open()
        for name in ("apps/0/app", "deployment", "internal:storage:version"):
            await session.call("create", f"/original/state/{name}", b"x", makepath=True)
        await session.close()

    asyncio.run(make())
    before = asyncio.run(tree(server, "/original/state"))
    status, text = run("--master=m:1", "--http_port=0", f"--zk={server.address('/original')}", data=tmp_path)
    assert status == 112
    assert "znode /original/state holds apps, deployment, internal:storage:version" in text
    assert asyncio.run(tree(server, "/original/state")) == before


def test_https_and_a_password(marathons: Marathons, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    words = (
        "--disable_http",
        "--https_port",
        "0",
        "--ssl_keystore_path",
        str(certificate),
        "--http_credentials=me:hush",
    )
    leader, standby = marathons.start(*words), marathons.start(*words)

    def known() -> bool:
        status, body, _ = fetch(f"{standby.url}/v2/leader", certificate, "me:hush")
        return status == 200 and b'"' + address(leader).removeprefix("https://").encode() + b'"' in body

    wait_for(known, "the standby knows the leader")
    status, body, headers = fetch(f"{standby.url}/v2/info", certificate, "me:hush")
    assert (status, headers["X-Marathon-Leader"], b"hush" in body) == (200, leader.url, False)
    assert headers["X-Marathon-Via"] == f"1.1 {standby.url.removeprefix('https://')}"
    assert fetch(f"{standby.url}/v2/info", certificate)[0] == 401
    assert fetch(f"{standby.url}/ping", certificate)[0] == 200


def test_no_request_is_lost_over_abdications(marathons: Marathons) -> None:
    """Every app whose creation was answered with 201 is there after leaders have gone, one after the other."""
    pair = marathons.pair()
    made: list[str] = []
    stop = threading.Event()

    def create() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            body = {"id": f"/made/{number}", **SLEEP, "instances": 0}
            for one in pair:
                try:
                    if ask(one, "POST", "/v2/apps", body)[0] == 201:
                        made.append(f"/made/{number}")
                        break
                except (OSError, http.client.HTTPException):
                    continue
            time.sleep(0.01)

    thread = threading.Thread(target=create)
    thread.start()
    try:
        for gone, stays in (pair, pair[::-1]):
            before = len(made)
            wait_for(lambda: len(made) > before + 5, "some are made")  # noqa: B023
            assert ask(gone, "DELETE", "/v2/leader")[0] == 200
            wait_for(lambda: gone.status is not None, "it ends")  # noqa: B023
            gone.stop()
            gone.start()
            wait_for(lambda: leader_of(gone) == address(stays), "the other one leads")  # noqa: B023
    finally:
        stop.set()
        thread.join()
    assert made
    assert {*made} <= {app["id"] for app in ask(pair[0], "GET", "/v2/apps")[1]["apps"]}
    assert get(f"{pair[0].url}/v2/leader") == {"leader": address(pair[0])}
