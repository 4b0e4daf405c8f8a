"""What a full collection leaves is put aside; a cycle in it is found later."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from headrace.kernel import collector


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.set_threshold(*threshold)
    gc.callbacks[:] = callbacks
    gc.unfreeze()


class Node:
    def __init__(self) -> None:
        self.itself: Node | None = self


def test_what_is_left_is_put_aside_and_looked_at_again_in_the_end() -> None:
    collector.settle()
    node = Node()
    gc.collect()
    assert gc.get_freeze_count() > 0
    found = weakref.ref(node)
    del node
    gc.collect()
    assert found() is not None, "it was put aside"
    for _ in range(collector.EVERYTHING_EVERY):
        gc.collect()
    assert found() is None
