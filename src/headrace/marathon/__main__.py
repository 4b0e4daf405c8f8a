"""``python -m headrace.marathon``: see ``--help``."""

from headrace.kernel import (
    lean,  # noqa: F401  (first: keeps memory small)
    no_tls,  # noqa: F401  (HTTPS checks run in a process of their own)
)

# isort: split
import sys

from headrace.kernel.daemon import run
from headrace.marathon.daemon import main, parse


def entry() -> None:
    """Parse the command line and run."""
    options = parse(sys.argv[1:])
    level = {"warn": "WARNING"}.get(options.logging_level, options.logging_level.upper())
    run("marathon", lambda stop: main(options, stop), level=level)


if __name__ == "__main__":
    entry()
