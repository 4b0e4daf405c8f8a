"""Replays recorded traffic of Apache Mesos 1.11 against our master and compares what comes back.

Recorded ids stand for live ones: frameworks and streams by the order in which they appear, agents
by their attribute ``rack``, offers by agent (and role, if there is one to choose from). Times,
uuids, pids and the like are compared by their form alone. A difference that is meant stands in
``differences`` with its reason; every other one fails.

Our master does not wait for an allocation tick, so offers come earlier than in the recording, in
other bundles and with other amounts while tasks run. What is compared of them is their form, and
that each recorded one finds its counterpart.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.kernel import recordio
from headrace.kernel.http import ClientStream, HttpClient
from tests.conformance.differences import DIFFERENCES, FIELDS, SAME, Difference

DATA = Path(__file__).parent / "data"
PATIENCE, IMPATIENCE = 8.0, 0.02
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FREE = {
    **dict.fromkeys(("timestamp", "executor_pid", "ip", "port", "pid", "nanoseconds"), "<number>"),
    **dict.fromkeys(("uuid",), "<uuid>"),
}
"""Fields whose values are the machine's or the moment's."""


class NotYetError(AssertionError):
    """What was recorded has not come."""


class Stream:
    """One live event stream and what has come on it."""

    def __init__(self, live: ClientStream) -> None:
        self.live = live
        self.events: list[dict[str, Any]] = []
        self.framework_id = ""
        self.ended = False
        self._decoder = recordio.Decoder()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for chunk in self.live:
                self.events += [json.loads(record) for record in self._decoder.feed(chunk)]
        finally:
            self.ended = True

    async def close(self) -> None:
        self.live.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


class Replay:
    """One transcript against one master. ``run`` raises AssertionError at the first unexpected difference."""

    def __init__(self, name: str, url: str, http: HttpClient) -> None:
        self.name = name
        self.url = url
        self.http = http
        self.transcript = json.loads((DATA / f"{name}.json").read_text())
        self.entries: list[dict[str, Any]] = self.transcript["entries"]
        self.streams: dict[str, Stream] = {}
        self.ids: dict[str, str] = {}
        self.racks: dict[str, str] = {}
        self.recorded_offers: dict[str, tuple[str, str]] = {}
        self.offers: dict[str, dict[str, Any]] = {}
        self.used: set[str] = set()
        self.seen: dict[str, int] = {}
        self.compared = 0
        self.patience = PATIENCE
        self.waiting: list[tuple[dict[str, Any], str]] = []

    async def run(self) -> None:
        """Replay all entries."""
        await self._find_agents()
        try:
            for number, entry in enumerate(self.entries):
                await self._step(number, entry)
            await self._catch_up(PATIENCE)
        finally:
            for stream in self.streams.values():
                await stream.close()

    async def _step(self, number: int, entry: dict[str, Any]) -> None:
        what = f"{self.name}[{number}] {entry.get('label') or entry['kind']}"
        match entry["kind"]:
            case "http-stream-open":
                await self._open(entry, what)
            case "http":
                await self._request(entry, what)
                await self._catch_up(IMPATIENCE)
            case "event":
                self.waiting.append((entry, what))
                await self._catch_up(IMPATIENCE)
            case "stream-closed":
                await self._closed(number, entry, what)

    async def _catch_up(self, patience: float) -> None:
        """Compare events that are due. Recorded ones may stand before the request that caused them, as its
        answer was noted later; so those that don't come yet are waited for after what follows."""
        self.patience = patience
        waiting, self.waiting = self.waiting, []
        behind: set[str] = set()
        for entry, what in waiting:
            queue = _queue_of(entry)
            try:
                if queue in behind:
                    raise NotYetError(what)
                await self._event(entry, what)
            except NotYetError:
                if patience >= PATIENCE:
                    raise
                behind.add(queue)
                self.waiting.append((entry, what))
        self.patience = PATIENCE

    async def _find_agents(self) -> None:
        """Agents correspond by their rack."""
        for entry in self.entries:
            for offer in (entry.get("event") or {}).get("offers", {}).get("offers", ()):
                rack = _rack(offer)
                self.racks[offer["agent_id"]["value"]] = rack
                role = offer.get("allocation_info", {}).get("role", "")
                self.recorded_offers[offer["id"]["value"]] = (offer["agent_id"]["value"], role)
        answer = await self.http.request("GET", self.url + "/slaves")
        live = {agent["attributes"]["rack"]: agent["id"] for agent in answer.json()["slaves"]}
        self.ids.update({recorded: live[rack] for recorded, rack in self.racks.items()})

    # Requests

    async def _open(self, entry: dict[str, Any], what: str) -> None:
        request = entry["request"]
        body, headers = self._body(request), self._headers(request)
        live = await self.http.stream(request["method"], self.url + request["path"], headers=headers, body=body)
        recorded = entry["response"]
        self._same(what, "status", recorded["status"], live.status, entry)
        if live.status != 200:
            text = (await live.read()).decode()
            live.close()
            self._same(what, "body", recorded["body"], text, entry)
            return
        assert live.headers["content-type"] == recorded["headers"]["Content-Type"], what
        assert live.headers["transfer-encoding"] == "chunked", what
        self.ids[recorded["headers"]["Mesos-Stream-Id"]] = live.headers["mesos-stream-id"]
        self.streams[entry["stream"]] = Stream(live)

    async def _request(self, entry: dict[str, Any], what: str) -> None:
        request, recorded = entry["request"], entry["response"]
        if (difference := DIFFERENCES.get((self.name, str(entry.get("label"))))) and difference.skip:
            return
        await self._bind_update(request["body"], what)
        bound = await self._bind_offers(request["body"], what)
        answer = await self.http.request(
            request["method"], self.url + request["path"], headers=self._headers(request), body=self._body(request)
        )
        self._same(what, "status", recorded["status"], answer.status, entry)
        if answer.status // 100 != 2:
            self.used -= bound  # a refused call leaves its offers as they were
        if isinstance(recorded["body"], str):
            self._same(what, "body", recorded["body"], answer.body.decode(), entry)
        for header in ("Allow", "Content-Type"):
            if header in recorded["headers"]:
                assert answer.headers.get(header.lower()) == recorded["headers"][header], f"{what}: {header}"

    def _headers(self, request: dict[str, Any]) -> dict[str, str]:
        dropped = ("Host", "Connection", "Content-Length")
        return {k: self._live(v) for k, v in request["headers"].items() if k not in dropped}

    def _body(self, request: dict[str, Any]) -> bytes:
        body = request["body"]
        if body is None:
            return b""
        if isinstance(body, dict) and "_base64" in body:
            return base64.b64decode(body["_base64"])
        return self._live(body if isinstance(body, str) else json.dumps(body)).encode()

    def _live(self, text: str) -> str:
        """Recorded ids become live ones; longer ones first, so that none is cut by another."""
        for recorded in sorted(self.ids, key=len, reverse=True):
            if recorded in text:
                text = re.sub(re.escape(recorded) + r"(?![\w-])", self.ids[recorded], text)
        return text

    async def _bind_update(self, body: Any, what: str) -> None:
        """An update that is acknowledged has to be here first."""
        if not isinstance(body, dict) or body.get("type") != "ACKNOWLEDGE" or not body.get("acknowledge"):
            return
        uuid = body["acknowledge"]["uuid"]
        expected = [e for e in self.entries if e["kind"] == "event" and _uuid(e["event"]) == uuid]
        deadline = time.monotonic() + PATIENCE
        while expected and uuid not in self.ids:
            assert time.monotonic() < deadline, f"{what}: the update that it acknowledges has not come"
            await self._catch_up(IMPATIENCE)

    async def _bind_offers(self, body: Any, what: str) -> set[str]:
        """Every recorded offer that the request names gets a live one of the same agent; returns these."""
        bound: set[str] = set()
        if not isinstance(body, dict):
            return bound
        for kind in ("accept", "decline"):
            for offer_id in (body.get(kind) or {}).get("offer_ids", ()):
                recorded = offer_id["value"]
                if recorded in self.recorded_offers and recorded not in self.ids:
                    agent, role = self.recorded_offers[recorded]
                    framework = self.ids[body["framework_id"]["value"]]
                    self.ids[recorded] = await self._until(
                        lambda a=agent, r=role, f=framework: self._take_offer(f, self.ids[a], r),  # type: ignore[misc]
                        f"{what}: an offer of the agent for {recorded}",
                    )
                    bound.add(self.ids[recorded])
        return bound

    def _take_offer(self, framework: str, agent: str, role: str) -> str | None:
        """An offer that is outstanding; the recorded role is preferred."""
        found = [
            offer
            for stream in self.streams.values()
            if not stream.ended
            for offer in _outstanding(stream.events)
            if offer["framework_id"]["value"] == framework
            and offer["agent_id"]["value"] == agent
            and offer["id"]["value"] not in self.used
        ]
        found.sort(key=lambda offer: offer.get("allocation_info", {}).get("role", "") != role)
        if not found:
            return None
        self.used.add(found[0]["id"]["value"])
        return str(found[0]["id"]["value"])

    # Events

    async def _event(self, entry: dict[str, Any], what: str) -> None:
        stream, recorded = self.streams[entry["stream"]], entry["event"]
        kind = recorded["type"]
        what = f"{what} {kind}"
        if kind == "HEARTBEAT":
            await self._heartbeat(entry, stream, what)
        elif kind == "OFFERS":
            await self._offers(recorded, stream, what)
        elif kind == "UPDATE":
            await self._update(recorded, entry["stream"], what)
        elif kind == "RESCIND":
            number = recorded["rescind"]["offer_id"]["value"].rpartition("-")[2]
            if DIFFERENCES.get((self.name, f"RESCIND {number}"), SAME).skip:
                return
            live = await self._until(lambda: self._next(stream, entry["stream"], kind), what)
            offered = {offer["id"]["value"] for offer in _all_offers(stream.events)}
            assert live["rescind"]["offer_id"]["value"] in offered, f"{what}: of an offer that was made"
        else:
            live = await self._until(lambda: self._next(stream, entry["stream"], kind), what)
            if kind == "SUBSCRIBED":
                assert stream.events[0] is live, f"{what}: SUBSCRIBED is the first event"
                self._bind_subscription(recorded, live)
            self._same_form(what, recorded, live)

    def _bind_subscription(self, recorded: dict[str, Any], live: dict[str, Any]) -> None:
        old, new = recorded["subscribed"], live["subscribed"]
        self.ids[old["framework_id"]["value"]] = new["framework_id"]["value"]
        self.ids[old["master_info"]["id"]] = new["master_info"]["id"]

    async def _heartbeat(self, entry: dict[str, Any], stream: Stream, what: str) -> None:
        """The one that follows SUBSCRIBED; those of later come 15 s apart, which a unit test shows."""
        key = f"heartbeat {entry['stream']}"
        if key not in self.seen:
            self.seen[key] = 1
            await self._until(lambda: len(stream.events) > 1, what)
            assert stream.events[1] == {"type": "HEARTBEAT"}, what

    def _next(self, stream: Stream, name: str, kind: str) -> dict[str, Any] | None:
        """The next event of this kind that has not been compared yet."""
        key = f"{name} {kind}"
        events = [event for event in stream.events if event["type"] == kind]
        at = self.seen.get(key, 0)
        if at >= len(events):
            return None
        self.seen[key] = at + 1
        return events[at]

    async def _offers(self, recorded: dict[str, Any], stream: Stream, what: str) -> None:
        for offer in recorded["offers"]["offers"]:
            agent = self.ids[offer["agent_id"]["value"]]
            live = await self._until(
                lambda a=agent: next(
                    (o for o in reversed(_all_offers(stream.events)) if o["agent_id"]["value"] == a), None
                ),  # type: ignore[misc]
                f"{what} of agent {agent}",
            )
            self._same_form(what, _form_of_offer(offer), _form_of_offer(live))

    async def _update(self, recorded: dict[str, Any], name: str, what: str) -> None:
        stream = self.streams[name]
        status = recorded["update"]["status"]
        task = status["task_id"]["value"]
        what = f"{what} {status['state']} of {task[:40]}"
        difference = DIFFERENCES.get((self.name, f"UPDATE {task}"), SAME)
        key = f"update {name} {task}"
        if difference.skip or (self._uuid_seen(status) and not difference.body):
            return
        at = self.seen.get(key, 0)
        live = await self._until(lambda: _updates(stream.events, task)[at : at + 1] or None, what)
        self.seen[key] = at + 1
        if difference.message is not None:
            recorded = {**recorded, "update": {"status": {**status, "message": difference.message}}}
        if uuid := status.get("uuid"):
            self.ids[uuid] = live[0]["update"]["status"]["uuid"]
        self._same_form(what, recorded, live[0])

    def _uuid_seen(self, status: dict[str, Any]) -> bool:
        """Whether this is an update that Mesos's agent sent again because it was not acknowledged."""
        return status.get("uuid") in self.ids

    async def _closed(self, number: int, entry: dict[str, Any], what: str) -> None:
        """The end of a stream: ours, the master's after an ERROR, or by the TEARDOWN that was recorded after it."""
        stream = self.streams.get(entry["stream"])
        if stream is None:
            return
        following = next((e for e in self.entries[number + 1 :] if e["kind"].startswith("http")), None)
        if following is not None and (following.get("request", {}).get("body") or {}) and _is_teardown(following):
            return
        if stream.events and stream.events[-1]["type"] == "ERROR":
            await self._until(lambda: stream.ended, f"{what}: the master ends the stream")
        else:
            await stream.close()
            await asyncio.sleep(0.05)

    # Comparing

    async def _until(self, condition: Callable[[], Any], what: str) -> Any:
        deadline = time.monotonic() + self.patience
        while True:
            if value := condition():
                return value
            if time.monotonic() > deadline:
                events = {name: [e["type"] for e in s.events][-8:] for name, s in self.streams.items()}
                raise NotYetError(f"not within {self.patience} s: {what}; {events}")
            await asyncio.sleep(0.005)

    def _same(self, what: str, part: str, recorded: Any, live: Any, entry: dict[str, Any] | None = None) -> None:
        self.compared += 1
        difference: Difference = DIFFERENCES.get((self.name, str((entry or {}).get("label"))), SAME)
        meant = getattr(difference, part)
        expected = meant if meant is not None else recorded
        if isinstance(expected, str):
            expected = self._live(expected)
        assert live == expected, f"{what}: {part} is {live!r}, not {expected!r}"

    def _same_form(self, what: str, recorded: Any, live: Any) -> None:
        self.compared += 1
        expected, found = self._normal(recorded), self._normal(live)
        assert found == expected, f"{what}:\n  ours     {json.dumps(found)}\n  recorded {json.dumps(expected)}"

    def _normal(self, value: Any, key: str = "") -> Any:
        if key in _FREE:
            return _FREE[key]
        if isinstance(value, dict):
            return {k: self._normal(v, k) for k, v in value.items() if k not in FIELDS}
        if isinstance(value, list):
            return [self._normal(item, key) for item in value if item != {}]
        if isinstance(value, str):
            return _UUID.sub("<id>", self._live(value))
        return value


