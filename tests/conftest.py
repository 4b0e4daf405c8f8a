"""Property tests take the same examples each time, so that a red run can be repeated; `make explore` finds others."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, print_blob=True)
settings.load_profile("explore" if "HEADRACE_SEED" in os.environ else "repeatable")
