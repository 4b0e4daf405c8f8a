"""One HTTPS request in a process of its own: ``python -m headrace.marathon.https_probe URL SECONDS``.

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
from headrace.marathon.seen import Seen, look


async def look_over_tls(url: str, timeout: float) -> Seen:
    """GET ``url`` within ``timeout`` seconds. Raises HttpClientError, TimeoutError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return await look(HttpClient(tls=context), url, timeout)


def entry() -> int:
    """Exit status 1 and the cause on stdout if there is no answer."""
    try:
        sys.stdout.write(msgspec.json.encode(asyncio.run(look_over_tls(sys.argv[1], float(sys.argv[2])))).decode())
    except (HttpClientError, OSError) as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(entry())
