"""What the public documentation of Mesos promises and no recording of the folder shows."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from headrace.kernel.http import HttpClient
from tests.conformance.replay.executors import PROGRAM, Executor, Executors
from tests.conformance.replay.names import Names
from tests.conformance.replay.stage import LOSING, QUICK, Stage, stage
from tests.conformance.replay.streams import Stream
from tests.conformance.scheduler import HEADERS, PATIENCE, Scheduler, framework, subscribe, task

NEVER = {"value": "no-such-agent"}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("scenarios"), ("r1", "r2"), *QUICK) as it:
        yield it


async def ask(master: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """An operator's request."""
    http = HttpClient()
    headers = {"Content-Type": "application/json"}
    content = b"" if body is None else json.dumps(body).encode()
    answer = await http.request(method, master + path, headers=headers, body=content)
    http.close()
    text = answer.body.decode()
    return answer.status, json.loads(text) if text.startswith(("{", "[")) else text


# Reconciliation

LOST = {"unknown": "TASK_LOST", "stranger": "TASK_LOST", "foreign": "TASK_LOST"}
AWARE = {"unknown": "TASK_UNKNOWN", "stranger": "TASK_GONE", "foreign": "TASK_UNKNOWN"}
MESSAGES = {
    "unknown": "Reconciliation: Task is unknown",
    "stranger": "Reconciliation: Task is unknown to the agent",
    "foreign": "Reconciliation: Task is unknown",
}


@pytest.mark.parametrize(("capabilities", "states"), [((), LOST), (("PARTITION_AWARE",), AWARE)])
async def test_explicit_reconciliation(capabilities: tuple[str, ...], states: dict[str, str], shared: Stage) -> None:
    async with framework(shared.master.url, *capabilities) as it:
        offer = (await it.offers(1))[0]
        await it.launch(offer, task("known"))
        running = await it.status("known", "TASK_RUNNING") if await _first(it, "known") else {}
        asked = [
            {"task_id": {"value": "known"}, "agent_id": offer["agent_id"]},
            {"task_id": {"value": "unknown"}},
            {"task_id": {"value": "stranger"}, "agent_id": offer["agent_id"]},
            {"task_id": {"value": "foreign"}, "agent_id": NEVER},
        ]
        assert await it.call("RECONCILE", tasks=asked) == (202, "")
        for name, state in states.items():
            status = await it.status(name, state, reason="REASON_RECONCILIATION")
            assert status["message"] == MESSAGES[name]
            assert status["source"] == "SOURCE_MASTER"
            assert "uuid" not in status
        known = await it.status("known", "TASK_RUNNING", reason="REASON_RECONCILIATION")
        assert known["message"] == "Reconciliation: Latest task state"
        assert known["container_status"]["container_id"] == running["container_status"]["container_id"]
        answers = [e["status"]["task_id"]["value"] for e in it.heard("UPDATE") if "uuid" not in e["status"]]
        assert answers == ["known", "unknown", "stranger", "foreign"]


async def _first(it: Scheduler, task_id: str) -> bool:
    """Acknowledge TASK_STARTING, so that TASK_RUNNING may come."""
    await it.acknowledge(await it.status(task_id, "TASK_STARTING"))
    return True


async def test_implicit_reconciliation_tells_of_living_tasks_alone(shared: Stage) -> None:
    async with framework(shared.master.url) as it:
        offer = (await it.offers(1))[0]
        await it.launch(offer, task("lives"), task("ends", "exit 0"))
        for name, last in (("lives", "TASK_RUNNING"), ("ends", "TASK_FINISHED")):
            for state in ("TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"):
                await it.acknowledge(await it.status(name, state))
                if state == last:
                    break
        before = len(it.stream.events)
        assert await it.call("RECONCILE", tasks=[]) == (202, "")
        await it.status("lives", "TASK_RUNNING", reason="REASON_RECONCILIATION")
        await asyncio.sleep(0.1)  # more would come by now
        answers = [e["update"]["status"] for e in it.stream.events[before:] if e["type"] == "UPDATE"]
        assert [status["task_id"]["value"] for status in answers] == ["lives"]


# Kills, messages and hints


