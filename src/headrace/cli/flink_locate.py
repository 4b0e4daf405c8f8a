"""Finds a Flink cluster's REST API, also of one whose dashboard the master does not show (``rest.port: -1``).

Then its application master is asked, of which the framework's label tells. What a framework says of itself is taken
only if it leads to the framework's own host: others may write what they like into their labels.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import msgspec

from headrace.cli.api import CommandError, Server
from headrace.cli.flink_find import APPMASTER_LABEL, StartingError, find_framework
from headrace.gateway.overview import FrameworkState, MasterState
from headrace.kernel.http import HttpClient


class _JobManager(msgspec.Struct):
    web: str = ""


class _AppMaster(msgspec.Struct):
    job_manager: _JobManager = msgspec.field(default_factory=_JobManager)


async def locate(state: MasterState, cluster: str | None, http: HttpClient) -> tuple[str, FrameworkState]:
    """As ``find_framework``; ``webui_url`` of what it returns is the REST URL. Raises CommandError, StartingError."""
    try:
        return find_framework(state, cluster)
    except StartingError as error:
        web = await _hidden(error.framework, http)
        if not web:
            raise
        return error.cluster, msgspec.structs.replace(error.framework, webui_url=web)


async def _hidden(framework: FrameworkState, http: HttpClient) -> str:
    url = framework.label(APPMASTER_LABEL)
    if not await _own(url, framework.hostname):
        return ""
    try:
        said = await Server("The application master", url, http).get("/state", _AppMaster, timeout=3)
    except CommandError:
        return ""
    web = said.job_manager.web
    return web if await _own(web, framework.hostname) else ""


async def _own(url: str, hostname: str) -> bool:
    """Whether the URL leads to this host, by the same name or the same address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host or not hostname:
        return False
    return host == hostname.strip("[]").lower() or bool(await _addresses(host) & await _addresses(hostname))


async def _addresses(host: str) -> set[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None)
    except (OSError, UnicodeError):
        return set()
    return {str(entry[4][0]) for entry in found}
