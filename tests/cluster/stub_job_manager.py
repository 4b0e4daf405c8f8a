"""Stands in for the JobManager's JVM: speaks the driver's protocol, and wants as many workers as a file says.

Run as ``java … --configDir <conf>`` in the sandbox of an application master; standard library only. It reads

    flink-wants.json   {"workers": 2, "cpus": 0.1, "memory_mib": 64, "names": "taskmanager-{attempt}"}

each time it changes (``names``: what ids begin with; ``"end": "SUCCEEDED"``: end the cluster so), and writes what it
knows to ``flink-knows.json``. What becomes of a worker follows the driver's WorkerBook; calls are repeated as its
CommandSender and EventPoller do, with shorter pauses.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from typing import Any
from urllib.parse import urlsplit

PAUSE = 0.05
"""Seconds between looks at the file, and between attempts to reach the application master."""
WANTS, KNOWS = "flink-wants.json", "flink-knows.json"


class GoneError(Exception):
    """410: the events are not held any more."""


class Door:
    """One connection to the application master, made anew when it breaks."""

    def __init__(self, url: str, token_file: str) -> None:
        self._at = urlsplit(url)
        self._token_file = token_file
        self._connection: http.client.HTTPConnection | None = None

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """One attempt. Raises OSError, GoneError."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._at.netloc, timeout=40)
        with open(self._token_file) as file:
            headers = {"Authorization": f"Bearer {file.read().strip()}", "Content-Type": "application/json"}
        try:
            data = None if body is None else json.dumps(body)
            self._connection.request("GET" if data is None else "POST", self._at.path + path, data, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._connection = None
            raise OSError(str(error)) from error
        if answer.status == 410:
            raise GoneError
        if answer.status // 100 == 5:
            raise OSError(f"{path}: {answer.status}")
        if answer.status // 100 != 2:
            sys.exit(f"{path} {body}: {answer.status} {text!r}")
        return json.loads(text) if text else None

    def insist(self, path: str, body: dict[str, Any]) -> Any:
        """Until it is answered."""
        while True:
            try:
                return self.call(path, body)
            except OSError:
                time.sleep(PAUSE)


class Driver:
    """Keeps as many workers as are wanted."""

    def __init__(self, options: dict[str, str]) -> None:
        at = options["headrace.driver.url"], options["headrace.driver.token-file"]
        self._commands, self._poll = Door(*at), Door(*at)
        self.attempt = f"{time.time_ns() // 1_000_000:x}{os.getpid():x}"
        self._news = threading.Condition()
        self._batches: list[tuple[str, Any]] = []
        self._live: list[str] = []
        self._pending: dict[str, dict[str, Any]] = {}
        self._sequence = 0
        self._count = 0
        self._ended: dict[str, str] = {}

    def _attach(self, door: Door) -> Any:
        me = {"attempt": self.attempt, "web": f"http://127.0.0.1:1/{self.attempt}", "rpc": "127.0.0.1:6123"}
        return door.insist("/attach", me)

    def run(self) -> None:
        attachment = self._attach(self._commands)
        self._live, self._sequence = attachment["workers"], attachment["sequence"]
        threading.Thread(target=self._listen, args=(self._sequence,), daemon=True).start()
        seen, wants = (0, 0), {"workers": len(self._live)}
        while True:
            with self._news:
                if not self._batches:
                    self._news.wait(PAUSE)
                batches, self._batches = self._batches, []
            for kind, what in batches:
                (self._reattached if kind == "attached" else self._told)(what)
            if (found := _version(WANTS)) != seen:
                with open(WANTS) as file:
                    seen, wants = found, json.load(file)
            elif not batches:
                continue
            if "end" in wants:
                self._commands.insist("/deregister", {"status": wants["end"], "diagnostics": "as the file says"})
                return
            self._balance(wants)
            self._write()

    def _listen(self, after: int) -> None:
        while True:
            try:
                batch: tuple[str, Any] = ("events", self._poll.call(f"/events?after={after}"))
            except GoneError:
                batch = ("attached", self._attach(self._poll))
            except OSError:
                time.sleep(PAUSE)
                continue
            after = batch[1]["sequence"]
            with self._news:
                self._batches.append(batch)
                self._news.notify()

    def _told(self, batch: Any) -> None:
        for event in batch["events"]:
            if event["sequence"] > self._sequence:
                self._sequence = event["sequence"]
                if event["type"] == "started":
                    self._started(event["id"])
                elif event["type"] == "terminated":
                    self._terminated(event["id"], event["reason"])

    def _reattached(self, attachment: Any) -> None:
        self._sequence = attachment["sequence"]
        for worker in attachment["workers"]:
            self._started(worker)
        for worker in [name for name in self._live if name not in attachment["workers"]]:
            self._terminated(worker, "ended while its events were not held")
        for request in self._pending.values():
            self._commands.insist("/request", request)

    def _started(self, worker: str) -> None:
        if worker in self._live:
            return
        if self._pending.pop(worker, None) is None:
            self._commands.insist("/release", {"id": worker})
        else:
            self._live.append(worker)

    def _terminated(self, worker: str, reason: str) -> None:
        if self._pending.pop(worker, None) is not None or worker in self._live:
            self._ended[worker] = reason
        if worker in self._live:
            self._live.remove(worker)

    def _balance(self, wants: dict[str, Any]) -> None:
        while len(self._live) + len(self._pending) > wants["workers"]:
            worker = self._pending.popitem()[0] if self._pending else self._live.pop()
            self._commands.insist("/release", {"id": worker})
        while len(self._live) + len(self._pending) < wants["workers"]:
            self._count += 1
            names = wants.get("names", "taskmanager-{attempt}").format(attempt=self.attempt)
            worker = f"{names}-{self._count:05d}"
            request = {
                "id": worker,
                "cpus": wants.get("cpus", 0.01),
                "memory_mib": wants.get("memory_mib", 16),
                "slots": 1,
                "jvm": "",
                "dynamic": ["-D", f"taskmanager.resource-id={worker}"],
            }
            self._pending[worker] = request
            self._commands.insist("/request", request)

    def _write(self) -> None:
        knows = {
            "pid": os.getpid(),
            "attempt": self.attempt,
            "live": self._live,
            "pending": list(self._pending),
            "ended": self._ended,
        }
        with open(KNOWS + ".new", "w") as file:
            json.dump(knows, file)
        os.replace(KNOWS + ".new", KNOWS)


def _version(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0)
    return found.st_ino, found.st_mtime_ns


def _options(directory: str) -> dict[str, str]:
    with open(f"{directory}/config.yaml") as file:
        lines = [line.partition('": "') for line in file]
    return {json.loads(key + '"'): json.loads('"' + value) for key, _, value in lines}


if __name__ == "__main__":
    Driver(_options(sys.argv[sys.argv.index("--configDir") + 1])).run()