async def test_a_kill_with_another_agent_does_nothing(shared: Stage) -> None:
    async with framework(shared.master.url) as it:
        offers = await it.offers(2)
        while not (others := [offer for offer in offers if offer["agent_id"] != offers[0]["agent_id"]]):
            offers = await it.offers(len(offers) + 1)  # what earlier tasks held may come in an offer of its own
        one, other = offers[0], others[0]
        await it.launch(one, task("stays"))
        await _first(it, "stays")
        await it.acknowledge(await it.status("stays", "TASK_RUNNING"))
        assert await it.call("KILL", task_id={"value": "stays"}, agent_id=other["agent_id"]) == (202, "")
        await asyncio.sleep(0.2)
        assert [e["status"]["state"] for e in it.heard("UPDATE")] == ["TASK_STARTING", "TASK_RUNNING"]
        assert await it.call("KILL", task_id={"value": "stays"}) == (202, "")
        assert (await it.status("stays", "TASK_KILLED"))["source"] == "SOURCE_EXECUTOR"


@pytest.mark.parametrize(("capabilities", "state"), [((), "TASK_LOST"), (("PARTITION_AWARE",), "TASK_UNKNOWN")])
async def test_a_kill_of_a_task_that_nobody_knows(capabilities: tuple[str, ...], state: str, shared: Stage) -> None:
    async with framework(shared.master.url, *capabilities) as it:
        assert await it.call("KILL", task_id={"value": "never"}) == (202, "")
        status = await it.status("never", state)
        assert (status["reason"], status["source"]) == ("REASON_RECONCILIATION", "SOURCE_MASTER")


async def test_calls_that_have_nobody_to_reach_are_taken(shared: Stage) -> None:
    async with framework(shared.master.url) as it:
        agent = (await it.offers(1))[0]["agent_id"]
        nobody = {"agent_id": agent, "executor_id": {"value": "nobody"}}
        assert await it.call("MESSAGE", **nobody, data="aGk=") == (202, "")
        assert await it.call("SHUTDOWN", **nobody) == (202, "")
        assert await it.call("REQUEST", requests=[{"agent_id": agent}]) == (202, "")
        assert await it.call("ACCEPT_INVERSE_OFFERS", inverse_offer_ids=[{"value": "none"}]) == (202, "")
        assert await it.call("DECLINE_INVERSE_OFFERS", inverse_offer_ids=[{"value": "none"}]) == (202, "")
        assert it.heard("ERROR") == []


# Offers


@pytest.mark.parametrize(("capabilities", "state"), [((), "TASK_LOST"), (("PARTITION_AWARE",), "TASK_DROPPED")])
async def test_tasks_on_an_offer_that_is_no_more(capabilities: tuple[str, ...], state: str, shared: Stage) -> None:
    async with framework(shared.master.url, *capabilities) as it:
        offer = (await it.offers(1))[0]
        assert await it.call("DECLINE", offer_ids=[offer["id"]]) == (202, "")
        await it.launch(offer, task("late"))
        status = await it.status("late", state)
        assert status["reason"] == "REASON_INVALID_OFFERS"
        assert (
            status["message"] == f"Task launched with invalid offers: Offer {offer['id']['value']} is no longer valid"
        )


async def test_an_offer_that_nobody_answers_is_rescinded(tmp_path_factory: pytest.TempPathFactory) -> None:
    with stage(tmp_path_factory.mktemp("timeout"), ("r1",), "--offer-timeout", "300ms") as its:
        async with framework(its.master.url) as it:
            rescinded = await it.event("RESCIND")
            offer = it.stream.offers()[0]
            assert rescinded["offer_id"] == offer["id"]
            again = await it.until(lambda e: e["type"] == "OFFERS" and offer not in e["offers"]["offers"], "another")
            assert again["offers"]["offers"][0]["agent_id"] == offer["agent_id"]


