"""Where files come from: this machine, HTTP, or another program; each brought to one path.

A file of this machine is read with the rights of the task's user, never with more. A download that the server
breaks off is tried once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import re
import stat
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urljoin, urlsplit

from headrace.kernel.http import ClientStream, HttpClient, HttpClientError
from headrace.mesos.agent.sandbox import commands
from headrace.mesos.agent.sandbox.commands import CommandProblem
from headrace.mesos.agent.sandbox.fetcher_cache import new_hash
from headrace.mesos.agent.users import as_user

if TYPE_CHECKING:
    import hashlib

_REDIRECTS = 8
_CHUNK = 1024 * 1024
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")

Threads = Callable[..., Coroutine[Any, Any, Any]]
"""Runs a function in a thread."""


class FetchProblem(Exception):  # noqa: N818 - an answer to a task, not an error of the agent
    """What can't be fetched; says why."""


class Report(Protocol):
    """Is told how far it is."""

    def size(self, total: int) -> None:
        """So many bytes will come. May raise what then comes out of ``obtain``."""

    def at(self, done: int) -> None:
        """So many bytes are there."""


class _BrokenOff(Exception):  # noqa: N818 - a signal between two methods
    """The server closed the connection before all was there."""


class Sources:
    """Obtains files. ``stall`` in seconds: how long nothing may come."""

    def __init__(self, http: HttpClient, in_thread: Threads, *, stall: float, hadoop_home: str = "") -> None:
        self._http = http
        self._in_thread = in_thread
        self._stall = stall
        self._hadoop_home = hadoop_home

    async def obtain(
        self, address: str, target: Path, user: pwd.struct_passwd | None, digest: str, report: Report
    ) -> None:
        """Bring ``address`` to ``target``, for ``user`` if that is another than the agent's.

        ``digest``: the SHA-256 that it must have, if any. Raises FetchProblem, OSError.
        """
        match = _SCHEME.match(address)
        scheme = match[1].lower() if match else "file"
        found = ""
        if scheme in ("http", "https"):
            found = await self._download_twice(address, target, report, bool(digest))
        elif scheme == "file":
            await self._copy(_local_path(address), target, user, report)
        else:
            await self._by_command(address, target, user, report)
        if digest and scheme not in ("http", "https"):
            found = await self._in_thread(_digest, target)
        if digest and found != digest:
            raise FetchProblem(f"its SHA-256 is {found}, but {digest} was asked for")

    # this machine

    async def _copy(self, path: str, target: Path, user: pwd.struct_passwd | None, report: Report) -> None:
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise FetchProblem("there is no such file on this agent") from None
        if stat.S_ISDIR(status.st_mode):
            raise FetchProblem("it is a directory; give a file or an archive")
        if not stat.S_ISREG(status.st_mode):
            raise FetchProblem("it is no regular file")
        report.size(status.st_size)
        if user is None:
            await self._in_thread(copy, Path(path), target)
            return
        with target.open("wb") as out:
            os.fchmod(out.fileno(), status.st_mode & 0o755 | 0o200)
            reader = await asyncio.create_subprocess_exec(
                *as_user(user, ["/bin/cat", "--", path]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=asyncio.subprocess.PIPE,
                env={},
            )
            try:
                _, said = await reader.communicate()
            finally:
                if reader.returncode is None:
                    reader.kill()
                    await reader.wait()
        if reader.returncode != 0:
            why = said.decode("utf-8", "replace").strip().rpartition(": ")[2]
            raise FetchProblem(f"user '{user.pw_name}' can't read it: {why}")

    # other programs

    async def _by_command(self, address: str, target: Path, user: pwd.struct_passwd | None, report: Report) -> None:
        directory = target.with_name(f"{target.name}.d")  # of its own: the user of the task must be able to write
        directory.mkdir(mode=0o700)
        try:
            if user is not None:
                os.chown(directory, user.pw_uid, user.pw_gid)
            file = directory / "fetched"
            argv = commands.copying(address, file, self._hadoop_home, os.environ)
            await commands.run(argv, user=user, directory=directory, stall=self._stall, report=report.at)
            await self._in_thread(_take_over, file, target, user is None)
        except CommandProblem as problem:
            raise FetchProblem(str(problem)) from None
        finally:
            await self._in_thread(_remove, directory)

    # HTTP

    async def _download_twice(self, url: str, target: Path, report: Report, digest: bool) -> str:
        try:
            return await self._download(url, target, report, digest)
        except _BrokenOff:
            try:
                return await self._download(url, target, report, digest)
            except _BrokenOff:
                raise FetchProblem("the server broke off its answer, twice") from None

    async def _download(self, url: str, target: Path, report: Report, digest: bool) -> str:
        """The SHA-256 of what has come, if wanted."""
        hasher = new_hash() if digest else None
        stream = await self._get(url)
        try:
            length = stream.headers.get("content-length", "")
            if length.isascii() and length.isdigit():
                report.size(int(length))
            with target.open("wb", buffering=0) as out:
                done = 0
                async for data in self._pieces(stream):
                    await self._in_thread(_write, out.fileno(), data, hasher)
                    done += len(data)
                    report.at(done)
        except TimeoutError:
            raise FetchProblem(f"the server sent nothing for {self._stall:g} s") from None
        except HttpClientError:
            raise _BrokenOff from None
        finally:
            stream.close()
        return hasher.hexdigest() if hasher is not None else ""

    async def _pieces(self, stream: ClientStream) -> AsyncIterator[bytes]:
        """What comes, gathered to about 1 MiB. Raises TimeoutError if nothing comes."""
        gathered: list[bytes] = []
        size = 0
        chunks = aiter(stream)
        while True:
            async with asyncio.timeout(self._stall):
                chunk = await anext(chunks, None)
            if chunk is None:
                break
            gathered.append(chunk)
            size += len(chunk)
            if size >= _CHUNK:
                yield b"".join(gathered)
                gathered, size = [], 0
        if gathered:
            yield b"".join(gathered)

    async def _get(self, url: str) -> ClientStream:
        """Open ``url``, following redirections."""
        for _ in range(_REDIRECTS):
            stream = await self._open(url)
            if stream.status == 200:
                return stream
            location = stream.headers.get("location")
            stream.close()
            if stream.status not in (301, 302, 303, 307, 308) or not location:
                raise FetchProblem(f"the server answered with status {stream.status}")
            url = urljoin(url, location)
        raise FetchProblem(f"more than {_REDIRECTS} redirections")

    async def _open(self, url: str) -> ClientStream:
        headers = {"User-Agent": "headrace-agent", "Accept": "*/*"}
        credentials = urlsplit(url).netloc.rpartition("@")[0]
        if credentials:
            headers["Authorization"] = f"Basic {b64encode(unquote(credentials).encode()).decode()}"
        try:
            async with asyncio.timeout(self._stall):
                return await self._http.stream("GET", url, headers=headers, timeout=2 * self._stall)
        except TimeoutError:
            raise FetchProblem(f"the server sent no answer within {self._stall:g} s") from None
        except HttpClientError as error:
            if CLOSED in str(error):
                raise _BrokenOff from None
            raise FetchProblem(str(error).replace(url, shown(url))) from None


CLOSED = "closed the connection without an answer"
"""What the HTTP client says of a connection that was reset before the answer."""


def shown(uri: str) -> str:
    """A URI as it may be told: without user, password and query, which may be secret."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    rest = rest.partition("?")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def base_name(address: str) -> str:
    """What a file is called if nobody says otherwise. Raises FetchProblem."""
    path = urlsplit(address).path if "://" in address else address
    name = unquote(path).rpartition("/")[2]
    if not name or name in (".", ".."):
        raise FetchProblem("it names no file; give it an output_file")
    return name


def copy(source: Path, target: Path) -> None:
    """Copy within the kernel, sharing blocks where the file system can. Raises OSError."""
    with source.open("rb") as read, target.open("wb") as write:
        os.fchmod(write.fileno(), os.fstat(read.fileno()).st_mode & 0o755 | 0o200)
        copy_bytes(read.fileno(), write.fileno())


def copy_bytes(read: int, write: int) -> None:
    """Copy what follows in one open file to the other. Raises OSError."""
    with contextlib.suppress(OSError):  # not all file systems can; the loop below goes on where it stopped
        while os.copy_file_range(read, write, 1 << 30):
            pass
    while os.sendfile(write, read, None, 1 << 30):
        pass


def _local_path(address: str) -> str:
    if address[:7].lower() == "file://":
        address = unquote(address[7:].removeprefix("localhost"))
    if not address.startswith("/"):
        raise FetchProblem("it is neither a URL nor an absolute path")
    return address


def _take_over(file: Path, target: Path, own: bool) -> None:
    """Take what a program has fetched. It may be another user's, who must not be able to change it any more."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        raise FetchProblem("the program said that it has fetched it, but there is no file") from None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise FetchProblem("it is a directory; give a file or an archive")
        if own:
            os.replace(file, target)
            return
        with target.open("wb") as write:
            copy_bytes(fd, write.fileno())
    finally:
        os.close(fd)


def _remove(directory: Path) -> None:
    from shutil import rmtree  # seldom needed, and not small

    rmtree(directory, ignore_errors=True)


def _digest(target: Path) -> str:
    hasher = new_hash()
    with target.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def _write(fd: int, data: bytes, hasher: hashlib._Hash | None) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    if hasher is not None:
        hasher.update(data)
