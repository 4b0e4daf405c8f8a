"""What tests of the rows of Marathon's own suites share: an app that answers, events, looks at the queue.

Such a test says in its docstring which rows it is: ``§7.1 AppDeploy: …`` with the words of the list in
tests/unit/marathon/test_rows.py.
"""

from __future__ import annotations

import sys
import urllib.request
from pathlib import Path
from typing import Any, Self

from tests.cluster.harness import wait_for
from tests.cluster.test_marathon_apps import Marathon
from tests.cluster.test_marathon_reads import Stream

SMALL: dict[str, Any] = {"cpus": 0.05, "mem": 16}
SLEEP: dict[str, Any] = {"cmd": "exec sleep 1000", **SMALL}
FAILS: dict[str, Any] = {"cmd": "exit 1", "backoffSeconds": 600, **SMALL}
NOWHERE: dict[str, Any] = {**SLEEP, "constraints": [["hostname", "LIKE", "no-such-host"]]}
MOCK: dict[str, Any] = {
    "cmd": f"exec {sys.executable} -S {Path(__file__).parent / 'app_mock.py'} $PORT0 $CERTIFICATE",
    **SMALL,
}
QUICK: dict[str, Any] = {
    "gracePeriodSeconds": 600,
    "intervalSeconds": 1,
    "timeoutSeconds": 60,
    "delaySeconds": 0,
    "maxConsecutiveFailures": 3,
}
"""Of a health check: often, but an app that is slow to start or to answer is not ill."""
OF_POD: dict[str, Any] = {**QUICK, "intervalSeconds": 2, "timeoutSeconds": 1, "maxConsecutiveFailures": 1000}
"""Of a container's, whose interval is longer than its time to answer: what answers too late is asked again."""


class Events:
    """The event stream, or a part of it; from now on."""

    def __init__(self, marathon: Marathon, *kinds: str) -> None:
        wanted = kinds and ("event_stream_attached", *kinds)
        self._stream = Stream(marathon.address, "/v2/events?" + "&".join(f"event_type={one}" for one in wanted))
        self.wait("event_stream_attached")

    def all(self, kind: str = "", **fields: Any) -> list[dict[str, Any]]:
        """Those of a kind with these fields, so far."""
        return [
            one
            for one in self._stream.seen()
            if kind in ("", one["eventType"]) and all(one.get(key) == value for key, value in fields.items())
        ]

    def wait(self, kind: str, count: int = 1, timeout: float = 60, **fields: Any) -> list[dict[str, Any]]:
        """Until so many have come."""

        def look() -> list[dict[str, Any]]:
            found = self.all(kind, **fields)
            return found if len(found) >= count else []

        return list(wait_for(look, f"{count} {kind} with {fields}", timeout))

    def kinds(self) -> list[str]:
        return [one["eventType"] for one in self.all()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def queued(marathon: Marathon, app_id: str) -> dict[str, Any] | None:
    """The app's entry in the queue."""
    for one in marathon.ask("GET", "/v2/queue")[1]["queue"]:
        if one.get("app", one.get("pod"))["id"] == app_id:
            return dict(one)
    return None


def delayed(marathon: Marathon, app_id: str) -> dict[str, Any]:
    """The same, once launches are delayed."""

    def look() -> dict[str, Any] | None:
        item = queued(marathon, app_id)
        return item if item is not None and not item["delay"]["overdue"] else None

    return dict(wait_for(look, f"launches of {app_id} are delayed"))


def declined(marathon: Marathon, app_id: str, reason: str, count: int = 1) -> dict[str, Any]:
    """The row of the queue's summary about a reason, once so many agents' offers were declined for it."""

    def look() -> dict[str, Any] | None:
        item = queued(marathon, app_id) or {"processedOffersSummary": {"rejectSummaryLastOffers": []}}
        rows = item["processedOffersSummary"]["rejectSummaryLastOffers"]
        return next((one for one in rows if one["reason"] == reason and one["declined"] >= count), None)

    return dict(wait_for(look, f"{app_id} has declined offers: {reason}"))


def removed(marathon: Marathon, app_id: str) -> None:
    """Remove an app, a pod or a group with all its tasks, and wait for its end."""
    for what in ("pods", "groups", "apps"):
        if marathon.ask("GET", f"/v2/{what}/{app_id}")[0] == 200:
            marathon.ask("DELETE", f"/v2/{what}/{app_id}?force=true")
    wait_for(lambda: settled(marathon, app_id), f"{app_id} is gone")


def settled(marathon: Marathon, part: str = "") -> bool:
    """Whether no deployment of it runs."""
    running = marathon.ask("GET", "/v2/deployments")[1]
    return not [one for one in running if any(part in name for name in (*one["affectedApps"], *one["affectedPods"]))]


def ping(task: dict[str, Any]) -> str:
    """What the app of a task answers; empty while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{task['ports'][0]}/ping", timeout=60) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""
