"""The frame of a daemon's main: signals, the ready line, errors for people.

A daemon prints one line to stdout when it accepts requests, so that whoever started it knows its
address even if it asked for port 0, and logs to stderr:

    headrace-ready {"component":"master","url":"http://127.0.0.1:5050"}

Exit status: 0 after SIGTERM or SIGINT, 2 for a user's mistake (with one line that explains it), 1 for a bug, or trouble
with files and sockets after it was up: that is not the user's mistake, start it again. ``Leave`` has one of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

import msgspec

from headrace.kernel import collector, log
from headrace.kernel.store import StoreError

READY = "headrace-ready "

EXIT_USAGE = 2


class UserError(Exception):
    """The user's mistake: what was wrong, where, and what to do. Shown without a stack trace."""


class Leave(Exception):  # noqa: N818 - not an error for whoever raises it
    """End the process with a status of the daemon's own; the text goes to stderr."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Ready(msgspec.Struct, frozen=True):
    """What the ready line says."""

    component: str
    url: str


_was_up = asyncio.Event()


def announce(component: str, url: str) -> None:
    """Print the ready line."""
    _was_up.set()
    sys.stdout.write(READY + msgspec.json.encode(Ready(component, url)).decode() + "\n")
    sys.stdout.flush()


def read_ready(line: str) -> Ready | None:
    """The ready line, if ``line`` is one."""
    if not line.startswith(READY):
        return None
    return msgspec.json.decode(line[len(READY) :], type=Ready)


def run(
    name: str,
    main: Callable[[asyncio.Event], Awaitable[None]],
    *,
    level: str = "INFO",
    mistake: int = EXIT_USAGE,
    deaf: float | None = None,
) -> None:
    """Run ``main`` until it returns; its argument is set when the process is asked to stop. Exits.

    ``mistake`` is the status for a user's mistake. If ``main`` keeps the loop so busy that it does not hear for
    ``deaf`` seconds that it shall stop, the process ends as if it were killed: nothing is lost by that, as what must
    survive is in the store.
    """
    log.set_up(level)
    sys.exit(asyncio.run(_guarded(name, main, mistake, deaf)))


async def _guarded(
    name: str, main: Callable[[asyncio.Event], Awaitable[None]], mistake: int, deaf: float | None
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
        if deaf is not None:
            _insist(number, stop, deaf)
    collector.settle()
    try:
        await main(stop)
    except Exception as error:
        cause = first_cause(error)
        if isinstance(cause, Leave):
            sys.stderr.write(f"headrace {name}: {cause}\n")
            return cause.status
        if isinstance(cause, UserError) or (isinstance(cause, (StoreError, OSError)) and not _was_up.is_set()):
            sys.stderr.write(f"headrace {name}: {_text(cause)}\n")
            return mistake
        if isinstance(cause, (StoreError, OSError)):
            logging.getLogger(__name__).critical("%s ends: %s", name, _text(cause))
            return 1
        logging.getLogger(__name__).critical("%s ends because of a bug", name, exc_info=error)
        return 1
    return 0


def _insist(number: int, stop: asyncio.Event, seconds: float) -> None:
    """Python's own handler, which runs in the midst of anything, beside the loop's."""

    def end() -> None:
        if not stop.is_set():
            os._exit(0)

    def asked(*_: object) -> None:
        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()

    signal.signal(number, asked)
    signal.siginterrupt(number, False)


def _text(error: BaseException) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) and not error.filename else str(error)


def first_cause(error: BaseException) -> BaseException:
    """The error itself, or the first one in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
