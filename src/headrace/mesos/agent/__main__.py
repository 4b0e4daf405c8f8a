"""``python -m headrace.mesos.agent``: see ``flags`` for its options."""

from headrace.kernel import lean  # noqa: F401  (first: keeps memory small)

# isort: split
import os
import sys

from headrace.kernel import daemon
from headrace.mesos.agent.daemon import main
from headrace.mesos.agent.flags import agent as flags


def start() -> None:
    """Parse the command line and run."""
    try:
        given = flags.parse(sys.argv[1:], os.environ)
    except daemon.UserError as error:
        sys.stderr.write(f"headrace agent: {error}\n")
        sys.exit(daemon.EXIT_USAGE)
    daemon.run("agent", lambda stop: main(given, stop), level=given.log_level)


if __name__ == "__main__":
    start()
