r"""RecordIO, the framing of Mesos event streams: ``<length in decimal>\n<record>``, repeated.

Sans-IO: bytes in, records out. Source: Apache Mesos documentation, "Scheduler HTTP API, RecordIO".
"""

from __future__ import annotations

_MAX_DIGITS = 20


class RecordIOError(ValueError):
    """The peer sent something that is not RecordIO."""


def encode(record: bytes) -> bytes:
    """Frame one record."""
    return b"%d\n%b" % (len(record), record)


class Decoder:
    """Turns chunks, cut anywhere, into whole records."""

    def __init__(self, max_record: int = 256 * 1024 * 1024) -> None:
        self._buffer = bytearray()
        self._expect: int | None = None
        self._max_record = max_record

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return the records that it completes.

        Raises RecordIOError for a length that is no number or above the limit.
        """
        buffer = self._buffer
        buffer += chunk
        records: list[bytes] = []
        start = 0
        while True:
            if self._expect is None:
                newline = buffer.find(b"\n", start)
                if newline < 0:
                    if len(buffer) - start > _MAX_DIGITS:
                        raise RecordIOError("record length is not followed by a newline")
                    break
                self._expect = self._length(bytes(buffer[start:newline]))
                start = newline + 1
            end = start + self._expect
            if len(buffer) < end:
                break
            records.append(bytes(buffer[start:end]))
            start = end
            self._expect = None
        del buffer[:start]
        return records

    def _length(self, digits: bytes) -> int:
        if not digits.isdigit() or len(digits) > _MAX_DIGITS:
            raise RecordIOError(f"record length {digits[:_MAX_DIGITS]!r} is not a number")
        length = int(digits)
        if length > self._max_record:
            raise RecordIOError(f"record of {length} bytes is above the limit of {self._max_record}")
        return length
