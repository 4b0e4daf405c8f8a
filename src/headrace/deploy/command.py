"""The command line of ``headrace cluster …`` and of mesos-start-cluster.sh and mesos-stop-cluster.sh."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from headrace.deploy import layout
from headrace.deploy.cluster import Cluster, Wishes
from headrace.deploy.remote import Way
from headrace.deploy.sourcing import sourced
from headrace.kernel.daemon import EXIT_USAGE, UserError
from headrace.kernel.flags import Parser

_EXIT_FAILED = 1
_ABOUT = "Start and stop a master and agents on the machines that MESOS_HOME/etc/mesos names."
_OPERATIONS = {
    "start": "start the master, then all agents",
    "stop": "stop all agents with their tasks, then the master",
    "status": "tell how the daemons are",
    "init": "write templates of the files",
    "doctor": "find out what is blocked or wrong (headrace doctor)",
}


def main(arguments: list[str]) -> int:
    """Run one operation; returns the exit status: 0, 1 something failed, 2 a mistake."""
    if arguments[:1] == ["doctor"]:
        from headrace.deploy.doctor import main as doctor

        return doctor(arguments[1:])
    try:
        given = _parser().parse_args(arguments)
        return asyncio.run(_run(given))
    except UserError as error:
        sys.stderr.write(f"headrace cluster: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 130


async def _run(given: argparse.Namespace) -> int:
    if given.operation == "init":
        return _init(given.home)
    home = layout.home_of(os.environ, given.home)
    environment = dict(os.environ)
    if (file := layout.directory(home) / layout.DEPLOY_ENV).exists():
        environment = sourced(file, environment)
    wishes = Wishes(given.takeover, given.keep_tasks, given.timeout, given.watch)
    cluster = Cluster(home, Way.of(environment, sudo=given.sudo), wishes, _say, _complain)
    well = await {"start": cluster.start, "stop": cluster.stop, "status": cluster.status}[given.operation]()
    return 0 if well else _EXIT_FAILED


def _init(given: str) -> int:
    home = given or os.environ.get("MESOS_HOME", "")
    if not home:
        raise UserError("where to? set MESOS_HOME, or give --home")
    for path in layout.write_templates(Path(home)):
        _say(str(path))
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _parser() -> Parser:
    parser = Parser("headrace cluster", _ABOUT)
    told = ", ".join(f"{name}: {about}" for name, about in _OPERATIONS.items())
    parser.add_argument("operation", choices=tuple(_OPERATIONS), help=told)
    parser.add_argument("--home", default="", metavar="DIR", help="(default: $MESOS_HOME, else /, for /etc/mesos)")
    parser.add_argument("-s", "--sudo", action="store_true", help="run daemons as root, by sudo")
    parser.add_argument(
        "--takeover", action="store_true", help="stop systemd's Mesos units, and Mesos daemons that have our ports"
    )
    parser.add_argument("--keep-tasks", action="store_true", help="stop: leave the agents' tasks running")
    parser.add_argument("--timeout", type=_seconds, default=20.0, metavar="S", help="seconds that a daemon may take")
    parser.add_argument(
        "--watch",
        type=_seconds,
        default=0.0,
        metavar="S",
        help="look so long whether it stays so (default: not at all)",
    )
    return parser


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a time from 0 to 3600 seconds")
    return value
