"""How benches end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.ending import status
from bench.table import Row


def test_a_missed_bar_shows_in_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    fine = [Row("quick", 1, "s", 2), Row("many", 3, "", 2, more_is_better=True), Row("no bar", 9, "s")]
    assert status(fine) == 0
    assert status([*fine, Row("slow", 3, "s", 2), Row("failures", 1, "", 0)]) == 1
    assert capsys.readouterr().err == "bench: missed: slow\nbench: missed: failures\n"


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_bench_that_is_asked_to_end_ends_what_it_has_started(number: str) -> None:
    program = f"""
import os, signal
from contextlib import contextmanager
from bench.ending import unwind_when_asked_to_end
@contextmanager
def daemons():
    try:
        yield
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # once more, in the midst of it
        print("ended")
unwind_when_asked_to_end()
with daemons():
    os.kill(os.getpid(), signal.{number})
    signal.pause()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("ended\n", "")
    assert done.returncode in (143, 129)
