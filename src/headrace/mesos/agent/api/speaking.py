"""How operators and an agent speak: in whole messages, or in the records of a stream; texts are Mesos's.

A stream of records says so in its Content-Type, and the form of its records in Message-Content-Type; Accept and
Message-Accept are for the answer's.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from headrace.kernel import recordio
from headrace.kernel.http import EventStream, Request, Response
from headrace.kernel.http.messages import JSON
from headrace.mesos import content
from headrace.mesos.content import PROTOBUF_TYPE, Format, bare, sent, wanted
from headrace.mesos.door import text
from headrace.mesos.messages.common import Message

RECORDIO = "application/recordio"
MESSAGE_TYPE, MESSAGE_ACCEPT = "Message-Content-Type", "Message-Accept"

_EITHER = f"{JSON} or {PROTOBUF_TYPE}"

T = TypeVar("T", bound=Message)


class Spoken:
    """How one request, which is there as a whole, is read and answered.

    ``framed``: its answer is to be a stream of records that says so.
    """

    def __init__(self, spoken: content.Spoken, framed: bool) -> None:
        self.framed = framed
        self._spoken = spoken

    def read(self, kind: type[T]) -> T:
        """The request's body. Raises CallError."""
        return self._spoken.read(kind)

    def answer(self, message: Message) -> Response:
        """A whole answer."""
        return self._spoken.answer(message)

    def stream(self, stream: EventStream) -> Response:
        """An answer that goes on."""
        kind = self._spoken.writes.content_type
        if self.framed:
            return Response(200, stream, RECORDIO, {MESSAGE_TYPE: kind})
        return Response(200, stream, kind)

    def record(self, message: Message) -> bytes:
        """One record of such an answer."""
        return recordio.encode(self._spoken.writes.write(message))


class Records(Generic[T]):
    """Reads the records of a streamed request, of ``most`` bytes each."""

    def __init__(self, form: Format, kind: type[T], most: int) -> None:
        self._form, self._kind = form, kind
        self._decoder = recordio.Decoder(most)

    def feed(self, chunk: bytes) -> list[T]:
        """The messages that a chunk completes. Raises CallError, RecordIOError."""
        return [self._form.read(record, self._kind) for record in self._decoder.feed(chunk)]


def negotiate(request: Request) -> Spoken | Response:
    """How to read and answer a request that is there as a whole, or the refusal.

    Records come last: who takes them and JSON or protocol buffers, too, gets one of these.
    """
    reads = content.taken(request)
    if isinstance(reads, Response):
        return reads if reads.status != 415 else text(415, f"Expecting 'Content-Type' of {_EITHER} or {RECORDIO}")
    if MESSAGE_TYPE.lower() in request.headers:
        return text(415, f"Expecting '{MESSAGE_TYPE}' to be not set for non-streaming requests")
    accept, of_records = request.headers.get("accept"), request.headers.get(MESSAGE_ACCEPT.lower())
    writes = wanted(accept)
    if writes is not None:
        if of_records is not None:
            return text(406, f"Expecting '{MESSAGE_ACCEPT}' to be not set for non-streaming responses")
        return Spoken(content.Spoken(request.body, reads, writes), framed=False)
    if RECORDIO not in {bare(part) for part in (accept or "").split(",")}:
        return text(406, f"Expecting 'Accept' to allow {_EITHER} or {RECORDIO}")
    writes = wanted(of_records)
    if writes is None:
        return text(406, f"Expecting '{MESSAGE_ACCEPT}' to allow {_EITHER}")
    return Spoken(content.Spoken(request.body, reads, writes), framed=True)


def streamed(request: Request) -> bool:
    """Whether a request's body is a stream of records."""
    return bare(request.headers.get("content-type")) == RECORDIO


def records_of(request: Request, kind: type[T], most: int) -> Records[T] | Response:
    """What reads a streamed request, or the refusal."""
    given = request.headers.get(MESSAGE_TYPE.lower())
    if not bare(given):
        return text(400, f"Expecting '{MESSAGE_TYPE}' to be set for streaming requests")
    form = sent(given)
    if isinstance(form, Response):
        return text(415, f"Expecting '{MESSAGE_TYPE}' of {_EITHER}")
    return Records(form, kind, most)
