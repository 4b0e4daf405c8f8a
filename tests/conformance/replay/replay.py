"""One transcript against our daemons: what each kind of entry asks for. Requests are sent in their order."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

from headrace.kernel.http import ClientResponse, HttpClient
from tests.conformance.differences import Difference
from tests.conformance.replay import operators
from tests.conformance.replay.events import SOON, Events
from tests.conformance.replay.names import Names
from tests.conformance.replay.offers import Offers
from tests.conformance.replay.recording import Entry, Recording
from tests.conformance.replay.stage import Stage
from tests.conformance.replay.streams import Stream
from tests.conformance.replay.verdict import Verdict

SURELY_BEFORE = 0.1
"""Seconds: an event that was noted so much before a request was not caused by it."""


class Replay:
    """One transcript. ``run`` raises AssertionError that shows all unexpected differences."""

    def __init__(self, name: str, stage: Stage, http: HttpClient, names: Names | None = None) -> None:
        self.name = name
        self.recording = Recording(name)
        self.stage = stage
        self.http = http
        self.names = names or Names()
        self.verdict = Verdict(self.recording, self.names)
        self._streams: dict[str, Stream] = {}
        self._offers = Offers(self.recording, self.names, self._streams)
        self.events = Events(self.recording, self.names, self._streams, self._offers, self.verdict)
        self.events.give_back = self._give_back
        self._uuids = self.recording.updates()
        self._held = False
        self._killed = ""

    async def run(self) -> None:
        """Replay all entries."""
        self._bind_agents()
        try:
            for number, entry in enumerate(self.recording.entries):
                await self._step(number, entry)
            await self.events.catch_up()
            self.events.check_the_rest()
        except AssertionError as end:
            self.verdict.found.append(f"the replay ends here: {end}")
        finally:
            if self._held:
                self.stage.release_agents()
            for stream in self._streams.values():
                await stream.close()
        found = self.verdict.found
        assert not found, f"{len(found)} differences in {self.name}:\n" + "\n".join(found)

    def _bind_agents(self) -> None:
        live = self.stage.agent_ids()
        for recorded, rack in self.recording.racks.items():
            self.names.bind(recorded, live[rack])

    async def _step(self, number: int, entry: Entry) -> None:
        what = f"[{number}] {entry.get('label') or entry['kind']}"
        match entry["kind"]:
            case "http-stream-open" | "http":
                await self._before(entry)
                meant = self.verdict.meant(str(entry.get("label")), f"{entry.get('label')} [{number}]")
                if not meant.skip:
                    await self._send(entry, what, meant)
            case "event":
                if self._held and entry["event"]["type"] in ("OFFERS", "UPDATE"):
                    await self._release_agents()
                self.events.expect(number, entry, what)
            case "stream-closed":
                await self._closed(number, entry, what)
            case "note":
                await self._note(number, entry["text"])

    # Requests

    async def _before(self, entry: Entry) -> None:
        """What was there surely before this request has to be here as well."""
        await self.events.catch_up(until=entry["t"] - SURELY_BEFORE)
        body = entry["request"].get("body")
        if isinstance(body, dict) and str(body.get("type")).startswith("RECONCILE"):
            await self.events.reliable()  # what it asks about was told before

    async def _send(self, entry: Entry, what: str, meant: Difference) -> None:
        if operators.is_operators(entry["request"]):
            await operators.replay(self, entry, what, meant)
        elif entry["kind"] == "http-stream-open":
            await self.open(entry, what, meant)
        else:
            await self._request(entry, what, meant)

    async def open(self, entry: Entry, what: str, meant: Difference) -> None:
        """Open a stream of events."""
        request, recorded = entry["request"], entry["response"]
        live = await self.http.stream(
            request.get("method", "POST"), self._url(entry), headers=self._headers(request), body=self._body(request)
        )
        self.verdict.same(what, "status", recorded["status"], live.status, meant)
        if live.status != 200:
            text = (await live.read()).decode()
            live.close()
            self.verdict.same(what, "body", recorded.get("body"), text, meant)
            return
        for header in ("Content-Type", "Transfer-Encoding"):
            same = live.headers.get(header.lower()) == recorded["headers"].get(header)
            self.verdict.expect(same, f"{what}: {header}")
        self._bind_stream_id(recorded["headers"], live.headers, what)
        self._streams[entry["stream"]] = Stream(live)

    def _bind_stream_id(self, recorded: dict[str, str], live: dict[str, str], what: str) -> None:
        there = "mesos-stream-id" in live
        self.verdict.expect(("Mesos-Stream-Id" in recorded) == there, f"{what}: whether there is a Mesos-Stream-Id")
        if "Mesos-Stream-Id" in recorded and there:
            self.names.bind(recorded["Mesos-Stream-Id"], live["mesos-stream-id"])

    async def _request(self, entry: Entry, what: str, meant: Difference) -> None:
        body = entry["request"].get("body")
        await self.bind_framework(body, what)
        await self._bind_update(body, what)
        bound = await self._bind_offers(body, what)
        answer = await self.ask(entry)
        self.check(entry, answer, what, meant)
        if answer.status // 100 != 2:
            self._offers.refused(bound)
        elif entry["response"]["status"] // 100 == 2:
            self._offers.answered(body)
            if _is_teardown(entry):
                await self.torn_down(body, what)

    async def ask(self, entry: Entry) -> ClientResponse:
        """Send the request of an entry."""
        request = entry["request"]
        return await self.http.request(
            request["method"], self._url(entry), headers=self._headers(request), body=self._body(request)
        )

    def check(self, entry: Entry, answer: ClientResponse, what: str, meant: Difference) -> None:
        """Compare an answer: status, headers that matter, and the body if it is a text."""
        recorded = entry["response"]
        self.verdict.same(what, "status", recorded["status"], answer.status, meant)
        if isinstance(recorded["body"], str):
            self.verdict.same(what, "body", recorded["body"], answer.body.decode(), meant)
        for header in ("Allow", "Content-Type") if meant.status is None else ():
            live = answer.headers.get(header.lower())
            self.verdict.expect(live == recorded["headers"].get(header), f"{what}: {header} is {live!r}")

    def same_answer(self, entry: Entry, answer: ClientResponse, what: str, meant: Difference) -> None:
        """Compare an answer to an operator if it is JSON."""
        if isinstance(entry["response"]["body"], dict) and meant.status is None:
            self.verdict.same_answer(what, entry["response"]["body"], answer.json(), meant.left_out)

    def _url(self, entry: Entry) -> str:
        return self.server() + self.names.live(str(entry["request"].get("path", "/api/v1/scheduler")))

    def server(self) -> str:
        """The live counterpart of the daemon that requests went to."""
        return self.stage.master.url

    def _headers(self, request: dict[str, Any]) -> dict[str, str]:
        dropped = ("Host", "Connection", "Content-Length")
        return {k: self.names.live(v) for k, v in request["headers"].items() if k not in dropped}

    def _body(self, request: dict[str, Any]) -> bytes:
        body: Any = request.get("body")
        if isinstance(body, dict) and "_base64" in body:
            return base64.b64decode(body["_base64"])
        if "body_base64" in request:
            return base64.b64decode(request["body_base64"])
        if body is None:
            return b""
        return self.names.live(body if isinstance(body, str) else json.dumps(self._offers.put_in(body))).encode()

    # What requests refer to

    async def bind_framework(self, body: Any, what: str) -> None:
        """A framework that calls has to be subscribed first."""
        recorded = ((body.get("framework_id") or {}) if isinstance(body, dict) else {}).get("value")
        if recorded in self.recording.frameworks:
            await self._bound(str(recorded), f"{what}: the framework's id")

    async def _bind_update(self, body: Any, what: str) -> None:
        """An update that is acknowledged has to be here first."""
        if not isinstance(body, dict):
            return
        for kind in ("acknowledge", "acknowledge_operation_status"):
            uuid = (body.get(kind) or {}).get("uuid")
            if uuid in self._uuids:
                await self._bound(uuid, f"{what}: the update that it acknowledges")

    async def _bound(self, recorded: str, what: str) -> None:
        if recorded not in self.names:
            await self.events.until(lambda: recorded in self.names, what)

    async def _bind_offers(self, body: Any, what: str) -> list[str]:
        """Every recorded offer that the request names gets the live ones of its agent; returns these recorded ones."""
        unbound = self._offers.unbound(body)
        for recorded in unbound:
            framework = self.names[body["framework_id"]["value"]]
            await self.events.announced(recorded)
            if not self._offers.take(framework, recorded):
                await self._give_back(framework, self.recording.offers[recorded]["agent_id"]["value"])
                await self._wait_for_offers(framework, recorded, what)
        return unbound

    async def _wait_for_offers(self, framework: str, recorded: str, what: str) -> None:
        """Offers of as much as was recorded; if that does not come soon, of anything."""
        soon = time.monotonic() + SOON

        def taken() -> bool:
            return self._offers.take(framework, recorded, any_amount=time.monotonic() > soon)

        await self.events.until(taken, f"{what}: an offer of the agent for {recorded}")

    async def _give_back(self, framework: str, agent: str) -> None:
        await self._offers.give_back(framework, agent, self.http, self.stage.master.url)

    async def torn_down(self, body: dict[str, Any], what: str) -> None:
        """The streams of a framework that was torn down end."""
        torn = self.names.live((body.get("teardown") or body)["framework_id"]["value"])
        streams = [stream for stream in self._streams.values() if stream.framework_id == torn]
        await self.events.until(lambda: all(stream.ended for stream in streams), f"{what}: the end of its stream")

    # Ends and notes

    async def _closed(self, number: int, entry: Entry, what: str) -> None:
        """The end of a stream: ours, the master's after an ERROR, or by the TEARDOWN that was recorded after it."""
        stream = self._streams.get(entry["stream"])
        if stream is None:
            return
        following = next((e for e in self.recording.entries[number + 1 :] if e["kind"].startswith("http")), None)
        if following is not None and _is_teardown(following):
            return
        await self.events.catch_up(until=entry["t"])
        if self._held or (stream.events and stream.events[-1]["type"] == "ERROR"):
            await self.events.until(lambda: stream.ended, f"{what}: the master ends the stream")
        else:
            await stream.close()
            await asyncio.sleep(0.05)

    async def _note(self, number: int, text: str) -> None:
        """Do what a note says that was done to the daemons."""
        if text.startswith("kill -9 of"):
            await self.events.catch_up()
            if "master" in text:
                self._held = True
                await self.stage.restart_master()
            else:
                self._killed = self.recording.rack_of_loss(number)
                await self.stage.kill_agent(self._killed)
        elif text.startswith(("restart of the agent", "agent 1 starts again")):
            await self.events.catch_up()
            await self.stage.start_agent(self._killed)
            await asyncio.to_thread(self.stage.wait_for_agents)
        elif text == "SIGUSR1":
            await self.events.catch_up()
            self.stage.shut_agent_down(self.recording.rack_of_loss(number))

    async def _release_agents(self) -> None:
        """Here the agents of the recording had noticed that the master is another one."""
        self._held = False
        self.stage.release_agents()
        await asyncio.to_thread(self.stage.wait_for_agents)


def _is_teardown(entry: Entry) -> bool:
    body = entry["request"].get("body")
    return isinstance(body, dict) and body.get("type") == "TEARDOWN"
