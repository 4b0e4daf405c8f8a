"""Carries out checks: a command in the container, a GET, or a connection; health checks and general ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from urllib.parse import quote

from headrace.kernel.http import HttpClient
from headrace.kernel.tasks import Works
from headrace.mesos.agent.check_runner import CheckRunner
from headrace.mesos.agent.core.checks import outcome_of
from headrace.mesos.agent.core.events import Checked, ProbeCheck, Probed, ProbeHealth
from headrace.mesos.messages.common import CheckInfo, CheckStatusInfo, CommandInfo

log = logging.getLogger(__name__)

_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~|"


class NowhereError(Exception):
    """The container's ports can't be reached from here."""


class Prober:
    """Checks for any number of tasks at a time; ``Probed`` or ``Checked`` is posted for each.

    ``runners``: who does it for the containers of a kind.
    """

    def __init__(self, runners: Mapping[str, CheckRunner], http: HttpClient, post: Callable[..., None]) -> None:
        self._runners = runners
        self._http = http
        self._post = post
        self._works = Works()

    def probe(self, what: ProbeHealth) -> None:
        """Start a health check."""
        self._works.begin(self._probe(what))

    def check(self, what: ProbeCheck) -> None:
        """Start a general check."""
        self._works.begin(self._check(what))

    async def stop(self) -> None:
        """Break off all checks, with their processes."""
        await self._works.stop()

    async def _probe(self, what: ProbeHealth) -> None:
        try:
            async with asyncio.timeout(what.timeout):
                passed, why = await self._health(what)
        except TimeoutError:
            passed, why = False, f"no answer within {what.timeout:g} s"
        except Exception as error:  # whatever a check holds, it must have an outcome, or none would follow
            passed, why = False, _reason(error, what.spec.place.container_id)
        self._post(Probed(what.spec.place.container_id, passed, why))

    async def _check(self, what: ProbeCheck) -> None:
        try:
            async with asyncio.timeout(what.timeout):
                status = await self._general(what)
        except Exception as error:
            status = outcome_of(what.check)
            log.info("a check of container %s has no outcome: %s", what.spec.place.container_id, error)
        self._post(Checked(what.spec.place.container_id, status))

    async def _health(self, what: ProbeHealth) -> tuple[bool, str]:
        check = what.check
        if check.type == "COMMAND" and check.command is not None:
            code = await self._command(what, check.command)
            return code == 0, f"the command exited with status {code}"
        if check.type == "HTTP" and check.http is not None:
            status = await self._get(what, check.http.scheme or "http", check.http.port, check.http.path)
            statuses = check.http.statuses
            return status in statuses if statuses else 200 <= status < 400, f"status {status}"
        await self._connect(what, check.tcp.port if check.tcp is not None else 0)
        return True, ""

    async def _general(self, what: ProbeCheck) -> CheckStatusInfo:
        check: CheckInfo = what.check
        if check.type == "COMMAND" and check.command is not None:
            code = await self._command(what, check.command.command)
            return outcome_of(check, exit_code=code)
        if check.type == "HTTP" and check.http is not None:
            status = await self._get(what, "http", check.http.port, check.http.path)
            return outcome_of(check, status_code=status)
        try:
            await self._connect(what, check.tcp.port if check.tcp is not None else 0)
        except OSError:
            return outcome_of(check, connected=False)
        return outcome_of(check, connected=True)

    async def _command(self, what: ProbeHealth | ProbeCheck, command: CommandInfo) -> int:
        return await self._runners[what.spec.kind].run_check(what.spec, command, what.timeout)

    async def _get(self, what: ProbeHealth | ProbeCheck, scheme: str, port: int, path: str | None) -> int:
        full = quote(path or "/", safe=_AS_IT_IS)
        url = f"{scheme}://{self._host(what)}:{port}{full if full.startswith('/') else '/' + full}"
        answer = await self._http.stream("GET", url, headers={"Connection": "close"}, timeout=what.timeout)
        answer.close()  # only the status counts; a server that does one thing at a time must not wait for us
        return answer.status

    async def _connect(self, what: ProbeHealth | ProbeCheck, port: int) -> None:
        _, writer = await asyncio.open_connection(self._host(what), port)
        writer.close()

    def _host(self, what: ProbeHealth | ProbeCheck) -> str:
        host = self._runners[what.spec.kind].address(what.spec.place.container_id)
        if not host:
            raise NowhereError("the container has no address that this machine can reach")
        return host


def _reason(error: Exception, container_id: str) -> str:
    """What went wrong, as far as that can be a check's own fault; a bug is logged."""
    if isinstance(error, OSError) or type(error).__module__.startswith("headrace."):
        return str(error)
    log.exception("the health check of container %s failed because of a bug", container_id)
    return f"the check can't be carried out: {error}"
