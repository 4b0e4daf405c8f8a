"""The heads of answers, as bytes."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus

from headrace.kernel.http.messages import Response

_NO_SNIFFING = "X-Content-Type-Options: nosniff"
_REASONS = {status.value: status.phrase for status in HTTPStatus}


def head_of(response: Response, length: int | None, keep_alive: bool) -> bytes:
    """The head of an answer; ``length`` None: its body comes in chunks."""
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}", f"Date: {_date()}", _NO_SNIFFING]
    if response.content_type:
        lines.append(f"Content-Type: {response.content_type}")
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    for name, value in response.headers.items():
        lines.append(f"{name}: {_one_line(value)}")
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _one_line(value: str) -> str:
    return value.replace("\r", " ").replace("\n", " ")


_last_date: tuple[int, str] = (0, "")


def _date() -> str:
    global _last_date
    second = int(time.time())
    if _last_date[0] != second:
        _last_date = (second, formatdate(second, usegmt=True))
    return _last_date[1]
