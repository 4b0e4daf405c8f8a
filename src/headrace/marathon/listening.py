"""Where Marathon listens: HTTP, HTTPS with a certificate, or both."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.kernel.daemon import UserError
from headrace.kernel.http import HttpServer
from headrace.kernel.http.connection import Handler

if TYPE_CHECKING:
    import ssl  # 4 MB that a daemon without TLS can do without

_FLAG = "--ssl_keystore_path"
_JAVA = (b"\xfe\xed\xfe\xed", b"\x30")
"""How a Java key store begins, and how one in PKCS #12."""


class Listeners:
    """One server, or two with the same handler. Raises UserError if the certificate can't be used."""

    def __init__(self, options: argparse.Namespace, handler: Handler) -> None:
        names = [options.hostname] if options.hostname else []
        tls = certificate(options.ssl_keystore_path, options.ssl_keystore_password)
        self._plain: HttpServer | None = None
        self._secure: HttpServer | None = None
        if not options.disable_http:
            self._plain = HttpServer(handler, host=options.http_address, port=options.http_port, allowed_hosts=names)
        if tls is not None:
            self._secure = HttpServer(
                handler, host=options.https_address, port=options.https_port, allowed_hosts=names, tls=tls
            )

    async def start(self) -> None:
        """Listen. Raises OSError that names the address."""
        for server in self._servers():
            await server.start()

    async def stop(self) -> None:
        for server in self._servers():
            await server.stop()

    @property
    def scheme(self) -> str:
        return "https" if self._plain is None else "http"

    @property
    def port(self) -> int:
        return self._servers()[0].port

    @property
    def url(self) -> str:
        """Of the first listener."""
        first = self._servers()[0]
        return f"{self.scheme}://{first.host}:{first.port}"

    @property
    def ports(self) -> dict[str, int | None]:
        """As /v2/info tells them."""
        return {
            "http_port": self._plain.port if self._plain is not None else None,
            "https_port": self._secure.port if self._secure is not None else None,
        }

    def _servers(self) -> list[HttpServer]:
        return [one for one in (self._plain, self._secure) if one is not None]


def certificate(path: str | None, password: str | None) -> ssl.SSLContext | None:
    """The server's side of TLS with the certificate and the key in a PEM file; None without. Raises UserError."""
    if path is None:
        return None
    try:
        beginning = Path(path).read_bytes()[:4]
    except OSError as error:
        raise UserError(f"{_FLAG} {path}: can't be read: {error.strerror}") from error
    if beginning.startswith(_JAVA):
        raise UserError(
            f"{_FLAG} {path} is a Java key store; give a PEM file with certificate and key:"
            f" openssl pkcs12 -in {path} -nodes -out FILE.pem (of a JKS file first:"
            f" keytool -importkeystore -srckeystore {path} -destkeystore STORE.p12 -deststoretype pkcs12)"
        )
    import ssl

    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        made.load_cert_chain(path, password=lambda: password or "")
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or str(error)
        raise UserError(f"{_FLAG} {path}: no certificate and key that fit can be read from it: {why}") from error
    return made
