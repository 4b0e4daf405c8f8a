"""Where ids come from: handed to cores as a plain callable, so that tests can number them."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable

IdSource = Callable[[], str]


def random_ids() -> str:
    """A random UUID in its usual text form."""
    return str(uuid.uuid4())


def numbered_ids(prefix: str = "id") -> IdSource:
    """``id-1``, ``id-2``, …: for tests and simulations."""
    counter = itertools.count(1)
    return lambda: f"{prefix}-{next(counter)}"
