"""A real Docker engine of the tests' own, an image made on the spot, and the containerizer without its agent."""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import io
import itertools
import json
import os
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from headrace.flink.distribution import find_java
from headrace.kernel.http import HttpClient, HttpServer, Request, Response
from headrace.mesos.agent.core.containers import ContainerSpec, Fact, Place
from headrace.mesos.agent.core.events import ContainerEnded, ContainerFound, ContainerStarted, StartFailed
from headrace.mesos.agent.docker.containerizer import DockerContainerizer
from headrace.mesos.agent.docker.starting import Settings
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import CommandInfo, ContainerInfo, DockerInfo, Resource, Scalar

SCRIPT = Path(__file__).parents[2] / "scripts" / "docker.sh"
IMAGE = "headrace/tests:1"
_numbers = itertools.count(1)
_T = TypeVar("_T")


class TestEngine:
    """The engine below ``directory``."""

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = str(directory / "docker.sock")

    def script(self, what: str, *arguments: str) -> None:
        done = subprocess.run(["sh", SCRIPT, what, self.directory, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    async def call(self, method: str, path: str, body: bytes = b"", kind: str = "application/json") -> Any:
        """Ask the engine; returns its answer's JSON, None if it has none."""
        client = HttpClient(unix_socket=self.socket)
        try:
            answer = await client.request(
                method, f"http://docker{path}", headers={"Content-Type": kind}, body=body, timeout=60
            )
        finally:
            client.close()
        assert answer.status < 400, answer.body
        return json.loads(answer.body) if answer.body.startswith((b"{", b"[")) and method == "GET" else None

    async def import_image(self, name: str = IMAGE, changes: str = "") -> None:
        """Make an image of the minimal system; ``changes`` are further arguments of the request."""
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w") as archive:
            archive.add(self.directory / "rootfs", ".")
        repository, _, tag = name.rpartition(":")
        path = f"/images/create?fromSrc=-&repo={repository}&tag={tag}{changes}"
        await self.call("POST", path, content.getvalue(), "application/x-tar")

    async def import_java(self, name: str) -> None:
        """Make an image of the minimal system and this machine's Java, found by $JAVA_HOME."""
        java = find_java({}, os.environ)
        home, target = java.parent.parent, "opt/java"
        archived = self.directory / "java.tar"
        with tarfile.open(archived, "w") as archive:
            archive.add(self.directory / "rootfs", ".")
            for library in _libraries(java, home):
                archive.add(library.resolve(), str(library).lstrip("/"))
            for path in home.rglob("*"):
                inside = path.relative_to(home)
                if path.is_file() and not _NOT_TO_RUN.intersection(inside.parts):
                    archive.add(path.resolve(), f"{target}/{inside}")
        repository, _, tag = name.rpartition(":")
        query = f"fromSrc=-&repo={repository}&tag={tag}&changes=ENV%20JAVA_HOME%3D/{target}"
        await self.call("POST", f"/images/create?{query}", archived.read_bytes(), "application/x-tar")

    @property
    def address(self) -> str:
        """That of the machine on the engine's bridge, under which containers reach it."""
        shown = subprocess.run(
            ["ip", "-4", "-j", "address", "show", (self.directory / "bridge").read_text().strip()],
            capture_output=True,
            check=True,
        )
        return str(json.loads(shown.stdout)[0]["addr_info"][0]["local"])

    async def containers(self) -> dict[str, str]:
        """State of each container that there is, by name."""
        return {c["Names"][0].lstrip("/"): c["State"] for c in await self.call("GET", "/containers/json?all=1")}

    async def clear(self) -> None:
        """End and remove all containers."""
        for name in await self.containers():
            await self.call("DELETE", f"/containers/{name}?force=1&v=1")


_NOT_TO_RUN = {"src.zip", "ct.sym", "jmods", "include", "man", "legal", "demo"}
"""Of a JDK."""


def _libraries(java: Path, home: Path) -> list[Path]:
    """The system's libraries that Java needs, the loader among them."""
    needed = [java, home / "lib/server/libjvm.so", *(home / "lib").glob("lib[jmnvz]*.so")]
    told = subprocess.run(["ldd", *needed], capture_output=True, text=True, check=False).stdout
    found = set(re.findall(r"^\s(?:\S+ => )?(/\S+)", told, re.MULTILINE))
    return sorted(Path(path) for path in found if not path.startswith(str(home)))


@contextmanager
def running_engine() -> Iterator[TestEngine]:
    """An engine with the image; gone at the end with all that it made."""
    engine = TestEngine(Path(tempfile.mkdtemp(prefix="hrdocker-")))  # a socket's path must be short
    try:
        engine.script("start", "--live-restore")
        asyncio.run(engine.import_image())
        yield engine
    finally:
        engine.script("stop")


class Registry:
    """A registry with one image, ``private/image:1``, for those who know the password."""

    AUTH = "Basic " + base64.b64encode(b"me:secret").decode()

    def __init__(self, rootfs: Path) -> None:
        self._blobs: dict[str, bytes] = {}
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            archive.add(rootfs, ".")
        parts = {
            "application/vnd.docker.image.rootfs.diff.tar.gzip": gzip.compress(layer.getvalue(), 1),
            "application/vnd.docker.container.image.v1+json": json.dumps(
                {
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {"Cmd": ["echo", "pulled"]},
                    "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
                }
            ).encode(),
        }
        described = []
        for kind, content in parts.items():
            self._blobs[_digest(content)] = content
            described.append({"mediaType": kind, "size": len(content), "digest": _digest(content)})
        self._manifest = json.dumps(
            {"schemaVersion": 2, "mediaType": _MANIFEST, "config": described[1], "layers": described[:1]}
        ).encode()
        self.server = HttpServer(self._answer)

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self.server.port}/private/image:1"

    def _answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != self.AUTH:
            return Response(401, b"{}", headers={"WWW-Authenticate": 'Basic realm="tests"'})
        name = request.path.rpartition("/")[2]
        if "/manifests/" in request.path:
            digest = {"Docker-Content-Digest": _digest(self._manifest)}
            return Response(200, self._manifest, _MANIFEST, digest)
        return Response(200, self._blobs.get(name, b"{}"), "application/octet-stream")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Box:
    """A containerizer whose events are gathered; ``again`` is what an agent's restart is to it."""

    def __init__(self, engine: TestEngine, data: Path, settings: Settings) -> None:
        self.layout = Layout(data)
        self.engine = engine
        self.settings = settings
        self.events: list[Any] = []
        self._changed = asyncio.Event()
        self.it = self._new()

    def _new(self) -> DockerContainerizer:
        return DockerContainerizer(self.engine.socket, self.layout, self.settings, self._post)

    def _post(self, *events: Any) -> None:
        self.events += events
        self._changed.set()

    async def until(self, condition: Callable[[], _T | None], seconds: float = 60.0) -> _T:
        """The first result that is not None."""
        async with asyncio.timeout(seconds):
            while (found := condition()) is None:
                self._changed.clear()
                await self._changed.wait()
        return found

    def event(self, kind: type[_T], spec: ContainerSpec) -> _T | None:
        wanted = spec.place.container_id
        return next((e for e in self.events if isinstance(e, kind) and e.container_id == wanted), None)  # type: ignore[attr-defined]

    async def started(self, spec: ContainerSpec) -> ContainerStarted:
        """Start it; returns when it runs."""
        self.it.start(spec)
        event = await self.until(lambda: self.event(ContainerStarted, spec) or self.event(StartFailed, spec))
        assert isinstance(event, ContainerStarted), event
        return event

    async def failed(self, spec: ContainerSpec) -> str:
        """Start it; returns why it could not be."""
        self.it.start(spec)
        return (await self.until(lambda: self.event(StartFailed, spec))).message

    async def ended(self, spec: ContainerSpec) -> ContainerEnded:
        return await self.until(lambda: self.event(ContainerEnded, spec))

    async def run(self, spec: ContainerSpec) -> tuple[int, str, str]:
        """Start it and wait for its end; returns exit status, stdout and stderr."""
        await self.started(spec)
        return (await self.ended(spec)).end.code, self.output(spec), self.output(spec, "stderr")

    def sandbox(self, spec: ContainerSpec) -> Path:
        return self.layout.sandbox(spec.place)

    def output(self, spec: ContainerSpec, name: str = "stdout") -> str:
        return (self.sandbox(spec) / name).read_text()

    def stop(self) -> None:
        self.it.stop()

    async def again(self, *left: ContainerSpec) -> list[ContainerFound]:
        """A new containerizer finds what the one before has left."""
        self.it.stop()
        self.it = self._new()
        return list(await self.it.find([Fact(spec.place.container_id) for spec in left]))


def spec(command: str | CommandInfo | None, *, mem: float = 32, **docker: Any) -> ContainerSpec:
    """A container of the tests' image; further arguments are DockerInfo's, ``more`` ContainerInfo's."""
    more = docker.pop("more", {})
    resources = [Resource("cpus", "SCALAR", scalar=Scalar(0.1)), Resource("mem", "SCALAR", scalar=Scalar(mem))]
    resources += docker.pop("resources", [])
    info = ContainerInfo("DOCKER", docker=DockerInfo(docker.pop("image", IMAGE), **docker), **more)
    number = f"{next(_numbers):08d}"
    place = Place("agent-S0", "fw-1", f"task:{number}", f"c0ffee-{number}")
    ready = CommandInfo(command) if isinstance(command, str) else command
    return ContainerSpec(place, place.executor_id, ready, {}, resources, container=info, task_id=place.executor_id)