def _outstanding(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rescinded = {event["rescind"]["offer_id"]["value"] for event in events if event["type"] == "RESCIND"}
    return [offer for offer in _all_offers(events) if offer["id"]["value"] not in rescinded]


def _all_offers(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [offer for event in events if event["type"] == "OFFERS" for offer in event["offers"]["offers"]]


def _form_of_offer(offer: dict[str, Any]) -> dict[str, Any]:
    """An offer without its id, its role and its amounts, which depend on the moment: what is left is the shape."""
    shapes = {
        (tuple(field for field in resource if field not in ("scalar", "ranges")), resource.get("role"))
        for resource in offer["resources"]
    }
    rest = {k: v for k, v in offer.items() if k not in ("id", "resources", "allocation_info")}
    return {**rest, "shapes": sorted(map(str, shapes)), "fields": list(offer)}


def _rack(offer: dict[str, Any]) -> str:
    return next(str(a["text"]["value"]) for a in offer["attributes"] if a["name"] == "rack")


def _updates(events: list[dict[str, Any]], task: str) -> list[dict[str, Any]]:
    updates = [event for event in events if event["type"] == "UPDATE"]
    return [event for event in updates if event["update"]["status"]["task_id"]["value"] == task]


def _uuid(event: dict[str, Any]) -> str | None:
    return event["update"]["status"].get("uuid") if event["type"] == "UPDATE" else None


def _queue_of(entry: dict[str, Any]) -> str:
    """Events of one queue come in their order."""
    event = entry["event"]
    task = event["update"]["status"]["task_id"]["value"] if event["type"] == "UPDATE" else ""
    return f"{entry['stream']} {event['type']} {task}"


def _is_teardown(entry: dict[str, Any]) -> bool:
    body = entry["request"]["body"]
    return isinstance(body, dict) and body.get("type") == "TEARDOWN"
