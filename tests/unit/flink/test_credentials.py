"""As whom the framework logs in, and TLS of the artifact server."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from headrace.flink.appmaster import credentials, tls
from headrace.flink.listener import Listener
from headrace.kernel.daemon import UserError
from headrace.kernel.http import HttpServer, Request, Response
from headrace.mesos.credentials import CredentialClient

PRINCIPAL, SECRET, FILE = credentials.PRINCIPAL, credentials.SECRET, credentials.SECRET_FILE


async def test_principal_and_secret_are_shown_to_the_master() -> None:
    seen: list[dict[str, str]] = []

    def handler(request: Request) -> Response:
        seen.append(request.headers)
        return Response(202)

    server = HttpServer(handler)
    await server.start()
    client = credentials.client_for({PRINCIPAL: "flink", SECRET: "a:b"})
    url = f"http://127.0.0.1:{server.port}/api/v1/scheduler"
    await client.request("POST", url, headers={"Mesos-Stream-Id": "7"}, body=b"{}")
    stream = await client.stream("POST", url)
    stream.close()
    client.close()
    await server.stop()
    assert [headers["authorization"] for headers in seen] == ["Basic Zmxpbms6YTpi"] * 2
    assert seen[0]["mesos-stream-id"] == "7"


def test_without_a_secret_nothing_is_shown() -> None:
    assert not isinstance(credentials.client_for({PRINCIPAL: "flink"}), CredentialClient)


def test_secret_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("secret\n")
    client = credentials.client_for({PRINCIPAL: "p", FILE: str(tmp_path / "s")})
    assert isinstance(client, CredentialClient)
    assert client._header == {"Authorization": "Basic cDpzZWNyZXQ="}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({SECRET: "s"}, PRINCIPAL),
        ({SECRET: "s", PRINCIPAL: "a:b"}, "without colons"),
        ({SECRET: "s", FILE: "/f", PRINCIPAL: "p"}, "both give the secret"),
        ({FILE: "/no/where", PRINCIPAL: "p"}, "/no/where can't be read"),
        ({FILE: "/dev/null", PRINCIPAL: "p"}, "/dev/null is empty"),
    ],
)
def test_mistakes(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        credentials.client_for(options)
    assert message in str(error.value)


def test_without_a_certificate_there_is_no_tls() -> None:
    assert tls.context(Listener("h")) is None


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_certificate_that_is_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "c.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=r"headrace\.artifactserver\.ssl\.certificate: .*c\.pem can't be used"):
        tls.context(Listener("h", certificate=str(path)))


def test_a_process_without_openssl_starts_again_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda path, argv: started.append((path, argv)))
    monkeypatch.setenv(tls.VARIABLE, "")
    monkeypatch.delenv(tls.VARIABLE)
    tls.ensure()
    tls.ensure()
    assert started == [(sys.executable, sys.orig_argv)]
