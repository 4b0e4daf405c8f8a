"""Calls to the daemons' HTTP APIs for commands: JSON in, JSON out, errors for people."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import msgspec

from headrace.cli.errors import server_message
from headrace.kernel.http import ClientResponse, HttpClient, HttpClientError

T = TypeVar("T")


FAILED, NOT_THERE, TOO_LATE = 1, 3, 4
"""Exit statuses: it failed; there is no such thing; it is not done in time. 2 is wrong usage."""


_NOT_FOUND = 404


class CommandError(Exception):
    """A command could not do what was asked: what failed, where, and why; ``status`` is the exit status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


class NoAnswerError(CommandError):
    """A server can't be reached, broke off, or took too long."""


class AnswerError(CommandError):
    """A server answers with an error; ``code`` is its HTTP status."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, NOT_THERE if code == _NOT_FOUND else FAILED)
        self.code = code


def passes(error: CommandError) -> bool:
    """Whether the same may go well a little later: the server was away, or could not do it (5xx)."""
    return isinstance(error, NoAnswerError) or (isinstance(error, AnswerError) and error.code >= 500)


class Server:
    """One daemon's API. ``hint`` tells what to do when nobody answers."""

    def __init__(self, name: str, url: str, http: HttpClient, hint: str = "") -> None:
        self.name = name
        self.url = url.rstrip("/")
        self._http = http
        self._hint = hint

    async def get(self, path: str, type: type[T], timeout: float = 30.0) -> T:  # noqa: A002
        """GET; the body as ``type``. Raises CommandError."""
        return self._decode(await self.call("GET", path, timeout=timeout), type)

    async def send(self, method: str, path: str, body: Any = None, *, timeout: float = 30.0) -> Any:
        """Send JSON; the answer's JSON, None if it has no body. Raises CommandError."""
        content = b"" if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = await self.call(method, path, content, headers, timeout=timeout)
        return self._decode(answer, object) if answer.body else None

    async def call(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        timeout: float = 30.0,
        also: Collection[int] = (),
    ) -> ClientResponse:
        """Any call; raises CommandError unless the status is 2xx or one of ``also``."""
        try:
            answer = await self._http.request(method, self.url + path, body=body, headers=headers, timeout=timeout)
        except HttpClientError as error:
            raise NoAnswerError(f"{self.name} does not answer: {error}{self._hint and '; ' + self._hint}") from None
        if answer.status // 100 != 2 and answer.status not in also:
            message = f"{self.name} says ({answer.status}): {server_message(answer.status, answer.body)}"
            raise AnswerError(message, answer.status)
        return answer

    def _decode(self, answer: ClientResponse, type: type[T]) -> T:  # noqa: A002
        try:
            return msgspec.json.decode(answer.body, type=type)
        except msgspec.DecodeError as error:
            raise CommandError(f"{self.name} at {self.url} sent what can't be read: {error}") from None
