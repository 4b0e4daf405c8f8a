"""All flags of Marathon that are known, and Headrace's own: help, documentation and reading follow from this table."""

from __future__ import annotations

from headrace.marathon.flags.cluster import CLUSTER
from headrace.marathon.flags.flag import Flag
from headrace.marathon.flags.server import SERVER

TABLE: tuple[Flag, ...] = (*CLUSTER, *SERVER)

BY_SPELLING: dict[str, Flag] = {spelling: flag for flag in TABLE for spelling in (*flag.spellings, *flag.off_spellings)}
"""By everything that may stand on the command line."""
