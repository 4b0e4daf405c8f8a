"""The Docker engine's API over its unix socket. Source: Docker Engine API, versions 1.30 to 1.47.

Two kinds of failure: ``EngineAway``, there is no answer, so it may be tried again; ``EngineError``, the engine says no.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import msgspec

from headrace.kernel.http import ClientResponse, HttpClient, HttpClientError
from headrace.mesos.agent.docker.frames import FrameDecoder
from headrace.mesos.agent.docker.images import PullProgress

OLDEST, NEWEST = (1, 30), (1, 47)
_TIMEOUT = 120.0
_NOT_FOUND = 404
_MAX_REFUSAL = 64 * 1024
CONFLICT = 409


class EngineAway(Exception):  # noqa: N818 - not an answer, but a state
    """The engine can't be reached, or broke off; what it did of the request is not known."""


class EngineError(Exception):
    """The engine refuses; ``status`` as in HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status

    @property
    def missing(self) -> bool:
        """Whether there is no such thing."""
        return self.status == _NOT_FOUND


class EngineState(msgspec.Struct, rename="pascal", frozen=True):
    """State of a container. ``status``: created, running, paused, restarting, removing, exited or dead."""

    status: str = ""
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    finished_at: str = ""
    killed_for_memory: bool = msgspec.field(default=False, name="OOMKilled")

    @property
    def runs(self) -> bool:
        return self.status in ("running", "paused", "restarting")

    @property
    def fresh(self) -> bool:
        """Whether it was never started."""
        return self.status == "created"


class EngineConfig(msgspec.Struct, rename="pascal", frozen=True):
    labels: dict[str, str] | None = None
    stop_signal: str = ""


class HostConfig(msgspec.Struct, rename="pascal", frozen=True):
    network_mode: str = ""
    memory: int = 0


class Endpoint(msgspec.Struct, frozen=True):
    address: str = msgspec.field(default="", name="IPAddress")


class NetworkSettings(msgspec.Struct, rename="pascal", frozen=True):
    networks: dict[str, Endpoint] | None = None


class EngineContainer(msgspec.Struct, rename="pascal", frozen=True):
    """What the engine knows of a container, as far as it matters here."""

    id: str
    state: EngineState
    config: EngineConfig
    host_config: HostConfig = HostConfig()
    network_settings: NetworkSettings = NetworkSettings()

    @property
    def label(self) -> dict[str, str]:
        return self.config.labels or {}

    @property
    def ip(self) -> str:
        """Its own address; empty if it has none or shares the machine's."""
        networks = self.network_settings.networks or {}
        return next((endpoint.address for endpoint in networks.values() if endpoint.address), "")


class _Listed(msgspec.Struct, rename="pascal"):
    id: str
    labels: dict[str, str] | None = None


class _Exec(msgspec.Struct, rename="pascal"):
    exit_code: int | None = None
    pid: int = 0


