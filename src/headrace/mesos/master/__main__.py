"""``python -m headrace.mesos.master``: the master as a daemon."""

from headrace.kernel import lean, no_tls  # noqa: F401  (first: keep memory small)

# isort: split
import asyncio
import sys

from headrace.kernel import daemon
from headrace.mesos.master.daemon import serve
from headrace.mesos.master.flags import parse


async def main(stop: asyncio.Event) -> None:
    """Run until asked to stop."""
    await serve(parse(sys.argv[1:]), stop)


if __name__ == "__main__":
    daemon.run("master", main)
