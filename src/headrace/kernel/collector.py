"""The garbage collector, for daemons that hold much and must not pause.

What a daemon knows lives long and is in no cycle, and looking at all of it takes a tenth of a second for a
million objects, again and again while it grows. So a full collection puts what it has left aside (``gc.freeze``):
the next one looks only at what has come since. Every now and then everything is looked at, for cycles that died later.
"""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 10_000, 5, 5
"""Objects until the youngest are looked at; so many times until the next older ones are, too."""
EVERYTHING_EVERY = 16
"""So many full collections until what was put aside is looked at again."""


def settle() -> None:
    """Call once, when everything is imported: what is there now stays for good."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    gc.callbacks.append(_Aside())


class _Aside:
    """Puts aside what full collections leave."""

    def __init__(self) -> None:
        self._collections = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] != 2:
            return
        if phase == "start":
            self._collections += 1
            if self._collections % EVERYTHING_EVERY == 0:
                gc.unfreeze()
        else:
            gc.freeze()
