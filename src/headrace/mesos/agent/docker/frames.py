"""The engine's framing of output: stream number, three zero bytes, the length in four bytes, the data; repeated.

Sans-IO: bytes in, frames out. Source: Docker Engine API, "Attach to a container, stream format".
"""

from __future__ import annotations

STDOUT = 1
STDERR = 2

_HEAD = 8
_MAX_FRAME = 64 * 1024 * 1024


class FrameError(ValueError):
    """What came is no framed output."""


class FrameDecoder:
    """Turns chunks, cut anywhere, into whole frames (stream, data)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """Take a chunk; return the frames that it completes. Raises FrameError."""
        buffer = self._buffer
        buffer += chunk
        frames: list[tuple[int, bytes]] = []
        at = 0
        while len(buffer) - at >= _HEAD:
            stream, length = buffer[at], int.from_bytes(buffer[at + 4 : at + _HEAD], "big")
            if stream > 3 or any(buffer[at + 1 : at + 4]) or length > _MAX_FRAME:
                raise FrameError(f"the engine's output is not framed as expected: {bytes(buffer[at : at + _HEAD])!r}")
            end = at + _HEAD + length
            if len(buffer) < end:
                break
            frames.append((stream, bytes(buffer[at + _HEAD : end])))
            at = end
        del buffer[:at]
        return frames
