"""Where a request goes, and its head, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

_PATH_SAFE = "/%:@!$&'()*+,;=~?-._[]"


class HttpClientError(Exception):
    """No answer: the server can't be reached, broke off, or took too long. Names the URL."""


class HttpTimeoutError(HttpClientError):
    """The server took too long."""


class HttpUnreachableError(HttpClientError):
    """There is no connection, so the server has not seen the request."""


def split_url(url: str) -> tuple[tuple[str, str, int], str, str]:
    """Scheme, host and port of a URL, the target to ask for there, and what Host says. Raises HttpClientError."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise HttpClientError(f"{url!r} is not a URL: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise HttpClientError(f"{url!r} is not an http:// or https:// URL")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port == 0:
        raise HttpClientError(f"{url!r} has no valid port (1 to 65535)")
    target = quote(parts.path or "/", safe=_PATH_SAFE)
    if parts.query:
        target += "?" + quote(parts.query, safe=_PATH_SAFE)
    return (parts.scheme, parts.hostname, port), target, parts.netloc.rpartition("@")[2]


def request_head(method: str, target: str, host: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
    """The head of a request; without a ``body`` it comes in chunks. Raises HttpClientError."""
    length = "Transfer-Encoding: chunked" if body is None else f"Content-Length: {len(body)}"
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", length]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise HttpClientError(f"{method} {target!r}: a header or the URL holds a line break")
    try:
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError:
        raise HttpClientError(f"{method} {target!r}: a header or the host's name is not Latin-1") from None
