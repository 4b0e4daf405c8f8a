"""``python -m headrace.flink.appmaster -Dkey=value …``: one Flink session cluster."""

from headrace.kernel import lean  # noqa: F401  (first: keeps memory small)

# isort: split
import sys

sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]  # no TLS here yet: 4 MB less

# isort: split
import asyncio  # noqa: E402

from headrace.flink.appmaster.daemon import main  # noqa: E402
from headrace.kernel import daemon  # noqa: E402


async def start(stop: asyncio.Event) -> None:
    """Run the cluster that the command line describes."""
    await main(stop, sys.argv[1:])


if __name__ == "__main__":
    daemon.run("appmaster", start)