async def test_roles_of_a_tree(shared: Stage) -> None:
    """What is reserved for a role is offered to roles below it too, and to nobody else."""
    roles = ("tree", "tree/branch")
    async with (
        framework(shared.master.url, roles=roles[:1], principal="p") as root,
        framework(shared.master.url, roles=("shrub",)) as other,
    ):
        offer = (await root.offers(1))[0]
        reserved = {
            "name": "cpus",
            "type": "SCALAR",
            "scalar": {"value": 1.0},
            "reservations": [{"type": "DYNAMIC", "role": "tree", "principal": "p"}],
        }
        reserve = {"type": "RESERVE", "reserve": {"resources": [{**reserved, "allocation_info": {"role": "tree"}}]}}
        await root.call("ACCEPT", offer_ids=[offer["id"]], operations=[reserve], filters={"refuse_seconds": 0})
        mine = await root.until(lambda e: _has_reserved(e), "the reserved resources")
        ids = [o["id"] for o in mine["offers"]["offers"]]
        await root.call("SUPPRESS")
        await root.call("DECLINE", offer_ids=[o["id"] for o in root.stream.outstanding()])
        async with framework(shared.master.url, roles=roles[1:], principal="p") as branch:
            found = await branch.until(lambda e: _has_reserved(e), "what is reserved for the role above")
            offer = next(o for o in found["offers"]["offers"] if _reserved(o))
            assert offer["id"] not in ids
            assert offer["allocation_info"] == {"role": "tree/branch"}
            assert _reserved(offer)[0]["reservations"] == reserved["reservations"]
            back = {**reserved, "allocation_info": {"role": "tree/branch"}}
            unreserve = {"type": "UNRESERVE", "unreserve": {"resources": [back]}}
            await branch.call("ACCEPT", offer_ids=[offer["id"]], operations=[unreserve])
        assert not any(_has_reserved(event) for event in other.stream.events)


def _has_reserved(event: dict[str, Any]) -> bool:
    return event["type"] == "OFFERS" and any(map(_reserved, event["offers"]["offers"]))


def _reserved(offer: dict[str, Any]) -> list[dict[str, Any]]:
    return [resource for resource in offer["resources"] if resource.get("reservations")]


async def test_frameworks_of_one_role_get_what_the_other_declines(shared: Stage) -> None:
    async with framework(shared.master.url, roles=("one", "two")) as it:
        offers = await it.offers(2)
        await it.call("DECLINE", offer_ids=[o["id"] for o in offers], filters={"refuse_seconds": 600})
        declined = {(o["agent_id"]["value"], o["allocation_info"]["role"]) for o in offers}
        more = await it.until(
            lambda e: e["type"] == "OFFERS" and e["offers"]["offers"][0] not in offers, "offers of the other role"
        )
        for offer in more["offers"]["offers"]:
            assert (offer["agent_id"]["value"], offer["allocation_info"]["role"]) not in declined


# Subscriptions


async def test_a_second_scheduler_takes_over_with_force_and_without(shared: Stage) -> None:
    http = HttpClient()
    first = await subscribe(http, shared.master.url)
    offers = await first.offers(1)
    second = await subscribe(http, shared.master.url, id={"value": first.id})
    assert (await first.event("ERROR"))["message"] == "Framework failed over"
    assert second.id == first.id
    assert await first.call("REVIVE") == (
        400,
        f"The stream ID '{first.stream.live.headers['mesos-stream-id']}' included in this request didn't match "
        f"the stream ID currently associated with framework ID {first.id}",
    )
    again = await second.offers(1)
    assert not {o["id"]["value"] for o in offers} & {o["id"]["value"] for o in again}
    assert await second.call("TEARDOWN") == (202, "")
    for scheduler in (first, second):
        await scheduler.stream.close()
    http.close()


async def test_heartbeats_name_their_interval(shared: Stage) -> None:
    async with framework(shared.master.url) as it:
        assert (await it.event("SUBSCRIBED"))["heartbeat_interval_seconds"] == 15.0
        assert await it.until(lambda e: e["type"] == "HEARTBEAT", "a heartbeat") is it.stream.events[1]


# Maintenance


