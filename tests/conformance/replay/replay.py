"""One transcript against our daemons: what each kind of entry asks for.

Requests are sent in their order. An event may have been noted before the request that caused it, as the
answer of that was noted later; so events that do not come at once are waited for after what follows.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import time
from itertools import pairwise
from typing import Any

from headrace.kernel.http import ClientResponse, HttpClient
from tests.conformance.differences import DIFFERENCES, FIELDS, SAME, Difference
from tests.conformance.replay import compare, operators
from tests.conformance.replay.names import Names
from tests.conformance.replay.recording import Entry, Recording, key_of, uuid_of
from tests.conformance.replay.stage import Stage
from tests.conformance.replay.streams import Stream

PATIENCE, IMPATIENCE = 8.0, 4.0
"""Seconds until what was recorded must have come; the shorter ones once something has not come."""
SOON = 2.0
"""Seconds in which what tasks held is offered again."""
SURELY_BEFORE = 0.1
"""Seconds: an event that was noted so much before a request was not caused by it."""


class Awaited:
    """A recorded event that has not been compared yet; ``reserved`` is what should be on offer reserved by then.

    ``now`` says what is there instead.
    """

    def __init__(self, number: int, entry: Entry, what: str, reserved: dict[str, dict[str, float]]) -> None:
        self.number, self.entry, self.what, self.reserved = number, entry, what, reserved
        self.now = ""
        self.key = key_of(entry["event"])
        self.queue = (entry["stream"], self.key)


class Replay:
    """One transcript. ``run`` raises AssertionError that shows all unexpected differences."""

    def __init__(self, name: str, stage: Stage, http: HttpClient, names: Names | None = None) -> None:
        self.name = name
        self.recording = Recording(name)
        self.stage = stage
        self.http = http
        self.names = names or Names()
        self.compared = 0
        self.found: list[str] = []
        self._streams: dict[str, Stream] = {}
        self._waiting: list[Awaited] = []
        self._uuids = self.recording.updates()
        self._known_uuids: set[str] = set()
        self._bound: dict[str, list[str]] = {}
        self._used: set[str] = set()
        self._outstanding: dict[str, dict[str, Any]] = {}
        self._sources: dict[str, str] = {}
        self._held = False
        self._killed = ""

    async def run(self) -> None:
        """Replay all entries."""
        self._bind_agents()
        try:
            for number, entry in enumerate(self.recording.entries):
                await self._step(number, entry)
            await self._catch_up()
            self._check_the_rest()
        except AssertionError as end:
            self.found.append(f"the replay ends here: {end}")
        finally:
            if self._held:
                self.stage.release_agents()
            for stream in self._streams.values():
                await stream.close()
        assert not self.found, f"{len(self.found)} differences:\n" + "\n".join(self.found)

    def expect(self, condition: bool, what: str) -> None:
        """Note a difference, if the condition does not hold."""
        self.compared += 1
        if not condition:
            self.found.append(what)

    def _bind_agents(self) -> None:
        live = self.stage.agent_ids()
        for recorded, rack in self.recording.racks.items():
            self.names.bind(recorded, live[rack])

    async def _step(self, number: int, entry: Entry) -> None:
        what = f"{self.name}[{number}] {entry.get('label') or entry['kind']}"
        match entry["kind"]:
            case "http-stream-open" | "http":
                await self._before(entry)
                if not self._difference(entry).skip:
                    await self._send(entry, what)
            case "event":
                if self._held and entry["event"]["type"] in ("OFFERS", "UPDATE"):
                    await self._release_agents()
                self._expect(number, entry, what)
            case "stream-closed":
                await self._closed(number, entry, what)
            case "note":
                await self._note(number, entry["text"])

    # Requests

    async def _before(self, entry: Entry) -> None:
        """What was there surely before this request has to be here as well."""
        await self._catch_up(until=entry["t"] - SURELY_BEFORE)
        body = entry["request"].get("body")
        if isinstance(body, dict) and str(body.get("type")).startswith("RECONCILE"):
            reliable = [a.entry["t"] for a in self._waiting if uuid_of(a.entry["event"])]
            await self._catch_up(until=max(reliable, default=0.0))  # what it asks about was told before

    async def _send(self, entry: Entry, what: str) -> None:
        request = entry["request"]
        if operators.is_operators(request):
            await operators.replay(self, entry, what)
        elif entry["kind"] == "http-stream-open":
            await self.open(entry, what)
        else:
            await self._request(entry, what)

    async def open(self, entry: Entry, what: str) -> None:
        """Open a stream of events."""
        request, recorded = entry["request"], entry["response"]
        live = await self.http.stream(
            request.get("method", "POST"), self._url(entry), headers=self._headers(request), body=self._body(request)
        )
        self._same(what, "status", recorded["status"], live.status, entry)
        if live.status != 200:
            text = (await live.read()).decode()
            live.close()
            self._same(what, "body", recorded.get("body"), text, entry)
            return
        for header in ("Content-Type", "Transfer-Encoding"):
            self.expect(live.headers.get(header.lower()) == recorded["headers"].get(header), f"{what}: {header}")
        self._bind_stream_id(recorded["headers"], live.headers, what)
        self._streams[entry["stream"]] = Stream(live)

    def _bind_stream_id(self, recorded: dict[str, str], live: dict[str, str], what: str) -> None:
        there = "mesos-stream-id" in live
        self.expect(("Mesos-Stream-Id" in recorded) == there, f"{what}: whether there is a Mesos-Stream-Id")
        if "Mesos-Stream-Id" in recorded and there:
            self.names.bind(recorded["Mesos-Stream-Id"], live["mesos-stream-id"])

    async def _request(self, entry: Entry, what: str) -> None:
        request, recorded = entry["request"], entry["response"]
        await self._bind_framework(request.get("body"), what)
        await self._bind_update(request.get("body"), what)
        bound = await self._bind_offers(request.get("body"), what)
        answer = await self.ask(entry)
        self.check(entry, answer, what)
        if answer.status // 100 != 2:
            self._used -= bound  # a refused call leaves its offers as they were
        elif recorded["status"] // 100 == 2:
            self._forget_offers(request.get("body"))
            if _is_teardown(entry):
                await self._torn_down(request["body"], what)

    async def ask(self, entry: Entry) -> ClientResponse:
        """Send the request of an entry."""
        request = entry["request"]
        return await self.http.request(
            request["method"], self._url(entry), headers=self._headers(request), body=self._body(request)
        )

    def check(self, entry: Entry, answer: ClientResponse, what: str) -> None:
        """Compare an answer: status, headers that matter, and the body if it is a text."""
        recorded = entry["response"]
        self._same(what, "status", recorded["status"], answer.status, entry)
        if isinstance(recorded["body"], str):
            self._same(what, "body", recorded["body"], answer.body.decode(), entry)
        for header in ("Allow", "Content-Type") if self._difference(entry).status is None else ():
            live = answer.headers.get(header.lower())
            self.expect(live == recorded["headers"].get(header), f"{what}: {header} is {live!r}")

    def _url(self, entry: Entry) -> str:
        path = entry["request"].get("path", "/api/v1/scheduler")
        return self.server(entry) + str(path)

    def server(self, entry: Entry) -> str:
        """The live counterpart of the daemon that a request went to."""
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
        return self.names.live(body if isinstance(body, str) else json.dumps(self._with_offers(body))).encode()

    # What requests refer to

    async def _bind_framework(self, body: Any, what: str) -> None:
        """A framework that calls has to be subscribed first."""
        recorded = ((body.get("framework_id") or {}) if isinstance(body, dict) else {}).get("value")
        if recorded in self.recording.frameworks and recorded not in self.names:
            await self._until(lambda: recorded in self.names, f"{what}: the framework's id")

    async def _bind_update(self, body: Any, what: str) -> None:
        """An update that is acknowledged has to be here first."""
        if not isinstance(body, dict):
            return
        for kind in ("acknowledge", "acknowledge_operation_status"):
            uuid = (body.get(kind) or {}).get("uuid")
            if uuid in self._uuids and uuid not in self.names:
                await self._until(lambda u=uuid: u in self.names, f"{what}: the update that it acknowledges")

    async def _bind_offers(self, body: Any, what: str) -> set[str]:
        """Every recorded offer that the request names gets the live ones of its agent; returns these."""
        bound: set[str] = set()
        if not isinstance(body, dict):
            return bound
        for kind in ("accept", "decline"):
            for offer_id in (body.get(kind) or {}).get("offer_ids", ()):
                recorded = offer_id["value"]
                if recorded in self.recording.offers and recorded not in self._bound:
                    framework = self.names[body["framework_id"]["value"]]
                    await self._announced(recorded)
                    if not self._take_offers(framework, recorded):
                        await self._give_back(framework, self.recording.offers[recorded]["agent_id"]["value"])
                        await self._wait_for_offers(framework, recorded, what)
                    bound.update(self._bound[recorded])
        return bound

    async def _announced(self, recorded: str) -> None:
        """The event in which the offer was made has to be compared first."""
        times = [a.entry["t"] for a in self._waiting if recorded in json.dumps(a.entry["event"].get("offers", ""))]
        if times:
            await self._catch_up(until=max(times))

    async def _wait_for_offers(self, framework: str, recorded: str, what: str) -> None:
        """Offers of as much as was recorded; if that does not come soon, of anything."""
        soon = time.monotonic() + SOON

        def taken() -> bool:
            return self._take_offers(framework, recorded, any_amount=time.monotonic() > soon)

        await self._until(taken, f"{what}: an offer of the agent for {recorded}")

    async def _give_back(self, framework: str, agent: str) -> None:
        """Decline what other frameworks hold of the agent and did not hold in the recording: ours come at once."""
        held = {o["framework_id"]["value"] for o in self._outstanding.values() if o["agent_id"]["value"] == agent}
        others = {self.names.live(recorded) for recorded in self.recording.frameworks}
        for stream in self._streams.values():
            other = stream.framework_id
            if stream.ended or other in (framework, *map(self.names.live, held)) or other not in others:
                continue
            ids = [o["id"] for o in stream.outstanding() if o["agent_id"]["value"] == self.names[agent]]
            ids = [offer_id for offer_id in ids if offer_id["value"] not in self._used]
            self._used.update(offer_id["value"] for offer_id in ids)
            decline = {"offer_ids": ids, "filters": {"refuse_seconds": 600}}
            call = {"type": "DECLINE", "framework_id": {"value": other}, "decline": decline}
            headers = {"Content-Type": "application/json", "Mesos-Stream-Id": stream.live.headers["mesos-stream-id"]}
            url = self.stage.master.url + "/api/v1/scheduler"
            await self.http.request("POST", url, headers=headers, body=json.dumps(call).encode())

    def _take_offers(self, framework: str, recorded: str, any_amount: bool = False) -> bool:
        """All outstanding offers of the agent stand for a recorded one; those of the recorded role if there are any."""
        made = self.recording.offers[recorded]
        agent, role = made["agent_id"]["value"], made.get("allocation_info", {}).get("role", "")
        found = [
            offer
            for offer in self._live_offers(self.names[agent])
            if offer["framework_id"]["value"] == framework and offer["id"]["value"] not in self._used
        ]
        if not found:
            return False
        roles = [offer.get("allocation_info", {}).get("role", "") for offer in found]
        chosen = role if role in roles else roles[0]
        found = [o for o, r in zip(found, roles, strict=True) if r == chosen]
        if not any_amount and not compare.amounts([made]) <= compare.amounts(found):
            return False
        self._bound[recorded] = [offer["id"]["value"] for offer in found]
        self.names.bind(recorded, self._bound[recorded][0])
        self._used.update(self._bound[recorded])
        return True

    def _live_offers(self, agent: str) -> list[dict[str, Any]]:
        streams = [stream for stream in self._streams.values() if not stream.ended]
        return [o for stream in streams for o in stream.outstanding() if o["agent_id"]["value"] == agent]

    def _with_offers(self, body: Any) -> Any:
        """The body with all live offers in the place of a recorded one."""
        if not isinstance(body, dict) or not self._bound:
            return body
        body = copy.deepcopy(body)
        for kind in ("accept", "decline"):
            part = body.get(kind) or {}
            if part.get("offer_ids"):
                ids = [live for o in part["offer_ids"] for live in self._bound.get(o["value"], [o["value"]])]
                part["offer_ids"] = [{"value": value} for value in ids]
        return body

    def _forget_offers(self, body: Any) -> None:
        """Offers that were answered are no more outstanding in the recording."""
        for kind in ("accept", "decline") if isinstance(body, dict) else ():
            for offer_id in (body.get(kind) or {}).get("offer_ids", ()):
                self._outstanding.pop(offer_id["value"], None)

    async def _torn_down(self, body: dict[str, Any], what: str) -> None:
        """The streams of a framework that was torn down end."""
        torn = self.names.live((body.get("teardown") or body)["framework_id"]["value"])
        streams = [stream for stream in self._streams.values() if stream.framework_id == torn]
        await self._until(lambda: all(stream.ended for stream in streams), f"{what}: the end of its stream")

    # Events

    def _expect(self, number: int, entry: Entry, what: str) -> None:
        event = entry["event"]
        if entry.get("stream") not in self._streams:
            return  # of a stream that a difference left out
        kind = event["type"]
        for offer in event.get("offers", {}).get("offers", ()):
            self._outstanding[offer["id"]["value"]] = offer
        if kind == "RESCIND":
            self._outstanding.pop(event["rescind"]["offer_id"]["value"], None)
        if kind == "UPDATE" and event["update"]["status"].get("uuid") in self._known_uuids:
            return  # sent again, because it was not acknowledged in time
        if uuid := uuid_of(event):
            self._known_uuids.add(uuid)
        self._waiting.append(Awaited(number, entry, f"{what} {kind}", self._reserved(event)))

    def _reserved(self, event: dict[str, Any]) -> dict[str, dict[str, float]]:
        agents = {offer["agent_id"]["value"] for offer in event.get("offers", {}).get("offers", ())}
        return {
            agent: compare.reserved(o for o in self._outstanding.values() if o["agent_id"]["value"] == agent)
            for agent in agents
        }

    async def _catch_up(self, until: float = float("inf"), but: str = "") -> None:
        """Wait for the events that were noted before ``until``, but for those of one key.

        Those that do not come are differences.
        """
        deadline, soon = time.monotonic() + self._patience, time.monotonic() + SOON / 4
        while True:
            self._compare_what_came()
            due = [awaited for awaited in self._waiting if awaited.entry["t"] <= until and awaited.key != but]
            if not due:
                return
            if time.monotonic() > deadline:
                self.found += [f"{a.what}: not within {self._patience} s{a.now}; {self._heard()}" for a in due]
                self._waiting = [awaited for awaited in self._waiting if awaited not in due]
                return
            if time.monotonic() > soon:
                soon = float("inf")
                await self._give_back_for(due)
            await asyncio.sleep(0.005)

    async def _give_back_for(self, due: list[Awaited]) -> None:
        """Others may hold what should be offered."""
        for awaited in due:
            for offer in awaited.entry["event"].get("offers", {}).get("offers", ()):
                if offer["framework_id"]["value"] in self.names:
                    await self._give_back(self.names[offer["framework_id"]["value"]], offer["agent_id"]["value"])

    @property
    def _patience(self) -> float:
        return IMPATIENCE if self.found else PATIENCE

    def _compare_what_came(self) -> None:
        behind: set[tuple[str, str]] = set()
        waiting, self._waiting = self._waiting, []
        for awaited in waiting:
            if awaited.queue in behind or not self._event(awaited):
                behind.add(awaited.queue)
                self._waiting.append(awaited)

    async def _until(self, condition: Any, what: str) -> None:
        deadline = time.monotonic() + self._patience
        while not condition():
            assert time.monotonic() < deadline, f"not within {self._patience} s: {what}; {self._heard()}"
            self._compare_what_came()
            await asyncio.sleep(0.005)

    def _heard(self) -> str:
        lines = [f"\n  {name}: {', '.join(map(_brief, s.events[-12:]))}" for name, s in self._streams.items()]
        return "what came last:" + "".join(lines)

    def _event(self, awaited: Awaited) -> bool:
        """Compare a recorded event with its live counterpart; False if that has not come."""
        stream, recorded = self._streams[awaited.entry["stream"]], awaited.entry["event"]
        match recorded["type"]:
            case "HEARTBEAT":
                return self._heartbeat(stream, awaited)
            case "OFFERS":
                return self._offers(stream, awaited)
            case "UPDATE":
                return self._update(stream, awaited)
            case "RESCIND":
                return self._rescind(stream, awaited)
            case "INVERSE_OFFERS":
                return self._inverse_offers(stream, awaited)
        live = stream.take(awaited.key, awaited.number)
        if live is None:
            return False
        self._bind_ids(stream, recorded, live, awaited.what)
        self._same_form(awaited.what, recorded, live)
        return True

    def _bind_ids(self, stream: Stream, recorded: dict[str, Any], live: dict[str, Any], what: str) -> None:
        if recorded["type"] == "SUBSCRIBED":
            self.expect(stream.events[0] is live, f"{what}: SUBSCRIBED is not the first event")
            old, new = recorded["subscribed"], live["subscribed"]
            if "framework_id" in old:
                stream.framework_id = new["framework_id"]["value"]
                self.names.bind(old["framework_id"]["value"], stream.framework_id)
                self.names.bind(old["master_info"]["id"], new["master_info"]["id"])
        old_uuid, new_uuid = uuid_of(recorded), uuid_of(live)
        if old_uuid and new_uuid:
            self.names.bind(old_uuid, new_uuid)

    def _heartbeat(self, stream: Stream, awaited: Awaited) -> bool:
        """The one that follows SUBSCRIBED; those of later come 15 s apart, which a unit test shows."""
        if len(stream.events) < 2:
            return False
        self.expect(stream.events[1] == {"type": "HEARTBEAT"}, f"{awaited.what}: not after SUBSCRIBED")
        return True

    def _offers(self, stream: Stream, awaited: Awaited) -> bool:
        """Each agent that was offered is offered, in that form, and as much is reserved on it."""
        for offer in awaited.entry["event"]["offers"]["offers"]:
            agent = offer["agent_id"]["value"]
            live = [o for o in stream.offers() if o["agent_id"]["value"] == self.names[agent]]
            forms = [compare.normal(compare.form_of_offer(o), self.names) for o in live]
            expected = compare.normal(compare.form_of_offer(offer), self.names)
            if not forms:
                return False
            if expected not in forms:
                awaited.now = "\n".join(["", *compare.unlike(forms[-1], expected)])
                return False
            now = [o for o in self._live_offers(self.names[agent]) if o["id"]["value"] not in self._used]
            reserved, wanted = compare.reserved(now), awaited.reserved[agent]
            if reserved != wanted:
                awaited.now = f"\n  reserved {reserved}\n  recorded {wanted}"
                return False
        self.compared += 1
        return True

    def _rescind(self, stream: Stream, awaited: Awaited) -> bool:
        number = awaited.entry["event"]["rescind"]["offer_id"]["value"].rpartition("-")[2]
        if self._difference_at(f"RESCIND {number}").skip:
            return True
        live = stream.take("RESCIND", awaited.number)
        if live is None:
            return False
        offered = {offer["id"]["value"] for offer in stream.offers()}
        self.expect(live["rescind"]["offer_id"]["value"] in offered, f"{awaited.what}: of an offer that was not made")
        return True

    def _inverse_offers(self, stream: Stream, awaited: Awaited) -> bool:
        for inverse in awaited.entry["event"]["inverse_offers"]["inverse_offers"]:
            agent = self.names[inverse["agent_id"]["value"]]
            live = [o for o in stream.inverse_offers() if o["agent_id"]["value"] == agent]
            if not live:
                return False
            self.names.bind(inverse["id"]["value"], live[-1]["id"]["value"])
            self._same_form(awaited.what, inverse, live[-1])
        return True

    def _update(self, stream: Stream, awaited: Awaited) -> bool:
        recorded = awaited.entry["event"]
        status = recorded["update"]["status"]
        where = f"UPDATE {status['task_id']['value']}"
        difference = DIFFERENCES.get((self.name, f"{where} {status['state']}")) or self._difference_at(where)
        if difference.skip:
            return True
        live = stream.take(awaited.key, awaited.number)
        if live is None:
            return False
        if difference.fields is not None:
            recorded = {**recorded, "update": {"status": {**status, **difference.fields}}}
        if status["state"] == "TASK_STARTING":
            recorded, live = map(_starting, (recorded, live))
        self._bind_ids(stream, recorded, live, awaited.what)
        self._same_form(f"{awaited.what} {status['state']} of {status['task_id']['value'][:40]}", recorded, live)
        return True

    async def _closed(self, number: int, entry: Entry, what: str) -> None:
        """The end of a stream: ours, the master's after an ERROR, or by the TEARDOWN that was recorded after it."""
        stream = self._streams.get(entry["stream"])
        if stream is None:
            return
        await self._catch_up(until=entry["t"])
        following = next((e for e in self.recording.entries[number + 1 :] if e["kind"].startswith("http")), None)
        if following is not None and _is_teardown(following):
            return
        if self._held or (stream.events and stream.events[-1]["type"] == "ERROR"):
            await self._until(lambda: stream.ended, f"{what}: the master ends the stream")
        else:
            await stream.close()
            await asyncio.sleep(0.05)

    # Notes

    async def _note(self, number: int, text: str) -> None:
        """Do what a note says that was done to the daemons."""
        if text.startswith("kill -9 of"):
            await self._catch_up()
            if "master" in text:
                self._held = True
                await self.stage.restart_master()
            else:
                self._killed = self._rack_of_loss(number)
                await self.stage.kill_agent(self._killed)
        elif text.startswith(("restart of the agent", "agent 1 starts again")):
            await self._catch_up()
            await self.stage.start_agent(self._killed)
        elif text == "SIGUSR1":
            await self._catch_up()
            self.stage.shut_agent_down(self._rack_of_loss(number))

    async def _release_agents(self) -> None:
        """Here the agents of the recording had noticed that the master is another one."""
        self._held = False
        self.stage.release_agents()
        await asyncio.to_thread(self.stage.wait_for_agents)

    def _rack_of_loss(self, number: int) -> str:
        """The agent that is lost: whose tasks are lost in the events that follow, before another note."""
        for entry in self.recording.entries[number + 1 :]:
            status = (entry.get("event") or {}).get("update", {}).get("status", {})
            if status.get("source") == "SOURCE_MASTER":
                return self.recording.racks[status["agent_id"]["value"]]
        raise AssertionError(f"{self.name}[{number}]: no event tells which agent was meant")

    # Comparing

    def _difference(self, entry: Entry) -> Difference:
        return self._difference_at(str(entry.get("label")), entry)

    def _difference_at(self, where: str, entry: Entry | None = None) -> Difference:
        """What is meant to differ; an entry that is not the only one of its label is named by its number."""
        if entry is not None:
            number = next(i for i, e in enumerate(self.recording.entries) if e is entry)
            numbered = DIFFERENCES.get((self.name, f"{where} [{number}]"))
            if numbered is not None:
                return numbered
        return DIFFERENCES.get((self.name, where), SAME)

    def _same(self, what: str, part: str, recorded: Any, live: Any, entry: Entry) -> None:
        meant = getattr(self._difference(entry), part)
        expected = meant if meant is not None else recorded
        if isinstance(expected, str):
            expected, live = compare.normal_text(expected, self.names), compare.normal_text(live, self.names)
        self.expect(live == expected, f"{what}: {part} is {live!r}, not {expected!r}")

    def _same_form(self, what: str, recorded: Any, live: Any) -> None:
        left_out = frozenset(FIELDS)
        expected, found = (compare.normal(value, self.names, left_out) for value in (recorded, live))
        self.expect(found == expected, "\n".join([f"{what}:", *compare.unlike(found, expected)]))

    def _check_the_rest(self) -> None:
        """Events that nobody recorded, and the order of those that one cause has."""
        for name, stream in self._streams.items():
            left = [e for e in stream.left() if not self._difference_at(f"EXTRA {key_of(e)}").skip]
            self.expect(not left, f"{self.name}: on {name} came what was not recorded: {json.dumps(left)}")
            self._check_order(name, stream)

    def _check_order(self, name: str, stream: Stream) -> None:
        entries = self.recording.entries
        places = sorted((number, place) for number, place in stream.places.items())
        for (one, first), (other, second) in pairwise(places):
            kinds = {entries[n]["event"]["type"] for n in (one, other)}
            together = entries[other]["t"] - entries[one]["t"] < 0.05
            if len(kinds) == 2 and together and other == one + 1 and not self._difference_at(f"ORDER {one}").skip:
                self.expect(first < second, f"{self.name}[{one}] on {name}: {kinds} came in the other order")


def _starting(update: dict[str, Any]) -> dict[str, Any]:
    """A TASK_STARTING without what is known of the container by chance."""
    status = update["update"]["status"]
    container = {k: v for k, v in (status.get("container_status") or {}).items() if k == "container_id"}
    return {**update, "update": {"status": {**status, "container_status": container}}}


def _brief(event: dict[str, Any]) -> str:
    if event["type"] == "OFFERS":
        return f"OFFERS of {[offer['agent_id']['value'].rpartition('-')[2] for offer in event['offers']['offers']]}"
    state = event.get("update", {}).get("status", {}).get("state", "")
    return f"{key_of(event)} {state}".strip()


def _is_teardown(entry: Entry) -> bool:
    body = entry["request"].get("body")
    return isinstance(body, dict) and body.get("type") == "TEARDOWN"
