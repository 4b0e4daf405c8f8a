"""Fills sandboxes: fetches what a task's URIs name, through the cache if they ask for it, and unpacks it.

Understood are ``file://`` and absolute paths, ``http://`` and ``https://``. Four files are fetched at a time. What
was fetched, and how long it took, is written to the sandbox's ``stderr``, as people expect from Mesos.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urljoin, urlsplit

from headrace.kernel.http import ClientStream, HttpClient, HttpClientError
from headrace.mesos.agent.archives import ArchiveError, is_archive, unpack
from headrace.mesos.agent.events import Fetch, FetchDone, FetchFailed
from headrace.mesos.agent.fetcher_cache import FetcherCache, cache_key, new_hash, split_digest
from headrace.mesos.agent.layout import Layout
from headrace.mesos.agent.users import UserProblem, check_user
from headrace.mesos.messages.common import CommandUri

log = logging.getLogger(__name__)

AT_A_TIME = 4
SILENCE = 60.0
"""Seconds without a byte after which a download is given up."""

LINKED_FROM = 1024 * 1024
"""Bytes from which a cached file is linked rather than copied. Links are read-only: small files are often edited."""

_REDIRECTS = 8
_R = TypeVar("_R")
_CHUNK = 1024 * 1024


class FetchProblem(Exception):  # noqa: N818 - an answer to a task, not an error of the agent
    """A URI that can't be fetched; says which and why."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Fetcher:
    """Fetches for any number of tasks at a time; FetchDone or FetchFailed is posted for each."""

    def __init__(self, layout: Layout, http: HttpClient, cache: FetcherCache, post: Callable[..., None]) -> None:
        self._layout = layout
        self._http = http
        self._cache = cache
        self._post = post
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="fetch")
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._filling: dict[str, asyncio.Task[None]] = {}
        self._numbers = itertools.count(1)
        self.succeeded = 0
        self.failed = 0

    @property
    def cache(self) -> FetcherCache:
        """What is kept."""
        return self._cache

    def fetch(self, what: Fetch) -> None:
        """Fill a sandbox, which is made anew."""
        task = asyncio.get_running_loop().create_task(self._fetch(what))
        self._fetches[what.place.container_id] = task
        task.add_done_callback(lambda _: self._fetches.pop(what.place.container_id, None))

    def cancel(self, container_id: str) -> None:
        """Stop; a download that goes into the cache goes on, as others may wait for it."""
        task = self._fetches.pop(container_id, None)
        if task is not None:
            task.cancel()

    async def stop(self) -> None:
        """Stop everything."""
        tasks = [*self._fetches.values(), *self._filling.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _fetch(self, what: Fetch) -> None:
        container_id = what.place.container_id
        try:
            private = check_user(what.user) is not None
            sandbox = await self._in_thread(self._layout.clear, what.place)
            async with asyncio.TaskGroup() as group:
                for uri in what.uris:
                    group.create_task(self._one(uri, sandbox, what.user, private))
        except* (FetchProblem, UserProblem, OSError) as problems:
            self.failed += 1
            self._post(FetchFailed(container_id, str(problems.exceptions[0])))
        except* Exception as bugs:
            log.error("fetching for container %s failed because of a bug", container_id, exc_info=bugs)
            self._post(FetchFailed(container_id, "internal error of the fetcher; the agent's log has the details"))
        else:
            self.succeeded += 1
            self._post(FetchDone(container_id))

    async def _one(self, uri: CommandUri, sandbox: Path, user: str, private: bool) -> None:
        """Fetch one URI. ``private``: the sandbox will belong to another user, so nothing in it may be shared."""
        began = time.monotonic()
        try:
            address, digest = split_digest(uri.value)
            name = uri.output_file or _base_name(address)
            target = _inside(sandbox, name)
            size, how = await self._bring(uri, address, digest, target, user, private)
            if uri.executable:
                await self._in_thread(os.chmod, target, 0o755)
        except (FetchProblem, ArchiveError, OSError, ValueError) as problem:
            message = f"Failed to fetch URI '{shown(uri.value)}': {_text(problem)}"
            _note(sandbox, message)
            raise FetchProblem(message) from problem
        _note(sandbox, f"{how} URI '{shown(uri.value)}' in {time.monotonic() - began:.2f} s, {_readable(size)}")

    async def _bring(
        self, uri: CommandUri, address: str, digest: str, target: Path, user: str, private: bool
    ) -> tuple[int, str]:
        """Bring it to ``target``, unpacked if so wanted; returns its size and how it came."""
        unpacks = uri.extract is not False and not uri.executable and is_archive(target.name)
        if uri.cache:
            size = await self._from_cache(
                address, digest, target, user, unpacks, own_copy=bool(uri.executable or private)
            )
            if size is not None:
                return size, "Took from the cache"
        temporary = target.parent / f".fetching-{next(self._numbers)}"
        try:
            await self._obtain(address, digest, temporary)
            size = temporary.stat().st_size
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        if unpacks:
            await self._in_thread(unpack, target, target.name, target.parent)
        return size, "Fetched"

    async def _from_cache(
        self, address: str, digest: str, target: Path, user: str, unpacks: bool, *, own_copy: bool
    ) -> int | None:
        """Take it from the cache, filling that if need be; None if it is too large for the cache."""
        key = cache_key(address, digest, user)
        cached = self._cache.pin(key, time.time())
        if cached is None:
            filling = self._filling.get(key)
            if filling is None:
                filling = self._filling[key] = asyncio.create_task(self._fill(key, address, digest))
                filling.add_done_callback(lambda task: self._filled(key, task))
            await asyncio.shield(filling)
            cached = self._cache.pin(key, time.time())
            if cached is None:
                return None
        try:
            size = cached.stat().st_size
            if unpacks:
                await self._in_thread(unpack, cached, target.name, target.parent)
            else:
                await self._in_thread(_place, cached, target, own_copy or size < LINKED_FROM)
            return size
        finally:
            self._cache.unpin(key)

    def _filled(self, key: str, task: asyncio.Task[None]) -> None:
        self._filling.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody else is to be told

    async def _fill(self, key: str, address: str, digest: str) -> None:
        temporary = self._cache.temporary(key, next(self._numbers))
        try:
            await self._obtain(address, digest, temporary)
            self._cache.seal(key, temporary, time.time())
        finally:
            temporary.unlink(missing_ok=True)

    async def _obtain(self, address: str, digest: str, target: Path) -> None:
        hasher = new_hash() if digest else None
        async with self._slots:
            if address.startswith(("http://", "https://")):
                await self._download(address, target, hasher)
            else:
                await self._in_thread(_copy_local, address, target, hasher)
        if hasher is not None and hasher.hexdigest() != digest:
            raise FetchProblem(f"its SHA-256 is {hasher.hexdigest()}, but {digest} was asked for")

    async def _download(self, url: str, target: Path, hasher: _Hash | None) -> None:
        stream = await self._get(url)
        try:
            with target.open("wb", buffering=0) as out:
                gathered: list[bytes] = []
                size = 0
                chunks = aiter(stream)
                while True:
                    async with asyncio.timeout(SILENCE):
                        chunk = await anext(chunks, None)
                    if chunk is not None:
                        gathered.append(chunk)
                        size += len(chunk)
                    if gathered and (chunk is None or size >= _CHUNK):
                        await self._in_thread(_write, out.fileno(), b"".join(gathered), hasher)
                        gathered, size = [], 0
                    if chunk is None:
                        return
        except TimeoutError:
            raise FetchProblem(f"the server sent nothing for {SILENCE:g} s") from None
        except HttpClientError:
            raise FetchProblem("the server broke off its answer") from None
        finally:
            stream.close()

    async def _get(self, url: str) -> ClientStream:
        """Open ``url``, following redirections."""
        for _ in range(_REDIRECTS):
            headers = {"User-Agent": "headrace-agent", "Accept": "*/*"}
            credentials = urlsplit(url).netloc.rpartition("@")[0]
            if credentials:
                headers["Authorization"] = f"Basic {b64encode(unquote(credentials).encode()).decode()}"
            try:
                stream = await self._http.stream("GET", url, headers=headers, timeout=SILENCE)
            except HttpClientError as error:
                raise FetchProblem(str(error).replace(url, shown(url))) from None
            if stream.status == 200:
                return stream
            location = stream.headers.get("location")
            stream.close()
            if stream.status not in (301, 302, 303, 307, 308) or not location:
                raise FetchProblem(f"the server answered with status {stream.status}")
            url = urljoin(url, location)
        raise FetchProblem(f"more than {_REDIRECTS} redirections")

    async def _in_thread(self, function: Callable[..., _R], *arguments: object) -> _R:
        """Run it in a thread. If cancelled, wait until the thread is done with its files, which others may get."""
        job = self._threads.submit(function, *arguments)
        done = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            job.cancel()  # does nothing to one that has begun
            while not done.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([done])
            if not done.cancelled():
                done.exception()  # nobody else asks for it
            raise


def shown(uri: str) -> str:
    """A URI as it may be told: without user, password and query, which may be secret."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return uri
    rest = rest.partition("?")[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _base_name(address: str) -> str:
    path = urlsplit(address).path if "://" in address else address
    name = unquote(path).rpartition("/")[2]
    if not name or name in (".", ".."):
        raise FetchProblem("it names no file; give it an output_file")
    return name


def _inside(sandbox: Path, name: str) -> Path:
    """The path of ``name`` in the sandbox, its directories made. A link may have been unpacked there."""
    target = sandbox / name
    root = os.path.realpath(sandbox)
    if os.path.commonpath([root, os.path.realpath(target.parent)]) != root:
        raise FetchProblem(f"{name!r} leads out of the sandbox")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _copy_local(address: str, target: Path, hasher: _Hash | None) -> None:
    path = _local_path(address)
    if not os.path.exists(path):
        raise FetchProblem("there is no such file on this agent")
    if os.path.isdir(path):
        raise FetchProblem("it is a directory; give a file or an archive")
    _copy(Path(path), target)
    if hasher is not None:
        with target.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)


def _local_path(address: str) -> str:
    if address.startswith("file://"):
        path = address.removeprefix("file://").removeprefix("localhost")
        address = unquote(path)
    elif "://" in address:
        raise FetchProblem(f"{address.partition('://')[0]}:// can't be fetched; use file, http or https")
    if not address.startswith("/"):
        raise FetchProblem("it is neither a URL nor an absolute path")
    return address


def _copy(source: Path, target: Path) -> None:
    """Copy within the kernel, sharing blocks where the file system can. Raises OSError."""
    with source.open("rb") as read, target.open("wb") as write:
        os.fchmod(write.fileno(), os.fstat(read.fileno()).st_mode & 0o755 | 0o200)
        with contextlib.suppress(OSError):  # not all file systems can; the loop below goes on where it stopped
            while os.copy_file_range(read.fileno(), write.fileno(), 1 << 30):
                pass
        while os.sendfile(write.fileno(), read.fileno(), None, 1 << 30):
            pass


def _place(cached: Path, target: Path, own_copy: bool) -> None:
    """Bring a cached file into a sandbox."""
    temporary = target.with_name(f".{target.name[:200]}.placing")
    temporary.unlink(missing_ok=True)
    if own_copy:
        _copy(cached, temporary)
    else:
        try:
            os.link(cached, temporary)
        except OSError:  # another file system
            _copy(cached, temporary)
    os.replace(temporary, target)


def _write(fd: int, data: bytes, hasher: _Hash | None) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    if hasher is not None:
        hasher.update(data)


def _note(sandbox: Path, line: str) -> None:
    with contextlib.suppress(OSError), (sandbox / "stderr").open("a") as out:
        out.write(line + "\n")


def _readable(size: int) -> str:
    if size < 1024 * 1024:
        return f"{size / 1024:.1f} KiB"
    return f"{size / 1024 / 1024:.0f} MiB"


def _text(problem: Exception) -> str:
    return (
        f"{problem.strerror}: {problem.filename}" if isinstance(problem, OSError) and problem.strerror else str(problem)
    )
