"""The artifact server's HTTP, and what TaskManagers' tasks are told to fetch."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.flink.appmaster.artifacts import ArtifactServer
from headrace.flink.overlays.shipment import Artifact
from headrace.kernel.http import FileBody, HttpError, Request, Response, Router

BASE, KEY = "http://am:1", "unguessable"


class Served:
    """An artifact server with one public and one private file."""

    def __init__(self, directory: Path) -> None:
        self.jar, self.keytab = directory / "a b.jar", directory / "k"
        self.jar.write_bytes(b"0123456789")
        self.keytab.write_bytes(b"secret")
        server, self.router = ArtifactServer(BASE, KEY), Router()
        self.public = server.add(Artifact(self.jar, "flink/lib/a b.jar", "abc", executable=True))
        self.private = server.add(Artifact(self.keytab, "secrets/krb5.keytab"))
        server.add_routes(self.router)

    def ask(self, path: str, *, method: str = "GET", query: str = "", **headers: str) -> Response:
        response = self.router(Request(method, path, query, headers, b""))
        assert isinstance(response, Response)
        return response

    def refused(self, path: str, *, method: str = "GET", query: str = "") -> int:
        with pytest.raises(HttpError) as error:
            self.ask(path, method=method, query=query)
        return error.value.status


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_file_is_served_under_its_digest(served: Served, method: str) -> None:
    response = served.ask("/artifacts/abc/a b.jar", method=method)
    assert (response.status, response.body) == (200, FileBody(served.jar, 0, 10))
    assert response.content_type == "application/octet-stream"
    assert response.headers["Cache-Control"] == "private"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Last-Modified"].endswith("GMT")


def test_tasks_cache_it_by_its_digest(served: Served) -> None:
    uri = served.public
    assert uri.value == f"{BASE}/artifacts/abc/a%20b.jar#sha256=abc"
    assert (uri.cache, uri.extract, uri.executable, uri.output_file) == (True, False, True, "flink/lib/a b.jar")


def test_what_is_private_is_not_cached_nor_guessed(served: Served) -> None:
    uri = served.private
    assert uri.value == f"{BASE}/artifacts/private/secrets/krb5.keytab?key={KEY}"
    assert (uri.cache, uri.output_file) == (False, "secrets/krb5.keytab")
    path = "/artifacts/private/secrets/krb5.keytab"
    assert served.ask(path, query=f"key={KEY}").status == 200
    assert [served.refused(path, query=query) for query in ("", "key=x", "key=" + KEY[:-1])] == [404] * 3


@pytest.mark.parametrize(
    ("asked", "status", "span", "said"),
    [
        ("bytes=2-4", 206, (2, 3), "bytes 2-4/10"),
        ("bytes=7-", 206, (7, 3), "bytes 7-9/10"),
        ("bytes=7-99", 206, (7, 3), "bytes 7-9/10"),
        ("bytes=-4", 206, (6, 4), "bytes 6-9/10"),
        ("bytes=-99", 206, (0, 10), "bytes 0-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=4-2", 416, None, "bytes */10"),
        ("bytes=0-" + "9" * 5000, 416, None, "bytes */10"),
        ("bytes=-" + "9" * 5000, 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=1-2,4-5", 200, (0, 10), None),
        ("bytes=-", 200, (0, 10), None),
        ("lines=1-2", 200, (0, 10), None),
    ],
)
def test_ranges(served: Served, asked: str, status: int, span: tuple[int, int] | None, said: str | None) -> None:
    response = served.ask("/artifacts/abc/a b.jar", range=asked)
    assert response.status == status
    assert response.body == (FileBody(served.jar, *span) if span else b"")
    assert response.headers.get("Content-Range") == said


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/artifacts/abc/b.jar", 404),
        ("GET", "/artifacts/abd/a b.jar", 404),
        ("GET", "/artifacts/abc/a b.jar/../../x", 404),
        ("GET", "/artifacts/", 404),
        ("POST", "/artifacts/abc/a b.jar", 405),
        ("DELETE", "/artifacts/private/secrets/krb5.keytab", 405),
    ],
)
def test_what_is_not_served(served: Served, method: str, path: str, status: int) -> None:
    assert served.refused(path, method=method) == status


def test_a_file_that_is_gone_is_said_to_be(served: Served) -> None:
    served.jar.unlink()
    assert served.refused("/artifacts/abc/a b.jar") == 410
