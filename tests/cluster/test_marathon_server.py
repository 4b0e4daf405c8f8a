"""Marathon's flags about listening, passwords and slow readers, and the end of a leader, with real processes."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Daemon, cluster, get, wait_for
from tests.cluster.test_marathon_reads import Client, run

BODY = {"id": "/a", "cmd": "exec sleep 1000", "cpus": 0.1, "mem": 16}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return make_certificate(tmp_path)


def make_certificate(directory: Path) -> Path:
    """Certificate and key in one file."""
    path = directory / "marathon.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    key = directory / "key.pem"
    subprocess.run([*request, *names, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_text(path.read_text() + key.read_text())
    return path


def fetch(url: str, certificate: Path | None = None, credentials: str = "") -> tuple[int, Any, dict[str, str]]:
    request = urllib.request.Request(url)  # noqa: S310 - our own daemon
    if credentials:
        request.add_header("Authorization", "Basic " + base64.b64encode(credentials.encode()).decode())
    context = ssl.create_default_context(cafile=str(certificate)) if certificate is not None else None
    try:
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:  # noqa: S310
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


def test_https_alone_and_a_password(tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARATHON_DISABLE_HTTP", "")
    monkeypatch.setenv("MESOSPHERE_KEYSTORE_PATH", str(certificate))
    with cluster(tmp_path / "home", agents=0) as it:
        marathon = it.add_marathon("--https_port", "0", "--http_credentials", "me:hush")
        assert marathon.url.startswith("https://127.0.0.1:")
        assert fetch(f"{marathon.url}/ping", certificate)[:2] == (200, b"pong")
        status, _, headers = fetch(f"{marathon.url}/v2/info", certificate)
        assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="Mesosphere"')
        status, text, headers = fetch(f"{marathon.url}/v2/info", certificate, "me:hush")
        info = json.loads(text)
        assert (status, headers["X-Marathon-Leader"]) == (200, marathon.url)
        assert info["http_config"] == {"http_port": None, "https_port": int(marathon.url.rpartition(":")[2])}
        assert b"hush" not in fetch(f"{marathon.url}/config", certificate, "me:hush")[1]


def test_a_java_key_store_is_refused(tmp_path: Path) -> None:
    for name, start in (("old.jks", b"\xfe\xed\xfe\xed"), ("new.p12", b"\x30\x82")):
        store = tmp_path / name
        store.write_bytes(start + b"rest")
        status, text = run("--master=m:1", "--http_port=0", "--ssl_keystore_path", str(store), data=tmp_path / "d")
        assert (status, "is a Java key store" in text, f"openssl pkcs12 -in {store}" in text) == (112, True, True)
    status, text = run("--master=m:1", "--ssl_keystore_path", str(tmp_path / "none"), data=tmp_path / "d")
    assert (status, "can't be read: No such file" in text) == (112, True)


def test_the_word_marathon_and_its_environment(tmp_path: Path) -> None:
    """As a package's script starts it: the console script's entry, run_jar, a JVM's words, flags from variables."""
    program = "import sys; sys.argv[0] = 'marathon'; from headrace.marathon.__main__ import entry; entry()"
    environment = {**os.environ, "MARATHON_MASTER": "m:1", "MARATHON_APP_ID": "/marathon", "MARATHON_ZK_TIMEOUT": "x"}
    done = subprocess.run(
        [sys.executable, "-c", program, "-Duser.dir=/x", "run_jar", "--data", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, "'x' is not a time" in done.stderr) == (112, True), done.stderr


def test_a_leader_that_goes_leaves_its_tasks(tmp_path: Path) -> None:
    with cluster(tmp_path) as it:
        marathon = it.add_marathon()
        client = Client(marathon)
        assert client.ask("POST", "/v2/apps", BODY)[0] == 201
        task = wait_for(lambda: running(marathon), "it runs")
        # who has given up goes half a second later: both requests are there when it does so
        host, _, port = client.address.partition(":")
        end = f"HTTP/1.1\r\nHost: {client.address}\r\n\r\n"
        with socket.create_connection((host, int(port)), 60) as connection:
            connection.sendall(f"DELETE /v2/leader {end}GET /ping {end}".encode())
            answers = b""
            while part := connection.recv(65536):
                answers += part
        assert answers.count(b"HTTP/1.1 200 ") == 2, answers
        assert answers.endswith(b"pong")
        wait_for(lambda: marathon.status is not None, "it goes")
        assert marathon.stop() == 103
        assert "the leadership was given up" in marathon.log.read_text()
        marathon.start()
        assert wait_for(lambda: running(marathon), "it is found again") == task


def running(marathon: Daemon) -> str:
    tasks = get(f"{marathon.url}/v2/apps/a/tasks")["tasks"]
    return next((one["id"] for one in tasks if one["state"] == "TASK_RUNNING"), "")


def test_a_slow_reader_of_events_is_cut_off_alone(tmp_path: Path) -> None:
    with cluster(tmp_path, agents=0) as it:
        client = Client(it.add_marathon("--event_stream_max_outstanding_messages", "5"))
        lazy = socket.socket()
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, _, port = client.address.partition(":")
        lazy.connect((host, int(port)))
        lazy.sendall(f"GET /v2/events HTTP/1.1\r\nHost: {client.address}\r\nAccept: text/event-stream\r\n\r\n".encode())
        brisk = client.open("/v2/events?event_type=event_stream_detached")
        large = {**BODY, "instances": 0, "labels": {"text": "x" * 400_000}}
        for number in range(60):
            status, _, text = client.ask("PUT", "/v2/apps/a", {**large, "mem": 16 + number})
            assert status in (200, 201), text
            if brisk.seen():
                break
        wait_for(brisk.seen, "the lazy one is cut off")
        assert [one["eventType"] for one in brisk.seen()] == ["event_stream_detached"]
        lazy.close()
        brisk.close()


def test_a_login_at_the_master(tmp_path: Path) -> None:
    """The secret comes from a file and is shown with every call; here to a master that only listens."""
    (tmp_path / "secret").write_text("hidden\n")
    with socket.create_server(("127.0.0.1", 0)) as master:
        address = f"127.0.0.1:{master.getsockname()[1]}"
        words = ["--mesos_authentication", "--mesos_authentication_principal=me"]
        words += [f"--mesos_authentication_secret_file={tmp_path / 'secret'}", "--master", address]
        marathon = Daemon("marathon", "headrace.marathon", ["--port", "0", "--data", str(tmp_path), *words], tmp_path)
        marathon.start()
        try:
            master.settimeout(60)
            connection, _ = master.accept()
            with connection:
                connection.settimeout(60)
                asked = b""
                while b'"principal":"me"' not in asked and (part := connection.recv(65536)):
                    asked += part
        finally:
            marathon.stop()
    assert f"Authorization: Basic {base64.b64encode(b'me:hidden').decode()}" in asked.decode()
    assert b'"principal":"me"' in asked
