"""How operators and an agent speak: in whole messages, or in the records of a stream; texts are Mesos's.

A stream of records says so in its Content-Type, and the form of its records in Message-Content-Type; Accept and
Message-Accept are for the answer's.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from headrace.kernel import recordio
from headrace.kernel.http import EventStream, Request, Response
from headrace.kernel.http.messages import JSON
from headrace.mesos.content import Format, bare, not_acceptable, sent, wanted
from headrace.mesos.door import text
from headrace.mesos.messages.common import Message

RECORDIO = "application/recordio"
MESSAGE_TYPE, MESSAGE_ACCEPT = "Message-Content-Type", "Message-Accept"

T = TypeVar("T", bound=Message)


class Spoken:
    """How one request, which is there as a whole, is read and answered."""

    def __init__(self, request: Request, reads: Format) -> None:
        self._body, self._reads = request.body, reads
        accept = request.headers.get("accept")
        self._framed = RECORDIO in {bare(part) for part in (accept or "").split(",")}
        self._writes = wanted(accept)
        self._streams = wanted(request.headers.get(MESSAGE_ACCEPT.lower())) if self._framed else self._writes

    def read(self, kind: type[T]) -> T:
        """The request's body. Raises CallError."""
        return self._reads.read(self._body, kind)

    def refuses_answers(self, kind: str) -> Response | None:
        """The refusal if the client does not take what this agent answers to a call of this ``kind``."""
        if self._writes is not None:
            return None
        return text(406, f"Accept: {RECORDIO} is not supported for {kind} call") if self._framed else not_acceptable()

    def refuses_streams(self) -> Response | None:
        """The refusal if the client does not take what this agent streams."""
        return None if self._streams is not None else not_acceptable(MESSAGE_ACCEPT if self._framed else "Accept")

    def answer(self, message: Message) -> Response:
        """A whole answer, or the refusal if the client does not take it."""
        if self._writes is None:
            return not_acceptable()
        try:
            return Response(200, self._writes.write(message), self._writes.content_type)
        except ValueError as error:  # an executor has given what is no base64 where it should be
            return text(406, f"The answer can't be written as {self._writes.content_type}: {error}; accept {JSON}")

    def stream(self, stream: EventStream) -> Response:
        """An answer that goes on; to be asked for only if the client takes it."""
        assert self._streams is not None  # noqa: S101 - refuses_streams
        kind = self._streams.content_type
        if self._framed:
            return Response(200, stream, RECORDIO, {MESSAGE_TYPE: kind})
        return Response(200, stream, kind)

    def record(self, message: Message) -> bytes:
        """One record of such an answer."""
        assert self._streams is not None  # noqa: S101 - refuses_streams
        return recordio.encode(self._streams.write(message))


class Records(Generic[T]):
    """Reads the records of a streamed request, of ``most`` bytes each."""

    def __init__(self, form: Format, kind: type[T], most: int) -> None:
        self._form, self._kind = form, kind
        self._decoder = recordio.Decoder(most)

    def feed(self, chunk: bytes) -> list[T]:
        """The messages that a chunk completes. Raises CallError, RecordIOError."""
        return [self._form.read(record, self._kind) for record in self._decoder.feed(chunk)]


def negotiate(request: Request) -> Spoken | Response:
    """How to read and answer a request that is there as a whole, or the refusal."""
    reads = sent(request.headers.get("content-type"))
    return reads if isinstance(reads, Response) else Spoken(request, reads)


def streamed(request: Request) -> bool:
    """Whether a request's body is a stream of records."""
    return bare(request.headers.get("content-type")) == RECORDIO


def records_of(request: Request, kind: type[T], most: int) -> Records[T] | Response:
    """What reads a streamed request, or the refusal."""
    given = request.headers.get(MESSAGE_TYPE.lower())
    if not bare(given):
        return text(400, f"Expecting '{MESSAGE_TYPE}' to be set for streaming requests")
    form = sent(given)
    return form if isinstance(form, Response) else Records(form, kind, most)
