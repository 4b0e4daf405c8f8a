"""``python -m headrace.marathon``: see ``--help``."""

from headrace.kernel import lean, no_tls  # noqa: F401  (first: keep memory small)

# isort: split
import sys

from headrace.kernel.daemon import EXIT_USAGE, UserError, run
from headrace.marathon.daemon import main
from headrace.marathon.flags import parse


def entry() -> None:
    """Parse the command line and run."""
    try:
        options = parse(sys.argv[1:])
    except UserError as error:
        sys.stderr.write(f"headrace marathon: {error}\n")
        sys.exit(EXIT_USAGE)
    level = {"warn": "WARNING"}.get(options.logging_level, options.logging_level.upper())
    run("marathon", lambda stop: main(options, stop), level=level)


if __name__ == "__main__":
    entry()
