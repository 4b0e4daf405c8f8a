"""Uploads a jar to a Flink cluster piece by piece, so that even a large one needs little memory and shows progress."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from headrace.cli.api import CommandError
from headrace.cli.errors import server_message

if TYPE_CHECKING:
    from http.client import HTTPConnection

_BOUNDARY = "headrace-7d1c0a52b3f44f0e"
_PIECE = 256 * 1024
_PATIENCE = 300.0
_TAIL = f"\r\n--{_BOUNDARY}--\r\n".encode()


class _Uploaded(msgspec.Struct):
    filename: str


def check_jar(jar: Path) -> int:
    """The size of a jar in bytes. Raises CommandError if it is none."""
    from zipfile import is_zipfile  # needed for uploads only

    try:
        with jar.open("rb") as file:
            if not is_zipfile(file):
                raise CommandError(f"{jar} is not a jar (a zip file), or not a whole one")
            return os.fstat(file.fileno()).st_size
    except OSError as error:
        raise CommandError(f"the jar {jar} can't be read: {error.strerror}") from None


async def upload(url: str, cluster: str, jar: Path, on_sent: Callable[[int], object]) -> str:
    """Upload the jar to the REST API at ``url``; returns its id there.

    ``on_sent`` gets numbers of bytes as they go, in another thread. Raises CommandError.
    """
    size = check_jar(jar)
    sending = _Sending(url, cluster, jar, size, on_sent)
    try:
        return await asyncio.to_thread(sending.run)
    except asyncio.CancelledError:
        sending.abort()
        raise


class _Sending:
    """One upload, in a thread of its own."""

    def __init__(self, url: str, cluster: str, jar: Path, size: int, on_sent: Callable[[int], object]) -> None:
        self._url = urlsplit(url)
        self._cluster = cluster
        self._jar = jar
        self._size = size
        self._on_sent = on_sent
        self._aborted = threading.Event()

    def abort(self) -> None:
        """End it with the next piece."""
        self._aborted.set()

    def run(self) -> str:
        from http import client  # needed for uploads only

        kind = client.HTTPSConnection if self._url.scheme == "https" else client.HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=_PATIENCE)
        try:
            status, body = self._exchange(connection)
        except (OSError, client.HTTPException) as error:
            raise CommandError(f"Flink cluster {self._cluster} did not take {self._jar}: {error}") from None
        finally:
            connection.close()
        if status != 200:
            raise CommandError(f"Flink cluster {self._cluster} says ({status}): {server_message(status, body)}")
        try:
            return msgspec.json.decode(body, type=_Uploaded).filename.rpartition("/")[2]
        except msgspec.DecodeError as error:
            raise CommandError(f"Flink cluster {self._cluster} sent what can't be read: {error}") from None

    def _exchange(self, connection: HTTPConnection) -> tuple[int, bytes]:
        head = _head(self._jar.name)
        headers = {
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
            "Content-Length": str(len(head) + self._size + len(_TAIL)),
        }
        path = self._url.path.rstrip("/") + "/jars/upload"
        try:
            connection.request("POST", path, body=self._pieces(head), headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            return self._broken_off(connection)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def _broken_off(self, connection: HTTPConnection) -> tuple[int, bytes]:
        """The server's answer to an upload that it did not want to the end."""
        try:
            answer = connection.getresponse()
            return answer.status, answer.read()
        except OSError:
            raise CommandError(
                f"Flink cluster {self._cluster} broke off the upload of {self._jar}; "
                "the JobManager's log (`headrace flink logs`) may say why"
            ) from None

    def _pieces(self, head: bytes) -> Iterator[bytes]:
        yield head
        left = self._size
        with self._jar.open("rb") as file:
            while left and (piece := file.read(min(_PIECE, left))):
                if self._aborted.is_set():
                    raise OSError("given up")
                yield piece
                left -= len(piece)
                self._on_sent(len(piece))
        if left:
            raise OSError("it became shorter meanwhile")
        yield _TAIL


def _head(name: str) -> bytes:
    return (
        f"--{_BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="jarfile"; filename="{quote(name)}"\r\n'
        "Content-Type: application/java-archive\r\n\r\n"
    ).encode()
