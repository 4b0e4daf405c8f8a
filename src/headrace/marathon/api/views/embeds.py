"""Which parts of a thing a request wants to see."""

from __future__ import annotations

import re
from collections.abc import Iterable

_PREFIX = re.compile(r"^(group\.)?apps?\.")


class Embeds(frozenset[str]):
    """Names of parts to show, without their prefixes; ``tasks`` brings ``deployments`` along."""

    @classmethod
    def of(cls, names: Iterable[str]) -> Embeds:
        plain = {_PREFIX.sub("", name) for name in names}
        if "failures" in plain:
            plain.add("lastTaskFailure")
        return cls(plain)
