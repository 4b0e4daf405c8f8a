"""Keeps daemons small: import this first in a daemon's main module.

msgspec imports typing_extensions where it is installed; it isn't needed on Python 3.11+ and costs
6 MB of memory in each process.
"""

import sys

sys.modules.setdefault("typing_extensions", None)  # type: ignore[arg-type]
