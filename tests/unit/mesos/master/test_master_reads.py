"""What operators read of the master by the v1 operator API, and the v0 endpoints around its own process."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from headrace.kernel.clock import ManualClock
from headrace.kernel.http.messages import FileBody, HttpError, Request, Response
from headrace.kernel.log import Verbosity
from headrace.kernel.protobuf.decoding import MAX_FIELDS
from headrace.kernel.shell import Shell
from headrace.kernel.store.memory import MemoryStore
from headrace.mesos.content import MAX_PROTOBUF
from headrace.mesos.door import MAX_ELEMENTS, TEXT
from headrace.mesos.logging_toggle import LoggingToggle
from headrace.mesos.master.api.operator_api import MAX_FORM
from headrace.mesos.master.api.operator_reads import Reads
from headrace.mesos.master.api.routes import MAX_CALL, MasterApi
from headrace.mesos.master.api.streams import Streams
from headrace.mesos.master.api.views import Views
from headrace.mesos.master.core.events import MasterEvent
from headrace.mesos.master.flags import duration
from headrace.mesos.own_log import OwnLog
from tests.unit.mesos.master.master_world import FakeAgent, FakeFramework, World

JSON = {"content-type": "application/json"}


class Door:
    """The master's HTTP surface over the books of a world; it only reads."""

    def __init__(self, world: World, log: Path | None = None) -> None:
        self.world = world
        clock, core = ManualClock(world.now), world.core
        self.verbosity = Verbosity()
        toggle = LoggingToggle(self.verbosity, duration)
        flags = {"port": "5050"}
        own_log = OwnLog("/master/log", log)
        reads = Reads(core.books, core.maintenance, core.quotas, core.weights, flags, clock, own_log, toggle)
        shell: Shell[MasterEvent] = Shell(core, MemoryStore(), lambda _: None, clock)
        views = Views(core.books, flags, "ours", clock).paths()
        self.api = MasterApi(shell, Streams(), lambda: "id", views, reads)

    def ask(self, method: str, path: str, query: str = "", body: bytes = b"", **headers: str) -> Response:
        answer = self.api(Request(method, path, query, headers, body))
        assert isinstance(answer, Response)
        return answer

    def get(self, path: str, query: str = "") -> Any:
        answer = self.ask("GET", path, query)
        assert answer.status == 200, answer
        assert isinstance(answer.body, bytes)
        return json.loads(answer.body) if answer.content_type == "application/json" else answer.body.decode()

    def refused(self, method: str, path: str, query: str = "") -> tuple[int, str]:
        answer = self.ask(method, path, query)
        assert isinstance(answer.body, bytes)
        return answer.status, answer.body.decode()

    def call(self, kind: str, **body: Any) -> Any:
        """The body of the answer of its name; status and text if it is refused."""
        said = json.dumps({"type": kind, **({kind.lower(): body} if body else {})}).encode()
        answer = self.api(Request("POST", "/api/v1", "", JSON, said))
        assert isinstance(answer, Response)
        assert isinstance(answer.body, bytes)
        if answer.status != 200 or not answer.body:
            return answer.status, answer.body.decode()
        decoded = json.loads(answer.body)
        assert decoded["type"] == kind
        return decoded.get(kind.lower())


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def door(world: World) -> Door:
    return Door(world)


def running(world: World) -> tuple[FakeAgent, FakeFramework]:
    agent, framework = world.agent("h1", cpus=8, mem=8192), world.framework(roles=["test"])
    framework.accept(framework.task("t1", agent, resources={"cpus": 0.5, "mem": 32}))
    framework.acknowledge(agent.update("t1", "TASK_RUNNING"))
    return agent, framework


