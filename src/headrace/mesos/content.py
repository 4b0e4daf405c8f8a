"""In which form messages come and go at the doors: JSON or protocol buffers, negotiated as Mesos does it.

What is sent (Content-Type) and what is wanted (Accept) are looked at apart: a call may come in one form and be
answered in the other. Who takes both is answered in JSON. Texts are Mesos's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from headrace.kernel.http.messages import JSON as JSON_TYPE
from headrace.kernel.http.messages import Request, Response
from headrace.mesos.door import CallError, decode, text, unconvertible
from headrace.mesos.messages.common import Message

PROTOBUF_TYPE = "application/x-protobuf"

MAX_PROTOBUF = 4 * 1024 * 1024
"""Bytes of a body; it is read in Python, while nobody else is answered."""

M = TypeVar("M", bound=Message)

_encode_json = msgspec.json.Encoder().encode
_decoders: dict[type[Message], msgspec.json.Decoder[Any]] = {}


class Spliced(Protocol):
    """A message that writes itself, from parts that were written before."""

    def json(self) -> bytes:
        """In JSON."""

    def protobuf(self) -> bytes:
        """In protocol buffers. Raises ValueError as ``Format.write``."""


class Format(Protocol):
    """A form of messages."""

    @property
    def content_type(self) -> str:
        """Its name in headers."""

    def read(self, body: bytes, kind: type[M]) -> M:
        """A call. Raises CallError."""

    def unreadable(self, why: str) -> CallError:
        """What to raise for a body that is sound in this form, but no call."""

    def write(self, message: msgspec.Struct | Spliced) -> bytes:
        """A message.

        Raises ValueError for what has no such form: a client has given text for bytes that is not base64.
        """


class _Json:
    content_type = JSON_TYPE

    def read(self, body: bytes, kind: type[M]) -> M:
        decoder: msgspec.json.Decoder[M] = _decoder(kind)
        return decode(body, decoder)

    def unreadable(self, why: str) -> CallError:
        return unconvertible(why)

    def write(self, message: msgspec.Struct | Spliced) -> bytes:
        return _encode_json(message) if isinstance(message, msgspec.Struct) else message.json()


class _Protobuf:
    """Loaded at the first use: who speaks only JSON pays nothing."""

    content_type = PROTOBUF_TYPE

    def read(self, body: bytes, kind: type[M]) -> M:
        from headrace.kernel.protobuf import decoding

        try:
            return decoding.decode(body, kind)
        except decoding.DecodeError as error:
            raise self.unreadable(str(error)) from None

    def unreadable(self, why: str) -> CallError:
        return CallError(f"Failed to parse body into Call protobuf: {why}")

    def write(self, message: msgspec.Struct | Spliced) -> bytes:
        from headrace.kernel.protobuf import encoding

        return encoding.encode(message) if isinstance(message, msgspec.Struct) else message.protobuf()


JSON: Format = _Json()
PROTOBUF: Format = _Protobuf()
_FORMATS = {one.content_type: one for one in (JSON, PROTOBUF)}


class Spoken(NamedTuple):
    """How one request is read and answered."""

    body: bytes
    reads: Format
    writes: Format

    def read(self, kind: type[M]) -> M:
        """The call in the body. Raises CallError."""
        return self.reads.read(self.body, kind)

    def answer(self, message: msgspec.Struct) -> Response:
        """An answer that is one message."""
        form = self.writes
        try:
            return Response(200, form.write(message), form.content_type)
        except ValueError as error:  # a client has given what is no base64 where it should be
            return text(406, f"The answer can't be written as {form.content_type}: {error}; accept {JSON_TYPE}")


def negotiate(request: Request) -> Spoken | Response:
    """How to read and answer a request whose answer is a message, or the refusal."""
    reads = taken(request)
    if isinstance(reads, Response):
        return reads
    writes = wanted(request.headers.get("accept"))
    return not_acceptable() if writes is None else Spoken(request.body, reads, writes)


def taken(request: Request) -> Format | Response:
    """The form of a request's body, or the refusal: also of one that is too large for its form."""
    form = sent(request.headers.get("content-type"))
    if form is PROTOBUF and len(request.body) > MAX_PROTOBUF:
        return text(413, f"A body of {PROTOBUF_TYPE} may have {MAX_PROTOBUF} bytes; send less at once, or {JSON_TYPE}")
    return form


def sent(content_type: str | None) -> Format | Response:
    """The form of a body, or the refusal."""
    kind = bare(content_type)
    if not kind:
        return text(400, "Expecting 'Content-Type' to be present")
    found = _FORMATS.get(kind)
    return found or text(415, f"Expecting 'Content-Type' of {JSON_TYPE} or {PROTOBUF_TYPE}")


def wanted(accept: str | None) -> Format | None:
    """The form that a client takes, JSON before the other; one that says nothing takes anything."""
    if not accept:
        return JSON
    kinds = {bare(part) for part in accept.split(",")}
    return next((one for one in (JSON, PROTOBUF) if not kinds.isdisjoint(_covering(one))), None)


def not_acceptable(header: str = "Accept") -> Response:
    """The answer to a client that takes neither form."""
    return text(406, f"Expecting '{header}' to allow '{PROTOBUF_TYPE}' or '{JSON_TYPE}'")


def bare(kind: str | None) -> str:
    """A media type without its parameters, in lower case."""
    return (kind or "").partition(";")[0].strip().lower()


def _covering(one: Format) -> Iterable[str]:
    return (one.content_type, "application/*", "*/*")


def _decoder(kind: type[M]) -> msgspec.json.Decoder[M]:
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    return decoder
