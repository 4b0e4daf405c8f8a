"""Recorded ids and the live ones that stand for them."""

from __future__ import annotations

import re


class Names:
    """Ids are bound once; ``live`` puts the live ones in the place of recorded ones."""

    def __init__(self) -> None:
        self._live: dict[str, str] = {}

    def bind(self, recorded: str, live: str) -> None:
        self._live[recorded] = live

    def __contains__(self, recorded: object) -> bool:
        return recorded in self._live

    def __getitem__(self, recorded: str) -> str:
        return self._live[recorded]

    def live(self, text: str) -> str:
        """``text`` with live ids; longer ones are put in first, so that none is cut by another."""
        for recorded in sorted(self._live, key=len, reverse=True):
            if recorded in text:
                text = re.sub(re.escape(recorded) + r"(?![\w-])", lambda _, r=recorded: self._live[r], text)  # type: ignore[misc]
        return text
