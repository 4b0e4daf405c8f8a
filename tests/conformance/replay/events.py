"""Events: each recorded one is compared with its live counterpart, as soon as that has come.

An event may have been noted before the request that caused it, as the answer of that was noted later; so events
that do not come at once are waited for after what follows.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

from tests.conformance.differences import HISTORY
from tests.conformance.replay import compare
from tests.conformance.replay.names import Names
from tests.conformance.replay.offers import Offers
from tests.conformance.replay.recording import Entry, Recording, key_of, uuid_of
from tests.conformance.replay.streams import Stream
from tests.conformance.replay.verdict import Verdict

_TOLD_OPERATORS = frozenset(
    {
        *("TASK_ADDED", "TASK_UPDATED", "AGENT_ADDED", "AGENT_REMOVED"),
        *("FRAMEWORK_ADDED", "FRAMEWORK_UPDATED", "FRAMEWORK_REMOVED"),
    }
)
SOON = 5.0
"""Seconds in which what tasks held is offered again."""
_EXPECTED = 0.5
"""Seconds in which what comes by itself has come."""


class Awaited:
    """A recorded event that has not been compared yet; ``now`` says what is there instead."""

    def __init__(self, number: int, entry: Entry, what: str) -> None:
        self.number, self.entry, self.what = number, entry, what
        self.event: dict[str, Any] = entry["event"]
        self.key = key_of(self.event)
        self.queue = (entry["stream"], self.key)
        self.reserved: dict[str, dict[str, float]] = {}
        self.alone: set[str] = set()
        self.now = ""


class Events:
    """The recorded events that are awaited."""

    def __init__(
        self, recording: Recording, names: Names, streams: dict[str, Stream], offers: Offers, verdict: Verdict
    ) -> None:
        self._recording = recording
        self._names = names
        self._streams = streams
        self._offers = offers
        self._verdict = verdict
        self._waiting: list[Awaited] = []
        self._known: set[str] = set()
        self.give_back: Callable[[str, str], Awaitable[None]] | None = None

    # Waiting

    def expect(self, number: int, entry: Entry, what: str) -> None:
        """A recorded event has to come."""
        event = entry["event"]
        if entry.get("stream") not in self._streams:
            return  # of a stream that a difference left out
        self._offers.noted(event)
        uuid = uuid_of(event)
        if uuid in self._known and event["type"] == "UPDATE":
            return  # sent again, because it was not acknowledged in time
        if uuid:
            self._known.add(uuid)
        awaited = Awaited(number, entry, f"{what} {event['type']}")
        for agent in {offer["agent_id"]["value"] for offer in event.get("offers", {}).get("offers", ())}:
            there = self._offers.recorded_of(agent)
            awaited.reserved[agent] = compare.reserved(there)
            if len(there) == 1:
                awaited.alone.add(agent)
        self._waiting.append(awaited)

    async def catch_up(self, until: float = float("inf"), but: str = "") -> None:
        """Wait for the events that were noted before ``until``, but for those of one key.

        Those that do not come are differences.
        """
        patience = self._verdict.patience
        deadline, soon = time.monotonic() + patience, time.monotonic() + _EXPECTED
        while True:
            self._compare_what_came()
            due = [awaited for awaited in self._waiting if awaited.entry["t"] <= until and awaited.key != but]
            if not due:
                return
            if time.monotonic() > deadline:
                self._verdict.found += [f"{a.what}: not within {patience} s{a.now}; {self.heard()}" for a in due]
                self._waiting = [awaited for awaited in self._waiting if awaited not in due]
                return
            if time.monotonic() > soon:
                soon = float("inf")
                await self._give_back_for(due)
            await asyncio.sleep(0.005)

    async def announced(self, offer: str) -> None:
        """Wait for the event in which a recorded offer was made."""
        times = [a.entry["t"] for a in self._waiting if offer in json.dumps(a.event.get("offers", ""))]
        if times:
            await self.catch_up(until=max(times))

    async def reliable(self) -> None:
        """Wait for all updates that are acknowledged, of tasks and of operations."""
        times = [awaited.entry["t"] for awaited in self._waiting if uuid_of(awaited.event)]
        if times:
            await self.catch_up(until=max(times))

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for anything else. Raises AssertionError."""
        patience = self._verdict.patience
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"not within {patience} s: {what}; {self.heard()}"
            self._compare_what_came()
            await asyncio.sleep(0.005)

    def heard(self) -> str:
        lines = [f"\n  {name}: {', '.join(map(_brief, s.events[-12:]))}" for name, s in self._streams.items()]
        return "what came last:" + "".join(lines)

    async def _give_back_for(self, due: list[Awaited]) -> None:
        """Others may hold what should be offered."""
        for awaited in due:
            for offer in awaited.event.get("offers", {}).get("offers", ()):
                framework = offer["framework_id"]["value"]
                if framework in self._names and self.give_back is not None:
                    await self.give_back(self._names[framework], offer["agent_id"]["value"])

    # Comparing

    def _compare_what_came(self) -> None:
        behind: set[tuple[str, str]] = set()
        waiting, self._waiting = self._waiting, []
        for awaited in waiting:
            if awaited.queue in behind or not self._compare(awaited):
                behind.add(awaited.queue)
                self._waiting.append(awaited)

    def _compare(self, awaited: Awaited) -> bool:
        """Compare with the live counterpart; False if that has not come."""
        stream = self._streams[awaited.entry["stream"]]
        match awaited.event["type"]:
            case "HEARTBEAT":
                return self._heartbeat(stream, awaited)
            case "OFFERS":
                return all(self._offer(stream, awaited, offer) for offer in awaited.event["offers"]["offers"])
            case "UPDATE":
                return self._update(stream, awaited)
            case "RESCIND":
                return self._rescind(stream, awaited)
            case "INVERSE_OFFERS":
                return self._inverse_offers(stream, awaited)
        live = stream.take(awaited.key, awaited.number)
        if live is None:
            return False
        self._bind(stream, awaited.event, live, awaited.what)
        if awaited.event["type"] in _TOLD_OPERATORS or "get_state" in (awaited.event.get("subscribed") or {}):
            self._verdict.same_answer(awaited.what, *_comparable(awaited.event, live), HISTORY)
        else:
            self._verdict.same_form(awaited.what, awaited.event, live)
        return True

    def _bind(self, stream: Stream, recorded: dict[str, Any], live: dict[str, Any], what: str) -> None:
        if recorded["type"] == "SUBSCRIBED":
            self._verdict.expect(stream.events[0] is live, f"{what}: SUBSCRIBED is not the first event")
            old, new = recorded["subscribed"], live["subscribed"]
            if "framework_id" in old:
                stream.framework_id = new["framework_id"]["value"]
                self._names.bind(old["framework_id"]["value"], stream.framework_id)
                self._names.bind(old["master_info"]["id"], new["master_info"]["id"])
        old_uuid, new_uuid = uuid_of(recorded), uuid_of(live)
        if old_uuid and new_uuid:
            self._names.bind(old_uuid, new_uuid)

    def _heartbeat(self, stream: Stream, awaited: Awaited) -> bool:
        """The one that follows SUBSCRIBED; those of later come 15 s apart, which a unit test shows."""
        if len(stream.events) < 2:
            return False
        self._verdict.expect(stream.events[1] == {"type": "HEARTBEAT"}, f"{awaited.what}: not after SUBSCRIBED")
        return True

    def _offer(self, stream: Stream, awaited: Awaited, offer: dict[str, Any]) -> bool:
        """The agent is offered in that form, anew if it was, and as much is reserved on it."""
        agent = offer["agent_id"]["value"]
        live = [o for o in stream.offers() if o["agent_id"]["value"] == self._names[agent]]
        forms = [compare.normal(compare.form_of_offer(o), self._names) for o in live]
        expected = compare.normal(compare.form_of_offer(offer), self._names)
        if not forms:
            return False
        if expected not in forms:
            awaited.now = "\n".join(["", *compare.unlike(forms[-1], expected)])
            return False
        now = self._offers.outstanding(agent)
        reserved, wanted = compare.reserved(now), awaited.reserved[agent]
        if reserved != wanted:
            awaited.now = f"\n  reserved {reserved}\n  recorded {wanted}"
            return False
        if agent in awaited.alone and not now:
            awaited.now = "; none is outstanding"
            return False
        self._verdict.compared += 1
        return True

    def _rescind(self, stream: Stream, awaited: Awaited) -> bool:
        number = awaited.event["rescind"]["offer_id"]["value"].rpartition("-")[2]
        if self._verdict.meant(f"RESCIND {number}").skip:
            return True
        live = stream.take("RESCIND", awaited.number)
        if live is None:
            return False
        offered = {offer["id"]["value"] for offer in stream.offers()}
        made = live["rescind"]["offer_id"]["value"] in offered
        self._verdict.expect(made, f"{awaited.what}: of an offer that was not made")
        return True

    def _inverse_offers(self, stream: Stream, awaited: Awaited) -> bool:
        for inverse in awaited.event["inverse_offers"]["inverse_offers"]:
            agent = self._names[inverse["agent_id"]["value"]]
            live = [o for o in stream.inverse_offers() if o["agent_id"]["value"] == agent]
            if not live:
                return False
            self._names.bind(inverse["id"]["value"], live[-1]["id"]["value"])
            self._verdict.same_form(awaited.what, inverse, live[-1])
        return True

    def _update(self, stream: Stream, awaited: Awaited) -> bool:
        recorded = awaited.event
        status = recorded["update"]["status"]
        task, state = status["task_id"]["value"], status["state"]
        meant = self._verdict.meant(f"UPDATE {task}", f"UPDATE {task} {state}")
        if meant.skip:
            return True
        live = stream.take(awaited.key, awaited.number)
        if live is None:
            return False
        if meant.fields is not None:
            recorded = {**recorded, "update": {"status": {**status, **meant.fields}}}
        if state == "TASK_STARTING":
            recorded, live = map(_starting, (recorded, live))
        self._bind(stream, recorded, live, awaited.what)
        self._verdict.same_form(f"{awaited.what} {state} of {task[:40]}", recorded, live)
        return True

    # The end

    def check_the_rest(self) -> None:
        """Events that nobody recorded, and the order of those that one cause has."""
        for name, stream in self._streams.items():
            left = [e for e in stream.left() if not self._verdict.meant(f"EXTRA {key_of(e)}").skip]
            self._verdict.expect(not left, f"on {name} came what was not recorded: {json.dumps(left)}")
            self._check_order(name, stream)

    def _check_order(self, name: str, stream: Stream) -> None:
        entries = self._recording.entries
        for (one, first), (other, second) in pairwise(sorted(stream.places.items())):
            kinds = {entries[number]["event"]["type"] for number in (one, other)}
            together = other == one + 1 and entries[other]["t"] - entries[one]["t"] < 0.05
            if len(kinds) == 2 and together and not self._verdict.meant(f"ORDER {one}").skip:
                self._verdict.expect(first < second, f"[{one}] on {name}: {kinds} came in the other order")


def _comparable(recorded: dict[str, Any], live: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two events of operators without what is so by chance: what there was at the beginning, a state that follows."""
    match recorded["type"]:
        case "SUBSCRIBED" if "get_state" in recorded["subscribed"]:
            return _fields(recorded), _fields(live)
        case "TASK_UPDATED":
            if recorded["task_updated"]["status"]["state"] in ("TASK_STARTING", "TASK_RUNNING"):
                return _beginning(recorded), _beginning(live)
    return recorded, live


def _fields(event: dict[str, Any]) -> dict[str, Any]:
    subscribed = event["subscribed"]
    state = {name: sorted(part) for name, part in subscribed["get_state"].items()}
    agents = sorted(sorted(agent) for agent in subscribed["get_state"]["get_agents"]["agents"])
    return {"type": event["type"], "subscribed": {**subscribed, "get_state": state, "agents": agents}}


def _beginning(event: dict[str, Any]) -> dict[str, Any]:
    updated = event["task_updated"]
    status = dict(updated["status"])
    if status["state"] == "TASK_STARTING":
        del status["container_status"]
    return {**event, "task_updated": {"framework_id": updated["framework_id"], "status": status}}


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
