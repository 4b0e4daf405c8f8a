"""A store that forgets everything with its process: for tests and simulations."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.kernel.core import Put
from headrace.kernel.store.protocol import Write


class MemoryStore:
    """A dict behind the store's protocol."""

    def __init__(self, content: dict[str, bytes] | None = None) -> None:
        self.content: dict[str, bytes] = dict(content or {})

    def load(self) -> dict[str, bytes]:
        return dict(self.content)

    async def commit(self, writes: Sequence[Write]) -> None:
        for write in writes:
            if isinstance(write, Put):
                self.content[write.key] = write.value
            else:
                self.content.pop(write.key, None)

    def close(self) -> None:
        pass
