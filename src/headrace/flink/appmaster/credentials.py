"""As whom the framework logs in: HTTP Basic authentication, which Mesos masters take of schedulers.

The secret stands in no message, log or state; our own master does not ask for it.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.kernel.daemon import UserError
from headrace.kernel.http import ClientResponse, ClientStream, HttpClient

PRINCIPAL = "mesos.resourcemanager.framework.principal"
SECRET = "mesos.resourcemanager.framework.secret"  # noqa: S105 - the option's name
SECRET_FILE = "headrace.framework.secret-file"  # noqa: S105 - the option's name


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

    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, **arguments: Any
    ) -> ClientStream:
        return await super().stream(method, url, headers={**(headers or {}), **self._header}, **arguments)


def client_for(options: Mapping[str, str]) -> HttpClient:
    """The HTTP client for the master. Raises UserError if secret and principal don't go together."""
    principal, secret = options.get(PRINCIPAL, ""), _secret(options)
    if not secret:
        return HttpClient()
    if not principal or ":" in principal:
        raise UserError(f"a framework secret needs {PRINCIPAL}, a name without colons")
    return CredentialClient(principal, secret)


def _secret(options: Mapping[str, str]) -> str:
    if SECRET in options and SECRET_FILE in options:
        raise UserError(f"options {SECRET} and {SECRET_FILE} both give the secret; leave one away")
    if SECRET_FILE not in options:
        return options.get(SECRET, "")
    try:
        text = Path(options[SECRET_FILE]).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"option {SECRET_FILE}: {options[SECRET_FILE]} can't be read: {error}") from error
    if not text:
        raise UserError(f"option {SECRET_FILE}: {options[SECRET_FILE]} is empty")
    return text
