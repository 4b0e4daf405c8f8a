"""Carries out health and readiness probes: HTTP(S), TCP, and commands on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence

import msgspec

from headrace.kernel.http import HttpClient, HttpClientError
from headrace.marathon.core.events import Probe, Probed

MAX_CONCURRENT = 256
_BODY = 10_000
_OUTPUT = 100_000


class Prober:
    """Runs at most 256 probes at a time; each ends in one ``Probed``."""

    def __init__(self, on_outcome: Callable[[Probed], None]) -> None:
        self._on_outcome = on_outcome
        self._http = HttpClient(max_idle=0)
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, probe: Probe) -> None:
        """Try; returns at once."""
        task = asyncio.get_running_loop().create_task(self._run(probe))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """Give up all probes under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, probe: Probe) -> None:
        async with self._slots:
            try:
                outcome = await self._try(probe)
            except TimeoutError:
                outcome = _failed(probe, f"no answer within {probe.timeout:g} s")
            except (OSError, HttpClientError) as error:
                outcome = _failed(probe, str(error))
        self._on_outcome(outcome)

    async def _try(self, probe: Probe) -> Probed:
        match probe.protocol:
            case "HTTP":
                answer = await self._http.request("GET", _url(probe), timeout=probe.timeout)
                body = answer.body[:_BODY].decode("utf-8", "replace")
                return _seen(probe, answer.status, answer.headers.get("content-type", ""), body)
            case "HTTPS":
                return await _over_https(probe)
            case "TCP":
                async with asyncio.timeout(probe.timeout):
                    _, writer = await asyncio.open_connection(probe.host, probe.port)
                writer.close()
                return Probed(probe.key, probe.task_id, passed=True)
            case _:
                command = ["/bin/sh", "-c", probe.command]
                status, _ = await _run_child(command, probe.timeout, probe.environment)
                return _failed(probe, f"the command exited with status {status}") if status else _passed(probe)


async def _over_https(probe: Probe) -> Probed:
    command = [sys.executable, "-m", "headrace.marathon.https_probe", _url(probe)]
    status, output = await _run_child(command, probe.timeout, {})
    if status:
        return _failed(probe, output.decode("utf-8", "replace") or f"the HTTPS probe exited with status {status}")
    answer = msgspec.json.decode(output)
    return _seen(probe, answer["status"], answer["content_type"], answer["body"])


async def _run_child(command: Sequence[str], timeout: float, environment: Mapping[str, str]) -> tuple[int, bytes]:
    """Exit status and the start of the output; after ``timeout`` the whole process group is ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ.get("PATH", os.defpath), **environment},
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


def _url(probe: Probe) -> str:
    path = probe.path if probe.path.startswith("/") else "/" + probe.path
    host = f"[{probe.host}]" if ":" in probe.host else probe.host
    return f"{probe.protocol.lower()}://{host}:{probe.port}{path}"


def _seen(probe: Probe, status: int, content_type: str, body: str) -> Probed:
    passed = status in probe.ready_statuses if probe.ready_statuses else 200 <= status < 400
    cause = "" if passed else f"{_url(probe)} answered {status}"
    shown = body if probe.ready_statuses else ""
    return Probed(probe.key, probe.task_id, passed, cause, status=status, content_type=content_type, body=shown)


def _passed(probe: Probe) -> Probed:
    return Probed(probe.key, probe.task_id, passed=True)


def _failed(probe: Probe, cause: str) -> Probed:
    return Probed(probe.key, probe.task_id, passed=False, cause=cause)