async def test_inverse_offers(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A schedule rescinds offers, makes them again with the unavailability, and asks for the resources back."""
    with stage(tmp_path_factory.mktemp("maintenance"), ("r1",), *QUICK) as its:
        master = its.master.url
        async with framework(master) as it:
            before = (await it.offers(1))[0]
            start = {"nanoseconds": time.time_ns() + 3_600_000_000_000}
            machine = {"hostname": "127.0.0.1", "ip": "127.0.0.1"}
            window = {"machine_ids": [machine], "unavailability": {"start": start}}
            assert (await ask(master, "POST", "/maintenance/schedule", {"windows": [window]}))[0] == 200
            assert (await it.event("RESCIND"))["offer_id"] == before["id"]
            await it.offers(1, unavailability={"start": start})
            (inverse,) = (await it.event("INVERSE_OFFERS"))["inverse_offers"]
            assert inverse["agent_id"] == before["agent_id"]
            assert inverse["unavailability"] == {"start": start}
            assert inverse["framework_id"] == {"value": it.id}
            ids, soon, late = [inverse["id"]], {"refuse_seconds": 0.1}, {"refuse_seconds": 600}
            assert await it.call("ACCEPT_INVERSE_OFFERS", inverse_offer_ids=ids, filters=soon) == (202, "")
            await _says(master, it, "ACCEPT")
            ids = [(await _next_inverse_offer(it, inverse))["id"]]
            assert await it.call("DECLINE_INVERSE_OFFERS", inverse_offer_ids=ids, filters=late) == (202, "")
            await _says(master, it, "DECLINE")
            assert (await ask(master, "GET", "/maintenance/schedule"))[1] == {"windows": [window]}
            assert (await ask(master, "POST", "/maintenance/schedule", {"windows": []}))[0] == 200
            assert await ask(master, "GET", "/maintenance/schedule") == (200, {})


async def _says(master: str, it: Scheduler, answer: str) -> None:
    """Until the status of the machine shows the framework's answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        _, status = await ask(master, "GET", "/maintenance/status")
        said = [s for m in status.get("draining_machines", ()) for s in m.get("statuses", ())]
        if [(s["framework_id"]["value"], s["status"]) for s in said] == [(it.id, answer)]:
            return
        assert time.monotonic() < deadline, status
        await asyncio.sleep(0.02)


async def _next_inverse_offer(it: Scheduler, before: dict[str, Any]) -> dict[str, Any]:
    """An accepted inverse offer is made again, as the framework may change its mind."""
    event = await it.until(
        lambda e: e["type"] == "INVERSE_OFFERS" and before not in e["inverse_offers"]["inverse_offers"], "the next one"
    )
    offer: dict[str, Any] = event["inverse_offers"]["inverse_offers"][0]
    return offer


# Loss of agents


@pytest.mark.parametrize(("capabilities", "state"), [((), "TASK_LOST"), (("PARTITION_AWARE",), "TASK_UNREACHABLE")])
async def test_an_agent_that_is_away_and_comes_back(
    capabilities: tuple[str, ...], state: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With and without checkpointing: tasks do not depend on daemons."""
    with stage(tmp_path_factory.mktemp("loss"), ("r1",), *LOSING) as its:
        async with framework(its.master.url, *capabilities, checkpoint=False) as it:
            await it.launch((await it.offers(1))[0], task("kept"))
            await _first(it, "kept")
            await it.acknowledge(await it.status("kept", "TASK_RUNNING"))
            await its.kill_agent("r1")
            away = await it.status("kept", state)
            assert (away["reason"], away["source"]) == ("REASON_AGENT_REMOVED", "SOURCE_MASTER")
            assert away["unreachable_time"]
            assert (await it.event("FAILURE"))["agent_id"] == away["agent_id"]
            asked = [{"task_id": {"value": "kept"}, "agent_id": away["agent_id"]}]
            assert await it.call("RECONCILE", tasks=asked) == (202, "")
            told = await it.status("kept", state, reason="REASON_RECONCILIATION")
            assert told["message"] == "Reconciliation: Task is unreachable"
            assert told["unreachable_time"] == away["unreachable_time"]
            await its.start_agent("r1")
            back = await it.status("kept", "TASK_RUNNING", reason="REASON_AGENT_REREGISTERED")
            assert back["agent_id"] == away["agent_id"]


# Executors


class Speaker:
    """Speaks for an executor process."""

    def __init__(self, http: HttpClient, executor: Executor) -> None:
        self._http = http
        self._executor = executor
        self.stream: Stream | None = None

    async def call(self, agent: str, kind: str, **body: Any) -> tuple[int, str]:
        content = json.dumps({"type": kind, **self._executor.ids, kind.lower(): body}).encode()
        answer = await self._http.request("POST", agent + "/api/v1/executor", headers=HEADERS, body=content)
        return answer.status, answer.body.decode()

    async def subscribe(self, agent: str, **body: Any) -> None:
        content = json.dumps({"type": "SUBSCRIBE", **self._executor.ids, "subscribe": body}).encode()
        live = await self._http.stream("POST", agent + "/api/v1/executor", headers=HEADERS, body=content)
        assert live.status == 200, await live.read()
        self.stream = Stream(live)

    async def event(self, kind: str) -> dict[str, Any]:
        """The body of the first event of a kind on the latest stream."""
        assert self.stream is not None
        deadline = time.monotonic() + PATIENCE
        while not (found := [event for event in self.stream.events if event["type"] == kind]):
            assert time.monotonic() < deadline, f"no {kind}: {self.stream.events}"
            await asyncio.sleep(0.005)
        body: dict[str, Any] = found[0][kind.lower()]
        return body


async def test_an_executor_outlives_its_agent_and_tells_what_it_could_not(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    patient = ["--executor-reregistration-timeout", "60secs"]
    with (
        stage(tmp_path_factory.mktemp("executor"), ("r1",), *QUICK, agent=patient) as its,
        TemporaryDirectory() as directory,
    ):
        started: asyncio.Queue[Executor] = asyncio.Queue()

        async def play(_: str, executor: Executor) -> None:
            await started.put(executor)

        names = Names()
        executors = Executors(Path(directory), names, play)
        await executors.start(["outlives"])
        async with framework(its.master.url, "PARTITION_AWARE") as it:
            offer = (await it.offers(1))[0]
            info = {
                "executor_id": {"value": "outlives"},
                "framework_id": {"value": it.id},
                "command": {"value": names[PROGRAM + "outlives"]},
                "resources": task("any")["resources"],
            }
            mine = {k: v for k, v in task("mine").items() if k != "command"}
            await it.launch(offer, {**mine, "executor": info})
            http = HttpClient()
            speaker = Speaker(http, executor := await started.get())
            agent = its.agents["r1"]
            await speaker.subscribe(agent.url)
            launched = (await speaker.event("LAUNCH"))["task"]
            running = {**_status("TASK_RUNNING"), "task_id": launched["task_id"]}
            assert await speaker.call(agent.url, "UPDATE", status=running) == (202, "")
            assert (await speaker.event("ACKNOWLEDGED"))["uuid"] == running["uuid"]
            told = await it.status("mine", "TASK_RUNNING")
            assert told["uuid"] == running["uuid"]

            await its.kill_agent("r1")
            await its.start_agent("r1")
            finished = {**_status("TASK_FINISHED"), "task_id": launched["task_id"]}
            update = {"status": finished}
            await speaker.subscribe(agent.url, unacknowledged_tasks=[launched], unacknowledged_updates=[update])
            assert (await speaker.event("SUBSCRIBED"))["executor_info"]["executor_id"] == {"value": "outlives"}
            assert (await speaker.event("ACKNOWLEDGED"))["uuid"] == finished["uuid"]
            await it.acknowledge(told)
            last = await it.status("mine", "TASK_FINISHED")
            assert (last["uuid"], last["source"]) == (finished["uuid"], "SOURCE_EXECUTOR")
            await it.acknowledge(last)
            assert it.heard("FAILURE") == []
            executor.exit(3)
            failure = await it.event("FAILURE")
            assert (failure["executor_id"], failure["status"]) == ({"value": "outlives"}, 3 << 8)
            assert speaker.stream is not None
            await speaker.stream.close()
            http.close()
        await executors.stop()


def _status(state: str) -> dict[str, Any]:
    uuid = base64.b64encode(os.urandom(16)).decode()
    return {"state": state, "source": "SOURCE_EXECUTOR", "uuid": uuid, "timestamp": time.time()}
