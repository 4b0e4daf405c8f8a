"""Keeps daemons without TLS smaller still: import this after ``lean``, before asyncio.

asyncio loads OpenSSL where it is installed, which costs 4 MB of memory in each process. Without
it ``https://`` URLs and TLS servers fail, so only daemons that have neither may do this.
"""

import sys

sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]
