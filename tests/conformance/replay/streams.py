"""Live event streams, and which of their events have been compared."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from headrace.kernel import recordio
from headrace.kernel.http import ClientStream, HttpClientError
from tests.conformance.replay.recording import from_protobuf, key_of, uuid_of

_UNCOUNTED = frozenset(("OFFERS", "HEARTBEAT", "RESCIND", "INVERSE_OFFERS"))
"""Kinds of which there may be more than were recorded: resources are offered in other bundles."""


class Stream:
    """One live event stream and what has come on it; ``framework_id`` once it is known."""

    def __init__(self, live: ClientStream) -> None:
        self.live = live
        self.events: list[dict[str, Any]] = []
        self.framework_id = ""
        self.ended = False
        self.places: dict[int, int] = {}
        self._taken: set[int] = set()
        self._uuids: set[str] = set()
        self._decoder = recordio.Decoder()
        protobuf = live.headers.get("content-type") == "application/x-protobuf"
        self._read_record: Callable[[bytes], dict[str, Any]] = from_protobuf if protobuf else json.loads
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            with suppress(HttpClientError):  # a daemon that was killed breaks off
                async for chunk in self.live:
                    self.events += [self._read_record(record) for record in self._decoder.feed(chunk)]
        finally:
            self.ended = True

    def take(self, key: str, number: int) -> dict[str, Any] | None:
        """The first event of ``key`` that has not been taken, for the recorded entry ``number``."""
        for place, event in enumerate(self.events):
            if place not in self._taken and key_of(event) == key:
                self._taken.add(place)
                if uuid := uuid_of(event):
                    if uuid in self._uuids:
                        continue  # sent again, because it was not acknowledged in time
                    self._uuids.add(uuid)
                self.places[number] = place
                return event
        return None

    def left(self) -> list[dict[str, Any]]:
        """Events that no recorded one stands for."""
        return [
            event
            for place, event in enumerate(self.events)
            if place not in self._taken and event.get("type") not in _UNCOUNTED and uuid_of(event) not in self._uuids
        ]

    def offers(self) -> list[dict[str, Any]]:
        """All offers that came."""
        return [o for event in self.events if event["type"] == "OFFERS" for o in event["offers"]["offers"]]

    def outstanding(self) -> list[dict[str, Any]]:
        """Offers that were not rescinded."""
        rescinded = {e["rescind"]["offer_id"]["value"] for e in self.events if e["type"] == "RESCIND"}
        return [offer for offer in self.offers() if offer["id"]["value"] not in rescinded]

    def inverse_offers(self) -> list[dict[str, Any]]:
        """All inverse offers that came."""
        events = [e["inverse_offers"]["inverse_offers"] for e in self.events if e["type"] == "INVERSE_OFFERS"]
        return [offer for offers in events for offer in offers]

    async def close(self) -> None:
        self.live.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
