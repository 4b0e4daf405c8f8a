"""``python -m headrace.flink.appmaster -Dkey=value …``: one Flink cluster, a session's or a job's."""

from headrace.kernel import lean  # noqa: F401  (first: keep memory small)

# isort: split
import os

if "HEADRACE_TLS" not in os.environ:
    from headrace.kernel import no_tls  # noqa: F401

# isort: split
import asyncio
import signal
import sys

from headrace.flink.appmaster.daemon import main
from headrace.flink.appmaster.slots import SCRIPT_VARIABLE
from headrace.kernel import daemon


async def start(stop: asyncio.Event) -> None:
    """Run the cluster that the command line describes."""
    tell_script()
    await main(stop, sys.argv[1:])


def tell_script() -> None:
    """Signals are heard from now on: the script repeats one that may have come too early.

    A script that does not know of this, such as one that runs since before an upgrade, is not harmed by that signal.
    """
    if os.environ.get(SCRIPT_VARIABLE) == str(os.getppid()):
        os.kill(os.getppid(), signal.SIGURG)


def help_asked_for() -> bool:
    """Whether the command line asks for help, which is printed then."""
    if not {"-h", "--help"} & set(sys.argv[1:]):
        return False
    from headrace.flink.appmaster.help import text

    sys.stdout.write(text())
    return True


if __name__ == "__main__":
    if help_asked_for():
        sys.exit()
    daemon.run("appmaster", start)
