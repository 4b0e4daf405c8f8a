"""What the API is told about the daemon that it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Facts(msgspec.Struct, frozen=True):
    """``leader``: ``host:port`` or None; ``info`` and ``config``: what the flags say; ``abdicate`` ends the daemon.

    ``patience``: seconds that an answer may take, if there is a limit.
    """

    leader: Callable[[], str | None]
    info: Callable[[], dict[str, Any]]
    config: Callable[[], dict[str, Any]]
    abdicate: Callable[[], None]
    metrics_prefix: str = "marathon"
    prometheus: bool = True
    patience: float | None = None
