"""Transcripts of the operator API and the v0 endpoints: lists in answers may be in any order.

What happened beside a transcript (a framework that runs tasks) is done again by a play of its own.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from headrace.kernel.http import ClientResponse, HttpClient
from tests.conformance.differences import METRICS_LEFT_OUT, Difference
from tests.conformance.replay import compare
from tests.conformance.replay.operators import is_operators
from tests.conformance.replay.recording import Entry
from tests.conformance.replay.replay import Replay
from tests.conformance.replay.stage import Stage
from tests.conformance.scheduler import PATIENCE, Scheduler, subscribe, task

Act = Callable[[], Awaitable[None]]

_MASTER = "c8fa3d30-545a-4a68-88a5-27cdd8f559a4"
"""The id of the master that these were recorded of, but for the eighth."""
_JSONP = re.compile(r"cb\((.*)\);", re.DOTALL)


class OperatorReplay(Replay):
    """One transcript; ``acts`` are what a play does before the entries of these numbers."""

    def __init__(self, name: str, stage: Stage, http: HttpClient) -> None:
        super().__init__(name, stage, http)
        self._framework: Scheduler | None = None
        self._answered: set[str] = set()
        plays: dict[str, dict[int, Act]] = {
            "oper_01_master_gets": {0: self._tasks_of_the_first, 28: self._tear_down},
            "oper_03_master_subscribe": {
                3: self._framework_of_the_third,
                4: self._launch_one,
                8: self._launch_a_group,
                12: self._rename,
                13: self._come_back,
                14: self._tear_down,
            },
            "oper_08_v0_master": {17: self._offers_of_the_eighth, 35: self._nothing},
        }
        self._acts = plays.get(name, {})

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            if self._framework is not None:
                await self._framework.call("TEARDOWN")
                await self._framework.stream.close()

    async def _step(self, number: int, entry: Entry) -> None:
        if (act := self._acts.get(number)) is not None:
            await self.events.catch_up()
            await act()
        if act != self._nothing:
            await super()._step(number, entry)

    # Answers

    async def ask(self, entry: Entry) -> ClientResponse:
        """Send the request; again while it is too early for the recorded answer."""
        answer = await super().ask(entry)
        deadline = time.monotonic() + PATIENCE
        while "after the duration" in str(entry.get("label")) and time.monotonic() < deadline:
            if answer.json() == entry["response"]["body"]:
                break
            await asyncio.sleep(0.1)
            answer = await super().ask(entry)
        return answer

    def check(self, entry: Entry, answer: ClientResponse, what: str, meant: Difference) -> None:
        recorded = entry["response"]
        if isinstance(recorded["body"], str) and recorded["body"].startswith("cb("):
            # as JSON it is compared elsewhere
            padded = _JSONP.fullmatch(answer.body.decode())
            self.verdict.expect(padded is not None and bool(json.loads(padded[1])), f"{what}: {answer.body[:100]!r}")
            self.verdict.expect(answer.headers["content-type"] == recorded["headers"]["Content-Type"], what)
            return
        super().check(entry, answer, what, meant)
        if not is_operators(entry["request"]):
            self.same_answer(entry, answer, what, meant)

    def same_answer(self, entry: Entry, answer: ClientResponse, what: str, meant: Difference) -> None:
        recorded = entry["response"]["body"]
        if isinstance(recorded, dict | list) and meant.status is None:
            self._same_answer(recorded, answer.json(), what)

    def _same_answer(self, recorded: Any, live: Any, what: str) -> None:
        if any(name.startswith("allocator/") for name in recorded if isinstance(recorded, dict)):
            self._same_metrics(recorded, live, what)
        elif isinstance(recorded, dict) and recorded.get("type") == "GET_METRICS":
            self._same_metrics(_metrics(recorded), _metrics(live), what)
        else:
            self.verdict.same_answer(what, recorded, live)

    def _same_metrics(self, recorded: dict[str, float], live: dict[str, float], what: str) -> None:
        """Every recorded metric is there, but for those that ours do not count."""
        names = (self.names.live(name) for name in recorded if not METRICS_LEFT_OUT.search(name))
        lacking = [name for name in names if name not in live]
        self.verdict.expect(not lacking, f"{what}: no metrics {lacking}")

    # Plays

    async def _subscribe(self, number: int, name: str, **more: Any) -> Scheduler:
        framework = self._framework = await subscribe(self.http, self.stage.master.url, name=name, **more)
        self.names.bind(f"{_MASTER}-{number:04d}", framework.id)
        self.names.bind(_MASTER, framework.id.rpartition("-")[0])
        return framework

    def _of(self, rack: str) -> dict[str, str]:
        return {"value": self.stage.agent_ids()[rack]}

    async def _tasks_of_the_first(self) -> None:
        """Two that have ended, two that run, an offer of one agent and none of the other."""
        framework = await self._subscribe(0, "anchor")
        await self._launch(framework, "r2", _task("op-done", "true"))
        await self._settled(framework, {"op-done": "TASK_FINISHED"})
        await self._launch(framework, "r1", _task("op-fail", "exit 1"))
        await self._settled(framework, {"op-fail": "TASK_FAILED"})
        await self._launch(framework, "r2", _task("op-task-0"), _task("op-task-1"))
        await self._settled(framework, {"op-task-0": "TASK_RUNNING", "op-task-1": "TASK_RUNNING"})
        await self._decline(framework, await self._offered(framework, "r2", 7800), 600)
        offers = await self._offered(framework, "r1", 8000)
        if len(offers) > 1:
            await self._decline(framework, offers, 0)
            await self._offered(framework, "r1", 8000)

    async def _offered(self, framework: Scheduler, rack: str, cpus: int) -> list[dict[str, Any]]:
        """The offers of an agent that have not been answered, once they have so many thousandths of cpus in all."""
        deadline = time.monotonic() + PATIENCE
        while True:
            all_offers = [o for o in framework.stream.outstanding() if o["agent_id"] == self._of(rack)]
            offers = [offer for offer in all_offers if offer["id"]["value"] not in self._answered]
            amounts = compare.amounts(offers)
            if amounts["cpus"] == cpus:
                return offers
            assert time.monotonic() < deadline, f"not {cpus} of {rack} offered, but {amounts}"
            await asyncio.sleep(0.01)

    async def _decline(self, framework: Scheduler, offers: list[dict[str, Any]], seconds: float) -> None:
        ids = [offer["id"] for offer in offers]
        self._answered.update(one["value"] for one in ids)
        assert await framework.call("DECLINE", offer_ids=ids, filters={"refuse_seconds": seconds}) == (202, "")

    async def _launch(self, framework: Scheduler, rack: str, *tasks: dict[str, Any]) -> None:
        infos = [{**one, "agent_id": self._of(rack)} for one in tasks]
        await self._accept(framework, rack, {"type": "LAUNCH", "launch": {"task_infos": infos}})

    async def _accept(self, framework: Scheduler, rack: str, operation: dict[str, Any]) -> None:
        """Accept all that is offered of an agent on which nothing runs."""
        ids = [offer["id"] for offer in await self._offered(framework, rack, 8000)]
        self._answered.update(one["value"] for one in ids)
        body = {"offer_ids": ids, "operations": [operation], "filters": {"refuse_seconds": 0.0}}
        assert await framework.call("ACCEPT", **body) == (202, "")

    async def _settled(self, framework: Scheduler, states: dict[str, str]) -> None:
        """The tasks are in these states, and all that was said of them is acknowledged."""
        done: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        reached: dict[str, str] = {}
        while any(reached.get(name) != state for name, state in states.items()):
            assert time.monotonic() < deadline, f"{reached} instead of {states}: {framework.heard('UPDATE')[-2:]}"
            for body in framework.heard("UPDATE"):
                status = body["status"]
                if status.get("uuid") and status["uuid"] not in done:
                    done.add(status["uuid"])
                    await framework.acknowledge(status)
                    reached[status["task_id"]["value"]] = status["state"]
            await asyncio.sleep(0.005)

    async def _tear_down(self) -> None:
        assert self._framework is not None
        assert await self._framework.call("TEARDOWN") == (202, "")

    async def _framework_of_the_third(self) -> None:
        await self._subscribe(2, "ev-fw")

    async def _offers_of_the_eighth(self) -> None:
        """What came free then was not offered yet."""
        stream = self._streams["v0-fw"]
        self._framework = Scheduler(self.http, self.stage.master.url + "/api/v1/scheduler", stream)
        self._framework.id = stream.framework_id
        self._answered.update(live["id"]["value"] for live in stream.outstanding() if not self._is_out(live))
        await self._decline(self._framework, await self._offered(self._framework, "r2", 7900), 600)
        offers = await self._offered(self._framework, "r1", 8000)
        await self._decline(self._framework, [one for one in offers if compare.amounts([one])["cpus"] == 100], 600)

    async def _nothing(self) -> None:
        """In place of offers that came with a tick of a clock, of what was declined here."""

    def _is_out(self, offer: dict[str, Any]) -> bool:
        """Whether a live offer was not answered in the transcript."""
        return any(offer["id"] == one["id"] for one in self._offers.outstanding(self._recorded_agent(offer)))

    def _recorded_agent(self, offer: dict[str, Any]) -> str:
        live = offer["agent_id"]["value"]
        return next(recorded for recorded in self.recording.racks if self.names[recorded] == live)

    async def _launch_one(self) -> None:
        assert self._framework is not None
        await self._launch(self._framework, "r2", _task("ev-1", "true"))
        await self._settled(self._framework, {"ev-1": "TASK_FINISHED"})

    async def _launch_a_group(self) -> None:
        framework = self._framework
        assert framework is not None
        executor = {
            "type": "DEFAULT",
            "executor_id": {"value": "ev-ex"},
            "framework_id": {"value": framework.id},
            "resources": [*_task("")["resources"], {"name": "disk", "type": "SCALAR", "scalar": {"value": 32}}],
        }
        tasks = [{**_task("ev-2", "true"), "agent_id": self._of("r1")}]
        group = {"executor": executor, "task_group": {"tasks": tasks}}
        await self._accept(framework, "r1", {"type": "LAUNCH_GROUP", "launch_group": group})
        await self._settled(framework, {"ev-2": "TASK_FINISHED"})

    def _info(self) -> dict[str, Any]:
        (entry,) = [e for e in self.recording.entries if (e.get("event") or {}).get("type") == "FRAMEWORK_REMOVED"]
        text = json.dumps(entry["event"]["framework_removed"]["framework_info"])
        info: dict[str, Any] = json.loads(self.names.live(text))
        return info

    async def _rename(self) -> None:
        assert self._framework is not None
        assert await self._framework.call("UPDATE_FRAMEWORK", framework_info=self._info()) == (200, "")

    async def _come_back(self) -> None:
        assert self._framework is not None
        await self._framework.stream.close()
        self._framework = await subscribe(self.http, self.stage.master.url, **self._info())


def _task(task_id: str, command: str = "sleep 300") -> dict[str, Any]:
    one = task(task_id, command)
    one["resources"][1]["scalar"] = {"value": 32}
    return one


def _metrics(answer: dict[str, Any]) -> dict[str, float]:
    return {metric["name"]: metric["value"] for metric in answer["get_metrics"]["metrics"]}
