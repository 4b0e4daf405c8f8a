"""How a daemon ends."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
from headrace.kernel import daemon
from headrace.kernel.store import StoreError
async def main(stop):
    if {up}:
        daemon.announce("x", "http://x")
    raise {error}
daemon.run("x", main)
"""


@pytest.mark.parametrize("error", ["OSError(28, 'No space left')", "StoreError('No space left')"])
@pytest.mark.parametrize(("up", "status"), [(False, 2), (True, 1)])
def test_trouble_is_the_users_mistake_only_before_it_is_up(error: str, up: bool, status: int) -> None:
    program = PROGRAM.format(up=up, error=error)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == status
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [("daemon.Leave(103, 'somebody else leads')", 103, "somebody else leads"), ("daemon.UserError('no')", 7, "no")],
)
def test_statuses_of_a_daemon_s_own(error: str, status: int, text: str) -> None:
    program = PROGRAM.format(up=True, error=error).replace('run("x", main)', 'run("x", main, mistake=7)')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, f"headrace x: {text}\n")


BUSY = """
import asyncio, os, signal, threading, time
from headrace.kernel import daemon
async def main(stop):
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    if {busy}:
        while True:
            time.sleep(0.01)
    await stop.wait()
    await asyncio.sleep(1.5)
    print("in order")
daemon.run("x", main, deaf=1)
"""


@pytest.mark.parametrize(("busy", "out"), [(True, ""), (False, "in order\n")])
def test_whoever_is_too_busy_to_hear_that_it_shall_end_ends_all_the_same(busy: bool, out: str) -> None:
    program = BUSY.format(busy=busy)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, out, "")
