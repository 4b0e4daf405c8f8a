"""The demo's process, a child of ``headrace up``: ``python -m headrace.cli.demo SETTINGS-AS-JSON``.

Its standard input brings the cluster's addresses; the end of it, or SIGTERM, ends the demo.
"""

from headrace.kernel import lean  # noqa: F401  (first: keeps memory small)

# isort: split
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from pathlib import Path

import msgspec

from headrace.cli import output
from headrace.cli.api import CommandError
from headrace.cli.demo.flights import Figures
from headrace.cli.demo.screen import PhaseFailed, Screen
from headrace.cli.demo.steps import Outcome, Steps
from headrace.cli.up.addresses import Addresses
from headrace.cli.up.settings import Settings
from headrace.kernel.http import HttpClient

_SHOWN = 8
_TAIL = 15


def main() -> None:
    """Run the demo; exits with 0 if the result is right, 1 if anything failed."""
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    try:
        sys.exit(asyncio.run(_run(settings)))
    except asyncio.CancelledError:
        sys.exit(1)


async def _run(settings: Settings) -> int:
    began = settings.demo.began if settings.demo is not None else time.time()
    screen, http = Screen(began), HttpClient()
    this = asyncio.current_task()
    assert this is not None  # noqa: S101 - we are in one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    addresses = _read_addresses(this)
    alive = asyncio.create_task(screen.run())
    try:
        outcome = await Steps(settings.root, screen, http).run(addresses)
    except (CommandError, PhaseFailed, ExceptionGroup) as error:
        return _failed(screen, settings, error)
    finally:
        alive.cancel()
        screen.clear()
        http.close()
    return _show(screen, settings, outcome, addresses.result())


def _read_addresses(this: asyncio.Task[int]) -> asyncio.Future[Addresses]:
    """The line that ``up`` sends when the cluster is there; at the end of the input this task is cancelled."""
    loop = asyncio.get_running_loop()
    addresses: asyncio.Future[Addresses] = loop.create_future()
    received = bytearray()

    def readable() -> None:
        data = os.read(0, 65536)
        received.extend(data)
        if not data:
            loop.remove_reader(0)
            this.cancel()
        elif received.endswith(b"\n") and not addresses.done():
            addresses.set_result(msgspec.json.decode(received, type=Addresses))

    loop.add_reader(0, readable)
    return addresses


def _show(screen: Screen, settings: Settings, outcome: Outcome, addresses: Addresses) -> int:
    screen.line()
    screen.line(f"Departures from New York in 2013, {outcome.data.rows:,} flights: the airlines that leave latest")
    screen.line()
    _table(outcome)
    screen.line()
    if outcome.wrong:
        screen.line("The result is not what was counted from the CSV file:")
        for text in outcome.wrong[:10]:
            screen.line(f"  {text}")
        return 1
    if settings.demo is not None and settings.demo.once:
        screen.line("The result is right. Stopping everything …")
        return 0
    for name, url in (
        ("Overview", addresses.gateway),
        ("Marathon", f"{addresses.marathon}/v2/apps"),
        ("Mesos", f"{addresses.master}/master/state"),
        ("Flink", outcome.dashboard),
    ):
        screen.line(f"{name:<9} {url}")
    screen.line()
    screen.line("The job goes on: files dropped into the input directory are taken up. Ctrl-C stops everything.")
    screen.line(f"Input     {outcome.data.flights}")
    return 0


def _table(outcome: Outcome) -> None:
    airlines: dict[str, Figures] = {}
    for row in outcome.rows:
        airlines.setdefault(row.airline, Figures()).add(row)
    latest = sorted(airlines.items(), key=lambda item: -item[1].minutes_late / max(1, item[1].departed))
    output.table(
        ["AIRLINE", "#FLIGHTS", "#CANCELLED", "#AVERAGE DELAY", "#LATE BY > 15 MIN"],
        [
            (
                name,
                f"{f.flights:,}",
                f"{f.flights - f.departed:,}",
                f"{f.minutes_late / max(1, f.departed):.1f} min",
                f"{100 * f.late / max(1, f.departed):.1f} %",
            )
            for name, f in latest[:_SHOWN]
        ],
        "",
    )


def _failed(screen: Screen, settings: Settings, error: Exception) -> int:
    cause: BaseException = error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if not isinstance(cause, (PhaseFailed, CommandError)):
        raise error
    screen.line()
    screen.line(f"The demo failed: {cause}")
    log = _newest_log(settings.root)
    if log is not None and isinstance(cause, PhaseFailed):
        screen.line()
        screen.line(f"The end of {log}:")
        with log.open("rb") as file, contextlib.suppress(OSError):
            for line in deque(file, _TAIL):
                screen.line("  " + line.decode("utf-8", "replace").rstrip())
    screen.line(f"The daemons' logs are in {settings.logs}.")
    return 1


def _newest_log(root: Path) -> Path | None:
    """The task's log that was written to last: where a failure has most likely left its traces."""
    sandboxes = root.glob("agent*/slaves/*/frameworks/*/executors/*/runs/latest")
    logs = [log for box in sandboxes for pattern in ("stderr", "*.log", "log*/*.log") for log in box.glob(pattern)]
    logs = [log for log in logs if log.stat().st_size]
    return max(logs, key=lambda log: log.stat().st_mtime, default=None)


if __name__ == "__main__":
    main()
