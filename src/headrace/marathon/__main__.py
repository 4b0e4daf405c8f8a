"""``python -m headrace.marathon``: see ``--help``."""

from headrace.kernel import lean  # noqa: F401  (first: keep memory small)

# isort: split
from headrace.marathon.needs_tls import needed

if not needed():
    from headrace.kernel import no_tls  # noqa: F401

# isort: split
import os
import sys

from headrace.kernel.daemon import UserError, run
from headrace.marathon import flags
from headrace.marathon.daemon import EXIT_FLAGS, main

_DEAF = 1.0
"""Seconds: a change of ten thousand apps in one request keeps it busy that long."""


def entry() -> None:
    """Parse the command line and run."""
    try:
        options = flags.parse(sys.argv[1:], os.environ)
    except UserError as error:
        sys.stderr.write(f"headrace marathon: {error}\n")
        sys.exit(EXIT_FLAGS)
    run("marathon", lambda stop: main(options, stop), level=flags.log_level(options), mistake=EXIT_FLAGS, deaf=_DEAF)


if __name__ == "__main__":
    entry()
