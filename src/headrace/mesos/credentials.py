"""As whom a framework logs in: HTTP Basic authentication, which Mesos masters take of schedulers.

The secret stands in no message, log or state; our own master does not ask for it.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.kernel.daemon import UserError
from headrace.kernel.http import ClientResponse, ClientStream, HttpClient


class CredentialClient(HttpClient):
    """Shows principal and secret with every request."""

    def __init__(self, principal: str, secret: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        token = b2a_base64(f"{principal}:{secret}".encode(), newline=False).decode()
        self._header = {"Authorization": f"Basic {token}"}

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> ClientResponse:
        return await super().request(method, url, headers={**(headers or {}), **self._header}, **arguments)

    async def request_all(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> list[ClientResponse]:
        return await super().request_all(method, url, headers={**(headers or {}), **self._header}, **arguments)

    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> ClientStream:
        return await super().stream(method, url, headers={**(headers or {}), **self._header}, **arguments)


def read_secret(what: str, path: str) -> str:
    """The secret in a file. Raises UserError that names ``what`` gave the path."""
    try:
        text = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{what}: {path} can't be read: {error}") from error
    if not text:
        raise UserError(f"{what}: {path} is empty")
    return text