def test_an_agent_with_what_is_held_and_offered(world: World, door: Door) -> None:
    agent, _ = running(world)
    (seen,) = door.call("GET_AGENTS")["agents"]
    assert seen["agent_info"]["id"] == {"value": agent.id}
    assert (seen["active"], seen["deactivated"], seen["pid"]) == (True, False, "slave(1)@10.0.0.1:5051")
    assert seen["registered_time"] == {"nanoseconds": 1_000_000_000_000}
    cpus = {"name": "cpus", "type": "SCALAR", "role": "*"}
    assert cpus | {"scalar": {"value": 8.0}} in seen["total_resources"]
    allocated = cpus | {"allocation_info": {"role": "test"}}
    assert allocated | {"scalar": {"value": 0.5}} in seen["allocated_resources"]
    assert allocated | {"scalar": {"value": 7.5}} in seen["offered_resources"]


def test_agents_of_before_a_restart(world: World, door: Door) -> None:
    agent = world.agent()
    world.restart()
    seen = Door(world).call("GET_AGENTS")
    assert seen["agents"] == []
    assert [info["id"]["value"] for info in seen["recovered_agents"]] == [agent.id]


def test_a_framework_with_its_offers(world: World, door: Door) -> None:
    agent, framework = running(world)
    (seen,) = door.call("GET_FRAMEWORKS")["frameworks"]
    assert seen["framework_info"]["id"] == {"value": framework.id}
    assert [offer["agent_id"]["value"] for offer in seen["offers"]] == [agent.id]
    assert (seen["active"], seen["connected"], seen["recovered"]) == (True, True, False)
    framework.call("TEARDOWN")
    (seen,) = door.call("GET_FRAMEWORKS")["completed_frameworks"]
    assert seen["unregistered_time"] == {"nanoseconds": 1_000_000_000_000}
    assert "offers" not in seen


def test_inverse_offers_until_they_are_answered(world: World, door: Door) -> None:
    agent, framework = running(world)
    machine = {"hostname": "h1", "ip": "10.0.0.1"}
    window = {"machine_ids": [machine], "unavailability": {"start": {"nanoseconds": 1}}}
    schedule = {"schedule": {"windows": [window]}}
    assert world.order("UPDATE_MAINTENANCE_SCHEDULE", update_maintenance_schedule=schedule).status == 200
    (seen,) = door.call("GET_FRAMEWORKS")["frameworks"]
    (inverse,) = seen["inverse_offers"]
    assert (inverse["agent_id"]["value"], inverse["id"]["value"]) == (agent.id, next(iter(framework.inverse_offers)))
    framework.call("ACCEPT_INVERSE_OFFERS", accept_inverse_offers={"inverse_offer_ids": [inverse["id"]]})
    (seen,) = door.call("GET_FRAMEWORKS")["frameworks"]
    assert "inverse_offers" not in seen


def test_tasks_and_executors_without_what_may_be_a_secret(world: World, door: Door) -> None:
    agent, framework = world.agent(cpus=8, mem=8192, disk=8192), world.framework()
    secret = {"environment": {"variables": [{"name": "TOKEN", "value": "s3cret"}]}, "value": "run"}
    framework.accept(framework.task("t1", agent, command=secret, data="czNjcmV0"))
    executor = framework.executor("ex", command=secret, type="CUSTOM", data="czNjcmV0")
    member = framework.task("t2", agent, executor=executor, resources={"cpus": 0.1, "mem": 32, "disk": 1})
    del member["command"]
    framework.accept(member)
    tasks = door.call("GET_TASKS")["tasks"]
    assert [task["name"] for task in tasks] == ["t1", "t2"]
    assert tasks[1]["executor_id"] == {"value": "ex"}
    (seen,) = door.call("GET_EXECUTORS")["executors"]
    assert seen["executor_info"]["executor_id"] == {"value": "ex"}
    assert seen["agent_id"] == {"value": agent.id}
    everything = json.dumps(door.call("GET_STATE"))
    assert "s3cret" not in everything
    assert "czNjcmV0" not in everything


def test_the_newest_update_that_a_framework_was_told(world: World, door: Door) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent))
    assert "status_update_state" not in door.call("GET_TASKS")["tasks"][0]
    status = agent.update("t1", "TASK_RUNNING")
    (seen,) = door.call("GET_TASKS")["tasks"]
    assert (seen["status_update_state"], seen["status_update_uuid"]) == ("TASK_RUNNING", status.uuid)


