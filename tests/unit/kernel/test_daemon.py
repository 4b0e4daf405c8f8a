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
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert done.returncode == status
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1
