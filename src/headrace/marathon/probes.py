"""Carries out health and readiness probes: HTTP(S) and TCP.

Whatever happens, a probe that was begun has exactly one outcome: without it nothing would be probed again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence

import msgspec

from headrace.kernel.http import HttpClient, HttpClientError
from headrace.kernel.tasks import Works
from headrace.marathon.core.events import Probe, Probed
from headrace.marathon.seen import Seen, look

log = logging.getLogger(__name__)

MAX_SOCKETS = 4096
"""Probes that are only a socket: so many that a dead rack does not make the others wait."""
MAX_PROCESSES = 64
"""HTTPS probes: each is a process of some 15 MB."""
_OUTPUT = 100_000


class Prober:
    """Runs up to ``limit`` probes at a time, MAX_PROCESSES over HTTPS; fewer if it may not open so many files."""

    def __init__(self, on_outcome: Callable[[Probed], None], limit: int = MAX_SOCKETS) -> None:
        self._on_outcome = on_outcome
        self._http = HttpClient(max_idle=0)
        self._sockets = asyncio.Semaphore(min(limit, _sockets()))
        self._processes = asyncio.Semaphore(min(limit, MAX_PROCESSES))
        self._works = Works()

    def start(self, probe: Probe) -> None:
        """Try; returns at once."""
        self._works.begin(self._run(probe))

    async def stop(self) -> None:
        """Give up all probes under way."""
        await self._works.stop()

    async def _run(self, probe: Probe) -> None:
        async with self._processes if probe.protocol == "HTTPS" else self._sockets:
            try:
                outcome = await self._try(probe)
            except TimeoutError:
                outcome = _failed(probe, f"no answer within {probe.timeout:g} s")
            except (OSError, HttpClientError) as error:
                outcome = _failed(probe, str(error))
            except Exception as error:
                log.exception("probe %s of %s", probe.key, _url(probe))
                outcome = _failed(probe, f"can't be probed: {error!r}")
        self._on_outcome(outcome)

    async def _try(self, probe: Probe) -> Probed:
        match probe.protocol:
            case "HTTP":
                return _seen(probe, await look(self._http, _url(probe), probe.timeout))
            case "HTTPS":
                return await _over_https(probe)
            case _:
                async with asyncio.timeout(probe.timeout):
                    _, writer = await asyncio.open_connection(probe.host, probe.port)
                writer.close()
                return Probed(probe.key, probe.task_id, passed=True)


async def _over_https(probe: Probe) -> Probed:
    command = [sys.executable, "-m", "headrace.marathon.https_probe", _url(probe), str(probe.timeout)]
    status, output = await _run_child(command, probe.timeout)
    if status:
        return _failed(probe, output.decode("utf-8", "replace") or f"the HTTPS probe exited with status {status}")
    return _seen(probe, msgspec.json.decode(output, type=Seen))


async def _run_child(command: Sequence[str], timeout: float) -> tuple[int, bytes]:
    """Exit status and the start of the output; after ``timeout`` the whole process group is ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath)},
        cwd="/",
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    try:
        async with asyncio.timeout(timeout):
            output = await process.stdout.read(_OUTPUT)
            while await process.stdout.read(_OUTPUT):
                pass
            return await process.wait(), output
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        raise


def _sockets() -> int:
    """How many probes may have a socket: half of the files that this process may open, after asking for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        wanted = 2 * MAX_SOCKETS if hard == resource.RLIM_INFINITY else min(hard, 2 * MAX_SOCKETS)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_SOCKETS if soft == resource.RLIM_INFINITY else max(1, min(MAX_SOCKETS, soft // 2))


def _url(probe: Probe) -> str:
    path = probe.path if probe.path.startswith("/") else "/" + probe.path
    host = f"[{probe.host}]" if ":" in probe.host else probe.host
    return f"{probe.protocol.lower()}://{host}:{probe.port}{path}"


def _seen(probe: Probe, seen: Seen) -> Probed:
    status = seen.status
    passed = status in probe.ready_statuses if probe.ready_statuses else 200 <= status < 400
    cause = "" if passed else f"{_url(probe)} answered {status}"
    shown = seen.body if probe.ready_statuses else ""
    return Probed(probe.key, probe.task_id, passed, cause, status=status, content_type=seen.content_type, body=shown)


def _failed(probe: Probe, cause: str) -> Probed:
    return Probed(probe.key, probe.task_id, passed=False, cause=cause)