def test_operations_that_are_not_acknowledged(world: World, door: Door) -> None:
    agent, framework = world.agent(cpus=8, mem=64), world.framework()
    assert door.call("GET_OPERATIONS") == {}
    resource = {"name": "cpus", "type": "SCALAR", "scalar": {"value": 1}}
    reservation = {"reservations": [{"type": "DYNAMIC", "role": "test"}]}
    reserve = {"type": "RESERVE", "id": {"value": "op"}, "reserve": {"resources": [resource | reservation]}}
    framework.operate(reserve)
    (seen,) = door.call("GET_OPERATIONS")["operations"]
    assert seen["agent_id"] == {"value": agent.id}
    assert seen["info"]["type"] == "RESERVE"
    assert seen["latest_status"]["state"] == "OPERATION_FINISHED"
    assert len(base64.b64decode(seen["uuid"]["value"])) == 16


def test_roles_with_what_they_hold(world: World, door: Door) -> None:
    _, framework = running(world)
    (seen,) = door.call("GET_ROLES")["roles"]
    assert (seen["name"], seen["weight"]) == ("test", 1.0)
    assert seen["frameworks"] == [{"value": framework.id}]
    assert {one["name"]: one["scalar"]["value"] for one in seen["resources"]} == {"cpus": 8.0, "mem": 8192.0}


def test_the_master_itself(world: World, door: Door) -> None:
    assert door.call("GET_HEALTH") == {"healthy": True}
    assert door.call("GET_FLAGS") == {"flags": [{"name": "port", "value": "5050"}]}
    assert door.call("GET_VERSION") == {"version_info": {"version": "1.11.0"}}
    seen = door.call("GET_MASTER")
    assert (seen["master_info"]["id"], seen["start_time"]) == ("m", 1000.0)
    metrics = door.call("GET_METRICS", timeout={"nanoseconds": 1})["metrics"]
    assert {"name": "master/elected", "value": 1.0} in metrics


@pytest.mark.parametrize("kind", ["GET_METRICS", "SET_LOGGING_LEVEL", "LIST_FILES", "READ_FILE", "RESERVE_RESOURCES"])
def test_calls_that_lack_their_body(kind: str, door: Door) -> None:
    why = f"Failed to validate master::Call: Expecting '{kind.lower()}' to be present"
    assert door.call(kind) == (400, why)


def test_calls_of_no_known_kind(door: Door) -> None:
    assert door.call("UNKNOWN") == (501, "501 Not Implemented.")
    assert door.call("NONSENSE")[0] == 400


# The v0 endpoints


@pytest.mark.parametrize("path", ["/state", "/slaves", "/weights", "/quota", "/maintenance/status", "/version"])
def test_prefixes_endings_and_functions(path: str, door: Door) -> None:
    plain = door.get(path)
    assert door.get("/master" + path) == door.get(path + ".json") == door.get("/master" + path + ".json") == plain
    answer = door.ask("GET", path, "jsonp=cb")
    assert isinstance(answer.body, bytes)
    assert (answer.content_type, answer.body[:3], answer.body[-2:]) == ("text/javascript", b"cb(", b");")
    assert door.refused("GET", path, "jsonp=a;b") == (400, "Expecting 'jsonp' to be the name of a function")


FOREIGN = [
    {"host": "127.0.0.1:5050", "sec-fetch-site": "cross-site"},
    {"host": "127.0.0.1:5050", "sec-fetch-site": "same-site", "referer": "http://127.0.0.1:5050/"},
    {"host": "127.0.0.1:5050", "referer": "https://evil.example/"},
]
OWN = [{}, {"host": "127.0.0.1:5050", "sec-fetch-site": "same-origin", "referer": "http://127.0.0.1:5050/page"}]


