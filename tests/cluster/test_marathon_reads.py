"""What Marathon shows, and how it takes its command line. No agents: apps wait, nothing runs."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Daemon, cluster, wait_for


class Client:
    """GET and POST against one Marathon."""

    def __init__(self, daemon: Daemon) -> None:
        self.address = daemon.url.removeprefix("http://")

    def ask(self, method: str, path: str, body: Any = None, accept: str = "*/*") -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=60)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Accept": accept})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type") or "", answer.read()
        finally:
            connection.close()

    def open(self, path: str) -> Stream:
        """The event stream."""
        return Stream(self.address, path)

    def get(self, path: str) -> Any:
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)


class Stream:
    """What an event stream has said so far; it hears all that happens once this is made."""

    def __init__(self, address: str, path: str) -> None:
        host, _, port = address.partition(":")
        self._socket = socket.create_connection((host, int(port)), 60)
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n".encode())
        self._text = b""
        while b"\r\n\r\n" not in self._text and (part := self._socket.recv(65536)):
            self._text += part
        self._socket.settimeout(0.02)

    def seen(self) -> list[dict[str, Any]]:
        """All events."""
        with suppress(TimeoutError):
            while part := self._socket.recv(65536):
                self._text += part
        whole = self._text[: self._text.rfind(b"\n") + 1]  # the last line may not be all there
        return [json.loads(line[6:]) for line in whole.decode().splitlines() if line.startswith("data: ")]

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with cluster(tmp_path_factory.mktemp("reads"), agents=0) as it:
        client = Client(it.add_marathon())
        for app_id, labels in (("/a", {"env": "prod"}), ("/g/b", {"env": "dev", "x": "y"}), ("/g/h/c", {})):
            body = {"id": app_id, "cmd": f"run {app_id}", "labels": labels}
            assert client.ask("POST", "/v2/apps", body)[0] == 201
        yield client


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", ["/a", "/g/b", "/g/h/c"]),
        ("?id=G/", ["/g/b", "/g/h/c"]),
        ("?cmd=RUN%20/a", ["/a"]),
        ("?label=env", ["/a", "/g/b"]),
        ("?label=env!%3Dprod", ["/g/b"]),
        ("?label=env%20in%20(dev,test),x%3D%3Dy", ["/g/b"]),
    ],
)
def test_lists_of_apps(client: Client, query: str, ids: list[str]) -> None:
    assert [app["id"] for app in client.get(f"/v2/apps{query}")["apps"]] == ids


def test_a_bad_label_selector(client: Client) -> None:
    status, _, body = client.ask("GET", "/v2/apps?label=a%20b")
    assert status == 422
    assert "Can not parse label selector" in json.loads(body)["message"]


def test_apps_of_a_group(client: Client) -> None:
    assert [app["id"] for app in client.get("/v2/apps/g/*")["*"]] == ["/g/b", "/g/h/c"]
    assert client.ask("GET", "/v2/apps/none/*")[0] == 404
    assert client.get("/v2/apps/g/*/tasks") == {"tasks": []}  # they wait for an agent


@pytest.mark.parametrize("path", ["/v2/apps/g/b", "/v2/apps//g/b", "/v2/apps/g/b/", "/v2/apps/%2Fg%2Fb"])
def test_ids_in_paths(client: Client, path: str) -> None:
    assert client.get(path)["app"]["id"] == "/g/b"


def test_groups(client: Client) -> None:
    root = client.get("/v2/groups")
    assert [app["id"] for app in root["apps"]] == ["/a"]
    (group,) = root["groups"]
    assert (group["id"], [one["id"] for one in group["groups"]]) == ("/g", ["/g/h"])
    assert client.get("/v2/groups//g/h")["apps"][0]["id"] == "/g/h/c"
    only = client.get("/v2/groups?embed=group.groups&embed=group.apps&embed=group.apps.counts")
    assert only["apps"][0]["tasksRunning"] == 0


def test_versions(client: Client) -> None:
    (version,) = client.get("/v2/apps/a/versions")["versions"]
    assert client.get(f"/v2/apps/a/versions/{version}")["id"] == "/a"
    assert client.ask("GET", "/v2/apps/a/versions/x")[0] == 422
    assert client.ask("GET", "/v2/apps/a/versions/2020-01-01T00:00:00.000Z")[0] == 404


def test_the_small_pages(client: Client) -> None:
    assert client.ask("GET", "/ping") == (200, "text/plain", b"pong")
    assert client.ask("GET", "/ping", accept="application/json")[2] == b'"pong"'
    assert client.get("/v2/leader") == {"leader": client.address}
    wait_for(lambda: client.get("/v2/info")["frameworkId"], "it is subscribed")
    info = client.get("/v2/info")
    assert (info["name"], info["elected"]) == ("marathon", True)
    assert client.get("/metrics")["gauges"]["marathon.apps.active.gauge"] == {"value": 3}
    assert b"marathon_apps_active_gauge 3" in client.ask("GET", "/metrics/prometheus")[2]
    assert len(client.get("/v2/queue")["queue"]) == 3
    assert client.get("/v2/deployments")[0]["totalSteps"] == 2


def run(*arguments: str, data: Path) -> tuple[int, str]:
    """Exit status and stderr of a Marathon that should not start."""
    command = [sys.executable, "-m", "headrace.marathon", "--data", str(data), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stderr


def test_a_user_s_mistakes_are_explained_in_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        mistakes = {
            "names no znode; write zk://z:2181/path": (112, ["run_jar", "--master", "m:5050", "--zk", "zk://z:2181"]),
            "is not understood": (112, ["--master", "nonsense", "--port", "0"]),
            f"can't listen on 127.0.0.1:{port}": (111, ["--master", "m:5050", "--http_port", port]),
            "--http_port": (112, ["--master", "m:5050", "--http_port", "99999"]),
            "there is no flag --mastre; do you mean --master?": (112, ["--mastre", "m:5050"]),
        }
        for number, (text, (expected, arguments)) in enumerate(mistakes.items()):
            status, error = run(*arguments, data=tmp_path / str(number))
            assert status == expected, error
            assert text in error
            assert "Traceback" not in error
