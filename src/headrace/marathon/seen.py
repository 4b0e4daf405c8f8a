"""What a probe sees of a web service: the status, and the body's start. Used by the daemon and by ``https_probe``."""

from __future__ import annotations

import asyncio

import msgspec

from headrace.kernel.http import HttpClient

MAX_ANSWER = 64 * 1024
_BODY = 10_000


class Seen(msgspec.Struct, frozen=True):
    """What the service answered."""

    status: int
    content_type: str
    body: str


async def look(client: HttpClient, url: str, timeout: float) -> Seen:
    """GET ``url`` within ``timeout`` seconds; the rest of an answer longer than 64 KiB is not read.

    Raises HttpClientError, TimeoutError.
    """
    async with asyncio.timeout(timeout):
        answer = await client.stream("GET", url, headers={"Connection": "close"}, timeout=timeout)
        try:
            body, size = b"", 0
            async for chunk in answer:
                size += len(chunk)
                body += chunk[: _BODY - len(body)]
                if size > MAX_ANSWER:
                    break
        finally:
            answer.close()
    return Seen(answer.status, answer.headers.get("content-type", ""), body.decode("utf-8", "replace"))
