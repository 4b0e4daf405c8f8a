"""One HTTPS request in a process of its own: ``python -m headrace.marathon.https_probe URL``.

The daemon does without OpenSSL, which would cost it 4 MB for a kind of check that few apps have.
Prints status, content type and the body's start as JSON. Certificates are not verified: a health
check asks whether a service answers, not who it is.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

import msgspec

from headrace.kernel.http import HttpClient, HttpClientError

_BODY = 10_000


class Seen(msgspec.Struct, frozen=True):
    """What the service answered."""

    status: int
    content_type: str
    body: str


async def look(url: str) -> Seen:
    """GET ``url``. Raises HttpClientError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    answer = await HttpClient(tls=context).request("GET", url)
    body = answer.body[:_BODY].decode("utf-8", "replace")
    return Seen(answer.status, answer.headers.get("content-type", ""), body)


def entry() -> int:
    """Exit status 1 and the cause on stdout if there is no answer."""
    try:
        sys.stdout.write(msgspec.json.encode(asyncio.run(look(sys.argv[1]))).decode())
    except (HttpClientError, OSError) as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(entry())
