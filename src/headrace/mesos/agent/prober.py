"""Carries out health checks: a command in the task's sandbox, a GET, or a connection; all on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Mapping
from urllib.parse import quote

from headrace.kernel.http import HttpClient, HttpClientError
from headrace.mesos.agent.events import Probed, ProbeHealth
from headrace.mesos.agent.launcher import command_line, container_environment
from headrace.mesos.agent.layout import Layout
from headrace.mesos.agent.users import UserProblem, as_user, check_user
from headrace.mesos.messages.common import CommandInfo, HealthCheckHttp

log = logging.getLogger(__name__)

_LOCAL = "127.0.0.1"
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~|"


class Prober:
    """Probes for any number of tasks at a time; ``Probed`` is posted for each."""

    def __init__(
        self, layout: Layout, environment: Mapping[str, str], endpoint: str, http: HttpClient, post: Callable[..., None]
    ) -> None:
        self._layout = layout
        self._environment = environment
        self._endpoint = endpoint
        self._http = http
        self._post = post
        self._probes: set[asyncio.Task[None]] = set()

    def probe(self, what: ProbeHealth) -> None:
        """Start a probe."""
        task = asyncio.get_running_loop().create_task(self._probe(what))
        self._probes.add(task)
        task.add_done_callback(self._probes.discard)

    async def stop(self) -> None:
        """Break off all probes, with their processes."""
        probes = list(self._probes)
        for task in probes:
            task.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    async def _probe(self, what: ProbeHealth) -> None:
        try:
            async with asyncio.timeout(what.timeout):
                passed, why = await self._outcome(what)
        except TimeoutError:
            passed, why = False, f"no answer within {what.timeout:g} s"
        except (HttpClientError, OSError, UserProblem) as error:
            passed, why = False, str(error)
        except Exception as error:  # whatever a check holds, it must have an outcome, or none would follow
            log.exception("the health check of container %s failed because of a bug", what.spec.place.container_id)
            passed, why = False, f"the check can't be carried out: {error}"
        self._post(Probed(what.spec.place.container_id, passed, why))

    async def _outcome(self, what: ProbeHealth) -> tuple[bool, str]:
        check = what.check
        if check.command is not None and check.type == "COMMAND":
            return await self._command(what, check.command)
        if check.http is not None and check.type == "HTTP":
            return await self._get(check.http, what.timeout)
        port = check.tcp.port if check.tcp is not None else 0
        _, writer = await asyncio.open_connection(_LOCAL, port)
        writer.close()
        return True, ""

    async def _get(self, check: HealthCheckHttp, timeout: float) -> tuple[bool, str]:
        path = quote(check.path or "/", safe=_AS_IT_IS)
        url = f"{check.scheme or 'http'}://{_LOCAL}:{check.port}{path if path.startswith('/') else '/' + path}"
        answer = await self._http.request("GET", url, timeout=timeout)
        passed = answer.status in check.statuses if check.statuses else 200 <= answer.status < 400
        return passed, f"status {answer.status}"

    async def _command(self, what: ProbeHealth, command: CommandInfo) -> tuple[bool, str]:
        sandbox = self._layout.sandbox(what.spec.place)
        environment = container_environment(self._environment, what.spec, sandbox, self._endpoint)
        variables = command.environment.variables if command.environment else None
        environment.update((variable.name, variable.value or "") for variable in variables or ())
        user = check_user(command.user or (what.spec.command.user if what.spec.command else None))
        process = await asyncio.create_subprocess_exec(
            *as_user(user, command_line(command)),
            cwd=sandbox,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it left behind, or all of it when time is up
        return code == 0, f"the command exited with status {code}"
