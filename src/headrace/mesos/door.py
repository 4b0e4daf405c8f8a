"""What every Mesos API checks of a request before it looks at what is said; texts are Mesos's.

Pure but for the types of HTTP messages.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from headrace.kernel.http.messages import Response

TEXT = "text/plain; charset=utf-8"
STREAM_ID = "Mesos-Stream-Id"

T = TypeVar("T")

_BYTE = re.compile(r"\(byte (\d+)\)$")
_MISSING = re.compile(r"Object missing required field `(\w+)`(?: - at `\$\.?(.*?)`)?$")
_NEAR = 200

MAX_ELEMENTS = 250_000
"""Commas of a call in JSON, so that many values: small ones take much more memory than they are long."""


class CallError(Exception):
    """The call is malformed: HTTP status 400 with this text."""


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """``body`` as what ``decoder`` reads. Raises CallError, in the words of Mesos's parsers."""
    if len(body) > MAX_ELEMENTS and (commas := body.count(b",")) > MAX_ELEMENTS:
        raise CallError(f"It has {commas} commas, more than {MAX_ELEMENTS}; send less at once")
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise unconvertible(_explain(str(error))) from None
    except msgspec.DecodeError as error:
        raise CallError(f"Failed to parse body into JSON: {_syntax(body, str(error))}") from None
    except RecursionError:
        raise CallError("Failed to parse body into JSON: it is nested too deeply") from None
    except UnicodeDecodeError:
        raise CallError("Failed to parse body into JSON: it is not UTF-8") from None


def unconvertible(why: str) -> CallError:
    """JSON, but no call."""
    return CallError(f"Failed to convert JSON into Call protobuf: {why}")


def from_base64(field: str, text: str) -> bytes:
    """The bytes of a field. Raises CallError."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        bad = next((c for c in text if not (c.isascii() and (c.isalnum() or c in "+/="))), None)
        why = f"Invalid character '{bad}'" if bad else "Invalid length"
        raise unconvertible(f"Failed to base64 decode bytes field '{field}': {why}") from None


def text(status: int, words: str) -> Response:
    """An answer in words, or without a body."""
    return Response(status, words.encode(), TEXT if words else None)


def not_allowed(method: str, methods: Sequence[str]) -> Response:
    """The answer to a method that the path does not know."""
    expected = ", ".join(f"'{one}'" for one in methods)
    words = f"405 Method Not Allowed. Expecting one of {{ {expected} }}, but received '{method}'."
    return Response(405, words.encode(), TEXT, {"Allow": ", ".join(methods)})


def _syntax(body: bytes, why: str) -> str:
    """Where the JSON is broken, in the words of Mesos's parser."""
    match = _BYTE.search(why)
    at = int(match[1]) if match is not None else len(body)
    line = body.count(b"\n", 0, at) + 1
    near = body[at : at + _NEAR].split(b"\n", 1)[0].decode("utf-8", "replace")
    return f"syntax error at line {line} near: {near}"


def _explain(why: str) -> str:
    match = _MISSING.fullmatch(why)
    if match is not None:
        return f"Missing required fields: {match[2]}.{match[1]}" if match[2] else f"Missing required fields: {match[1]}"
    return "Expecting a JSON object" if why.startswith("Expected `object`, got") and "$" not in why else why