@pytest.mark.parametrize("path", ["/master/state", "/state.json", "/roles", "/metrics/snapshot", "/files/debug"])
def test_another_sites_page_reads_nothing_as_a_script(path: str, door: Door) -> None:
    for headers in FOREIGN:
        answer = door.ask("GET", path, "jsonp=steal", b"", **headers)
        assert (answer.status, answer.content_type) == (403, TEXT)
        assert isinstance(answer.body, bytes)
        assert b"'jsonp' is refused to " in answer.body
        assert door.ask("GET", path, "", b"", **headers).content_type == JSON["content-type"]  # which no script can be
    for headers in OWN:
        assert door.ask("GET", path, "jsonp=cb", b"", **headers).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_another_sites_page_does_not_set_the_level(method: str, door: Door) -> None:
    for headers in FOREIGN:
        answer = door.ask(method, "/logging/toggle", "level=1&duration=10mins", b"", **headers)
        assert (answer.status, door.verbosity.level) == (403, 0)
        assert door.ask(method, "/logging/toggle", "", b"", **headers).body == b"0\n"
    usual = logging.getLogger().level
    for headers in OWN:
        assert door.ask(method, "/logging/toggle", "level=0&duration=10mins", b"", **headers).status == 200
    assert logging.getLogger().level == usual


def test_the_time_that_metrics_may_take(door: Door) -> None:
    assert door.get("/metrics/snapshot", "timeout=5secs")["master/elected"] == 1.0
    assert door.refused("GET", "/metrics/snapshot", "timeout=long")[0] == 400


async def test_more_is_logged_for_a_while(door: Door) -> None:
    root = logging.getLogger()
    usual = root.level
    try:
        assert door.get("/logging/toggle") == "0\n"
        assert door.refused("POST", "/logging/toggle", "level=1&duration=10mins") == (200, "")
        assert (door.get("/logging/toggle"), root.level) == ("1\n", logging.DEBUG)
        assert door.call("SET_LOGGING_LEVEL", level=3, duration={"nanoseconds": 1_000_000}) == (200, "")
        assert door.call("GET_LOGGING_LEVEL") == {"level": 3}
        async with asyncio.timeout(60):
            while door.verbosity.level:
                await asyncio.sleep(0.001)
        assert root.level == usual
    finally:
        root.setLevel(usual)


@pytest.mark.parametrize("query", ["level=1", "duration=1secs", "level=-1&duration=1secs", "level=1&duration=soon"])
def test_a_toggle_that_is_not_understood(query: str, door: Door) -> None:
    status, words = door.refused("GET", "/logging/toggle", query)
    assert status == 400
    assert words
    assert door.verbosity.level == 0


def test_a_level_that_is_none(door: Door) -> None:
    for level, nanoseconds in ((1, -5), (-1, 5)):
        status, words = door.call("SET_LOGGING_LEVEL", level=level, duration={"nanoseconds": nanoseconds})
        assert status == 400
        assert words
    assert door.verbosity.level == 0


# What is too large


@pytest.mark.parametrize("path", ["/api/v1/scheduler", "/api/v1", "/master/machine/down"])
def test_only_agents_may_send_much_at_once(path: str, door: Door) -> None:
    body = b"[" + b" " * MAX_CALL
    assert door.ask("POST", path, body=body, **JSON).status == 413
    assert door.ask("POST", path, body=body[1:], **JSON).status == 400
    assert door.ask("POST", "/master/api/v1/agent", body=body, **JSON).status == 400


@pytest.mark.parametrize("path", ["/api/v1/scheduler", "/api/v1", "/machine/down", "/weights"])
def test_small_parts_do_not_become_a_large_call(path: str, door: Door) -> None:
    body = b"[" + b"{}," * MAX_ELEMENTS + b"{}]"
    answer = door.ask("PUT" if path == "/weights" else "POST", path, body=body + b",", **JSON)
    assert (answer.status, answer.body) == (
        400,
        f"It has {MAX_ELEMENTS + 1} commas, more than {MAX_ELEMENTS}; send less at once".encode(),
    )


