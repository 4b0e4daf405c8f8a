"""Offers: which live ones stand for a recorded one.

Our master offers at once what comes free, so there are more offers than in a recording and they come earlier:
all that are outstanding of an agent stand for the recorded one of that agent.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from headrace.kernel.http import HttpClient
from tests.conformance.replay import compare
from tests.conformance.replay.names import Names
from tests.conformance.replay.recording import Recording
from tests.conformance.replay.streams import Stream


class Offers:
    """What is outstanding here, what was in the recording, and how they correspond."""

    def __init__(self, recording: Recording, names: Names, streams: dict[str, Stream]) -> None:
        self._recording = recording
        self._names = names
        self._streams = streams
        self._bound: dict[str, list[str]] = {}
        self._used: set[str] = set()
        self._recorded: dict[str, dict[str, Any]] = {}

    # The recording

    def noted(self, event: dict[str, Any]) -> None:
        """A recorded event changes what was outstanding then."""
        for offer in event.get("offers", {}).get("offers", ()):
            self._recorded[offer["id"]["value"]] = offer
        if event["type"] == "RESCIND":
            self._recorded.pop(event["rescind"]["offer_id"]["value"], None)

    def answered(self, body: Any) -> None:
        """Offers that a request answered are no more outstanding in the recording."""
        for value in _named(body):
            self._recorded.pop(value, None)

    def recorded_of(self, agent: str) -> list[dict[str, Any]]:
        """What was outstanding of a recorded agent."""
        return [offer for offer in self._recorded.values() if offer["agent_id"]["value"] == agent]

    # What is live

    def outstanding(self, agent: str) -> list[dict[str, Any]]:
        """What can be answered of a recorded agent, whoever holds it."""
        live = self._names[agent]
        streams = [stream for stream in self._streams.values() if not stream.ended]
        found = [o for stream in streams for o in stream.outstanding() if o["agent_id"]["value"] == live]
        return [offer for offer in found if offer["id"]["value"] not in self._used]

    def unbound(self, body: Any) -> list[str]:
        """The recorded offers that a request names and nothing stands for yet."""
        return [value for value in _named(body) if value in self._recording.offers and value not in self._bound]

    def take(self, framework: str, recorded: str, *, any_amount: bool = False) -> bool:
        """All outstanding offers of the agent stand for a recorded one; those of its role if there are any."""
        made = self._recording.offers[recorded]
        role = made.get("allocation_info", {}).get("role", "")
        found = [o for o in self.outstanding(made["agent_id"]["value"]) if o["framework_id"]["value"] == framework]
        if not found:
            return False
        roles = [offer.get("allocation_info", {}).get("role", "") for offer in found]
        chosen = role if role in roles else roles[0]
        found = [o for o, r in zip(found, roles, strict=True) if r == chosen]
        if not any_amount and not compare.amounts([made]) <= compare.amounts(found):
            return False
        self._bound[recorded] = [offer["id"]["value"] for offer in found]
        self._names.bind(recorded, self._bound[recorded][0])
        self._used.update(self._bound[recorded])
        return True

    def refused(self, recorded: list[str]) -> None:
        """The call that named these was refused: their offers are as they were."""
        for value in recorded:
            self._used.difference_update(self._bound[value])

    def put_in(self, body: Any) -> Any:
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

    async def give_back(self, framework: str, agent: str, http: HttpClient, master: str) -> None:
        """Decline what other frameworks hold of a recorded agent and did not hold then."""
        held = {self._names.live(offer["framework_id"]["value"]) for offer in self.recorded_of(agent)}
        others = {self._names.live(recorded) for recorded in self._recording.frameworks} - held - {framework}
        for stream in self._streams.values():
            if stream.ended or stream.framework_id not in others:
                continue
            ids = [o["id"] for o in self.outstanding(agent) if o["framework_id"]["value"] == stream.framework_id]
            self._used.update(offer_id["value"] for offer_id in ids)
            decline = {"offer_ids": ids, "filters": {"refuse_seconds": 600}}
            call = {"type": "DECLINE", "framework_id": {"value": stream.framework_id}, "decline": decline}
            headers = {"Content-Type": "application/json", "Mesos-Stream-Id": stream.live.headers["mesos-stream-id"]}
            await http.request("POST", master + "/api/v1/scheduler", headers=headers, body=json.dumps(call).encode())


def _named(body: Any) -> list[str]:
    """The offers that a request names."""
    if not isinstance(body, dict):
        return []
    return [o["value"] for kind in ("accept", "decline") for o in (body.get(kind) or {}).get("offer_ids", ())]
