"""``python -m headrace.flink.appmaster.last_resort``: ends the JobManager of this directory, if one lives.

For the script when it ends otherwise than in order: nobody watches that JobManager any more, and a later one must not
run beside it. Its TaskManagers wait for a successor and then go by themselves (``taskmanager.registration.timeout``),
and the master ends what is left after ``mesos.failover-timeout``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from signal import SIGKILL

from headrace.kernel import process


def main(sandbox: Path) -> int:
    """How many were ended."""
    runs = sorted((sandbox / ".headrace" / "jobmanager").glob("[0-9]*"))
    return sum(process.signal_command(run, SIGKILL) for run in runs)


if __name__ == "__main__":
    if ended := main(Path.cwd()):
        sys.stderr.write(f"JobManagers ended, as nobody watches them any more: {ended}\n")