@pytest.mark.parametrize("path", ["/api/v1/scheduler", "/api/v1"])
def test_protobuf_is_read_in_python(path: str, door: Door) -> None:
    wire = {"content-type": "application/x-protobuf"}
    answer = door.ask("POST", path, body=b"\x08\x01" * (MAX_PROTOBUF // 2) + b"\x08", **wire)
    assert answer.status == 413
    answer = door.ask("POST", path, body=b"\x08\x01" * (MAX_PROTOBUF // 2), **wire)
    assert answer.status == 400
    assert isinstance(answer.body, bytes)
    assert f"more than {MAX_FIELDS} fields" in answer.body.decode()


@pytest.mark.parametrize("body", [b"a=" + b"b" * MAX_FORM, b"a=b&" * 200])
def test_a_form_is_not_large(body: bytes, door: Door) -> None:
    for path in ("/reserve", "/teardown"):
        with pytest.raises(HttpError, match="A form may have"):
            door.ask("POST", path, body=body)


# The master's own log


def test_the_log(world: World, tmp_path: Path) -> None:
    log = tmp_path / "master.log"
    log.write_text("first\nsecond\n")
    door = Door(world, log)
    assert door.call("LIST_FILES", path="/master/log") == {}
    data = base64.b64encode(b"first").decode()
    assert door.call("READ_FILE", path="/master/log", offset=0, length=5) == {"size": 13, "data": data}
    assert door.call("READ_FILE", path="/master/log", offset=99) == {"size": 13, "data": ""}
    assert door.call("READ_FILE", path="/master/log", offset=2**63 - 1) == {"size": 13, "data": ""}
    last = 10**18 - 1
    assert door.get("/files/read", f"path=/master/log&offset={last}&length=10") == {"data": "", "offset": last}
    assert door.get("/files/browse", "path=/master/log") == []
    assert door.get("/files/read", "path=/master/log&offset=6&length=3") == {"data": "sec", "offset": 6}
    assert door.get("/files/read", "path=/master/log&offset=6") == {"data": "second\n", "offset": 6}
    assert door.get("/files/read", "path=/master/log") == {"data": "", "offset": 13}
    assert door.get("/files/debug") == {"/master/log": str(log)}
    download = door.ask("GET", "/files/download", "path=/master/log")
    assert isinstance(download.body, FileBody)
    assert (download.body.path, download.body.length) == (log, 13)


def test_a_page_at_most_is_read(world: World, tmp_path: Path) -> None:
    log = tmp_path / "master.log"
    log.write_bytes(b"x" * 100_000)
    door = Door(world, log)
    assert len(door.get("/files/read", "path=/master/log&offset=0")["data"]) == 65536
    assert len(door.get("/files/read", "path=/master/log&offset=0&length=99999")["data"]) == 65536


@pytest.mark.parametrize("path", ["/nope", "/etc/passwd", "/master/log/../../etc/passwd", "/master"])
def test_nothing_else_can_be_read(path: str, world: World, tmp_path: Path) -> None:
    log = tmp_path / "master.log"
    log.touch()
    door = Door(world, log)
    assert door.call("LIST_FILES", path=path) == (404, "")
    assert door.call("READ_FILE", path=path, offset=0) == (404, "")
    for name in ("browse", "read", "download"):
        assert door.refused("GET", f"/files/{name}", f"path={path}") == (404, "")


def test_no_log(door: Door) -> None:
    assert door.call("READ_FILE", path="/master/log", offset=0) == (404, "")
    assert door.get("/files/debug") == {}
    assert door.refused("GET", "/files/read") == (400, "Expecting 'path=value' in query.\n")


@pytest.mark.parametrize("query", ["offset=x", "offset=-2", "length=x&offset=0", "offset=" + "9" * 30])
def test_offsets_that_are_none(query: str, world: World, tmp_path: Path) -> None:
    log = tmp_path / "master.log"
    log.touch()
    assert Door(world, log).refused("GET", "/files/read", "path=/master/log&" + query)[0] == 400
