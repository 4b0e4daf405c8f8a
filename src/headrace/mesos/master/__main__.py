"""``python -m headrace.mesos.master``: the master as a daemon."""

from headrace.kernel import lean, no_tls  # noqa: F401  (first: keep memory small)

# isort: split
import os
import sys

from headrace.kernel import daemon
from headrace.mesos.master.daemon import serve
from headrace.mesos.master.flags import parse


def start() -> None:
    """Parse the command line and run."""
    try:
        given = parse(sys.argv[1:], os.environ)
    except daemon.UserError as error:
        sys.stderr.write(f"headrace master: {error}\n")
        sys.exit(daemon.EXIT_USAGE)
    daemon.run("master", lambda stop: serve(given, stop), level=given.log_level)


if __name__ == "__main__":
    start()