class Engine:
    """One engine, by the path of its socket. Every method raises EngineAway and EngineError."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._http = HttpClient(unix_socket=socket)
        self._prefix = ""

    def close(self) -> None:
        self._http.close()

    async def version(self) -> str:
        """Agree on a version of the API; returns the engine's own version."""
        answer = await self._ask("GET", "/version", {}, None, 10.0)
        said: Any = answer.json()
        newest, oldest = str(said.get("ApiVersion", "")), str(said.get("MinAPIVersion", "1.12"))
        if _numbers(newest) < OLDEST or _numbers(oldest) > NEWEST:
            raise EngineError(
                400,
                f"the engine at {self.socket} speaks API {oldest} to {newest}, "
                f"and this agent {_text(OLDEST)} to {_text(NEWEST)}",
            )
        self._prefix = f"/v{_text(min(_numbers(newest), NEWEST))}"
        return str(said.get("Version", "?"))

    # images

    async def has_image(self, image: str) -> bool:
        try:
            await self._call("GET", f"/images/{image}/json")
        except EngineError as error:
            if error.missing:
                return False
            raise
        return True

    async def pull(self, image: str, auth: str | None) -> AsyncIterator[str]:
        """Get an image; yields its progress in lines. Raises PullError too."""
        headers = {"X-Registry-Auth": auth} if auth else {}
        url = await self._url("/images/create", {"fromImage": image})
        try:
            stream = await self._http.stream("POST", url, headers=headers, timeout=_TIMEOUT)
            try:
                if stream.status != 200:
                    raise _refusal(ClientResponse(stream.status, stream.headers, await stream.read()))
                progress = PullProgress()
                async for chunk in stream:
                    for line in progress.feed(chunk):
                        yield line
            finally:
                stream.close()
        except HttpClientError as error:
            raise self._away(error) from None

    # containers

    async def create(self, name: str, body: dict[str, Any]) -> str:
        """Make a container; returns its id."""
        answer = await self._call("POST", "/containers/create", {"name": name}, body)
        return str(answer.json()["Id"])

    async def start(self, container: str) -> None:
        await self._call("POST", f"/containers/{container}/start")

    async def inspect(self, container: str) -> EngineContainer:
        answer = await self._call("GET", f"/containers/{container}/json")
        return msgspec.json.decode(answer.body, type=EngineContainer)

    async def update(self, container: str, limits: dict[str, Any]) -> None:
        await self._call("POST", f"/containers/{container}/update", {}, limits)

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal; no error if it does not run."""
        await self._call("POST", f"/containers/{container}/kill", {"signal": signal}, ignore=(404, 409))

    async def stop(self, container: str, seconds: int) -> None:
        """Its stop signal, and SIGKILL after so many seconds."""
        query = {"t": str(seconds)}
        await self._call("POST", f"/containers/{container}/stop", query, ignore=(404,), timeout=_TIMEOUT + seconds)

    async def remove(self, container: str) -> None:
        """With its anonymous volumes; no error if it is gone or going. Raises EngineError (409) if it runs."""
        try:
            await self._call("DELETE", f"/containers/{container}", {"v": "1"}, ignore=(404,))
        except EngineError as error:
            if "already in progress" not in str(error):
                raise

    async def labelled(self, label: str, key: str) -> dict[str, str]:
        """Ids of all containers, running or not, with ``label`` (``name=value``), by their label ``key``."""
        filters = msgspec.json.encode({"label": [label]}).decode()
        answer = await self._call("GET", "/containers/json", {"all": "1", "filters": filters})
        listed = msgspec.json.decode(answer.body, type=list[_Listed])
        return {it.labels[key]: it.id for it in listed if it.labels and key in it.labels}

    async def wait(self, container: str) -> None:
        """Return when the container does not run."""
        async for _ in self._stream("POST", f"/containers/{container}/wait", {"condition": "not-running"}):
            pass

    async def logs(self, container: str, since: str, follow: bool) -> AsyncIterator[list[tuple[int, bytes]]]:
        """Entries of a container's output with their stream; ``since`` in seconds, "0" for the beginning.

        Each begins with its time and a space. With ``follow`` until it ends. Raises FrameError too.
        """
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", "since": since, "follow": "1" if follow else "0"}
        decoder = FrameDecoder()
        async for chunk in self._stream("GET", f"/containers/{container}/logs", query):
            yield decoder.feed(chunk)

    # commands in containers

    async def prepare(self, container: str, body: dict[str, Any]) -> str:
        """Make ready to run a command in a container; returns its id."""
        answer = await self._call("POST", f"/containers/{container}/exec", {}, body)
        return str(answer.json()["Id"])

    async def run(self, command: str) -> None:
        """Run a prepared command; returns when it has closed its output."""
        async for _ in self._stream("POST", f"/exec/{command}/start", {}, {"Detach": False, "Tty": False}):
            pass

    async def attach(self, command: str, tty: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Run a prepared command; its output can be read and its input written: framed (``frames``) without a tty."""
        body = _encoded({"Detach": False, "Tty": tty})
        url = await self._url(f"/exec/{command}/start", {})
        head = f"POST {url.removeprefix('http://docker')} HTTP/1.1\r\nHost: docker\r\nContent-Length: {len(body)}\r\n"
        head += "Content-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        try:
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_unix_connection(self.socket)
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise EngineAway(f"the Docker engine at {self.socket} does not answer: {error}") from None
        status = int(answer.split(b" ", 2)[1])
        if status in (101, 200):
            return reader, writer
        why = (await reader.read(_MAX_REFUSAL)).decode("utf-8", "replace").strip()
        writer.close()
        raise EngineError(status, why)

    async def resize(self, command: str, rows: int, columns: int) -> None:
        """Give a running command's terminal another size."""
        await self._call("POST", f"/exec/{command}/resize", {"h": str(rows), "w": str(columns)})

    async def result(self, command: str) -> tuple[int | None, int]:
        """Exit status (None while it runs) and process id of a command."""
        answer = await self._call("GET", f"/exec/{command}/json")
        said = msgspec.json.decode(answer.body, type=_Exec)
        return said.exit_code, said.pid

    # asking

    async def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: object = None,
        *,
        ignore: tuple[int, ...] = (),
        timeout: float = _TIMEOUT,
    ) -> ClientResponse:
        if not self._prefix:
            await self.version()
        answer = await self._ask(method, self._prefix + path, query or {}, body, timeout)
        if answer.status >= 400 and answer.status not in ignore:
            raise _refusal(answer)
        return answer

    async def _ask(self, method: str, path: str, query: dict[str, str], body: object, timeout: float) -> ClientResponse:
        try:
            return await self._http.request(
                method, _join(path, query), headers=_JSON, body=_encoded(body), timeout=timeout
            )
        except HttpClientError as error:
            raise self._away(error) from None

    async def _stream(self, method: str, path: str, query: dict[str, str], body: object = None) -> AsyncIterator[bytes]:
        url = await self._url(path, query)
        try:
            stream = await self._http.stream(method, url, headers=_JSON, body=_encoded(body), timeout=_TIMEOUT)
            try:
                if stream.status >= 400:
                    raise _refusal(ClientResponse(stream.status, stream.headers, await stream.read()))
                async for chunk in stream:
                    yield chunk
            finally:
                stream.close()
        except HttpClientError as error:
            raise self._away(error) from None

    async def _url(self, path: str, query: dict[str, str]) -> str:
        if not self._prefix:
            await self.version()
        return _join(self._prefix + path, query)

    def _away(self, error: HttpClientError) -> EngineAway:
        return EngineAway(f"the Docker engine at {self.socket} does not answer: {error}")


_JSON = {"Content-Type": "application/json"}


def _join(path: str, query: dict[str, str]) -> str:
    return f"http://docker{path}" + (f"?{urlencode(query)}" if query else "")


def _encoded(body: object) -> bytes:
    return b"" if body is None else msgspec.json.encode(body)


def _refusal(answer: ClientResponse) -> EngineError:
    return EngineError(answer.status, answer.message or f"status {answer.status}")


def _numbers(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)


def _text(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
