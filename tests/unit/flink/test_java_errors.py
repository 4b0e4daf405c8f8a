"""What is quoted of a JobManager's log when it does not start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headrace.flink.appmaster.jvm_process import JobManagerProcess
from headrace.flink.java_errors import last_error, without_secrets

LOG = """\
2026-11-21 10:41:30,100 WARN  a.B - something else
java.lang.IllegalStateException: an earlier one
\tat a.B.c(B.java:1) ~[x.jar:?]
2026-11-21 10:41:30,200 ERROR o.ClusterEntrypoint - Could not start cluster entrypoint.
org.apache.flink.runtime.entrypoint.ClusterEntrypointException: Failed to initialize
\tat a.B.c(B.java:1) ~[x.jar:?]
Caused by: java.lang.IllegalArgumentException: Could not parse value '2.0 x' for key 'heartbeat.timeout'.
\tat a.B.c(B.java:1) ~[x.jar:?]
\t... 3 more
Caused by: java.lang.IllegalArgumentException: Time interval unit label '.0 x' is none
\tat a.B.c(B.java:1) ~[x.jar:?]
\t... 3 more
2026-11-21 10:41:30,300 INFO  a.B - the end
"""
SAID = "Could not parse value '2.0 x' for key 'heartbeat.timeout': Time interval unit label '.0 x' is none"


def test_the_last_trace_says_which_option_and_why() -> None:
    assert last_error(LOG) == SAID
    assert last_error("2026-11-21 10:41:30,300 INFO  a.B - all is well\n") == ""
    assert last_error("a.B\n\tat x.y(z)\nCaused by: a.C: why\n\tat x.y(z)") == "why"
    assert last_error("a.B: it: why\n\tat x.y(z)\nCaused by: a.C: why\n") == "it: why"
    assert len(last_error("a.B: " + "x" * 5000)) == 500


def test_values_of_secret_options_are_not_quoted() -> None:
    options = {"s3.secret-key": "xyzzy", "security.ssl.key-password": "xyz", "parallelism.default": "4", "a.token": ""}
    assert without_secrets("value 'xyzzy' or xyz, 4", options) == "value '***' or ***, 4"
    assert without_secrets("-Dmy.password=hush and more", {}) == "-Dmy.password=*** and more"


@pytest.mark.parametrize("status", [0, 1])
def test_only_what_this_run_has_logged_is_quoted(tmp_path: Path, status: int) -> None:
    async def ends() -> list[str]:
        said: list[str] = []
        done = asyncio.Event()

        def on_end(run: int, how: str, mistake: str) -> None:
            said.append(how)
            done.set()

        jvm = JobManagerProcess(
            tmp_path / "private", tmp_path, {}, on_end, lambda text: text.replace("heartbeat", "***")
        )
        (tmp_path / "log").write_text(LOG)
        for run, writes in ((1, "cat log >>jobmanager.log;"), (2, "echo more >>jobmanager.log;")):
            done.clear()
            jvm.start(run, ["/bin/sh", "-c", f"{writes} exit {status}"])
            await asyncio.wait_for(done.wait(), 10)
        return said

    first, second = asyncio.run(ends())
    assert first.endswith(f": {SAID.replace('heartbeat', '***')}" if status else "status 0")
    assert second.endswith(f"status {status}")
