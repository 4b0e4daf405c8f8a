"""Fills sandboxes: fetches what a task's URIs name, through the cache if they ask for it, and unpacks it.

``sources`` knows where files come from. The URIs of a task are fetched side by side, eight files at a time in all.
What was fetched, and how long it took, is written to the sandbox's ``stderr``, as people expect from Mesos. What
does not fit into the cache is fetched past it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import pwd
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from headrace.kernel.http import HttpClient
from headrace.mesos.agent.core.events import Fetch, FetchDone, FetchFailed
from headrace.mesos.agent.sandbox.archives import ArchiveError, is_archive, unpack
from headrace.mesos.agent.sandbox.fetcher_cache import FetcherCache, cache_key, split_digest
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.agent.sandbox.progress import Listeners, Progress
from headrace.mesos.agent.sandbox.sources import FetchProblem, Report, Sources, base_name, copy, shown
from headrace.mesos.agent.users import UserProblem, check_user
from headrace.mesos.messages.common import CommandUri

log = logging.getLogger(__name__)

THREADS = 4
AT_A_TIME = 8

LINKED_FROM = 1024 * 1024
"""Bytes from which a cached file is linked rather than copied. Links are read-only: small files are often edited."""

_R = TypeVar("_R")


class _Wanted(msgspec.Struct, frozen=True):
    """One URI of one task. ``user`` is set if it is another than the agent's: nothing of his may be shared."""

    uri: CommandUri
    address: str
    digest: str
    sandbox: Path
    target: Path
    user_name: str
    user: pwd.struct_passwd | None
    unpacks: bool


class _Filling(msgspec.Struct):
    """A file on its way into the cache."""

    task: asyncio.Task[None]
    listeners: Listeners


class _NoRoom(Exception):  # noqa: N818 - a signal between two methods
    """The cache can't take it now."""


class Fetcher:
    """Fetches for any number of tasks at a time; FetchDone or FetchFailed is posted for each."""

    def __init__(
        self,
        layout: Layout,
        http: HttpClient,
        cache: FetcherCache,
        post: Callable[..., None],
        *,
        stall: float = 60.0,
        hadoop_home: str = "",
    ) -> None:
        """``stall`` in seconds: how long a download may bring nothing."""
        self._layout = layout
        self._cache = cache
        self._post = post
        self._sources = Sources(http, self._in_thread, stall=stall, hadoop_home=hadoop_home)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fetch")
        self._slots = asyncio.Semaphore(AT_A_TIME)
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._filling: dict[str, _Filling] = {}
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
        tasks = [*self._fetches.values(), *(filling.task for filling in self._filling.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=True, cancel_futures=True)

    async def _fetch(self, what: Fetch) -> None:
        container_id = what.place.container_id
        try:
            user = check_user(what.user)
            sandbox = await self._in_thread(self._layout.clear, what.place)
            async with asyncio.TaskGroup() as group:
                for uri in what.uris:
                    group.create_task(self._one(uri, sandbox, what.user, user))
        except* (FetchProblem, UserProblem, OSError) as problems:
            self.failed += 1
            self._post(FetchFailed(container_id, str(problems.exceptions[0])))
        except* Exception as bugs:
            log.error("fetching for container %s failed because of a bug", container_id, exc_info=bugs)
            self._post(FetchFailed(container_id, "internal error of the fetcher; the agent's log has the details"))
        else:
            self.succeeded += 1
            self._post(FetchDone(container_id))

    async def _one(self, uri: CommandUri, sandbox: Path, user_name: str, user: pwd.struct_passwd | None) -> None:
        progress = Progress(sandbox, shown(uri.value))
        try:
            address, digest = split_digest(uri.value.lstrip())
            name = uri.output_file or base_name(address)
            target = _inside(sandbox, name)
            unpacks = uri.extract is not False and not uri.executable and is_archive(target.name)
            wanted = _Wanted(uri, address, digest, sandbox, target, user_name, user, unpacks)
            how, size = await self._bring(wanted, progress)
            if uri.executable:
                await self._in_thread(os.chmod, target, 0o755)
        except (FetchProblem, ArchiveError, OSError, ValueError) as problem:
            message = f"Failed to fetch URI '{shown(uri.value)}': {_text(problem)}"
            progress.failed(message)
            raise FetchProblem(message) from problem
        progress.ended(how, size)

    async def _bring(self, wanted: _Wanted, progress: Progress) -> tuple[str, int]:
        """Bring it into the sandbox, unpacked if so wanted; how it came, and its size in bytes."""
        if wanted.uri.cache:
            size = await self._from_cache(wanted, progress)
            if size is not None:
                return "Took from the cache", size
        target = wanted.target
        temporary = target.parent / f".fetching-{next(self._numbers)}"
        try:
            await self._obtain(wanted, temporary, progress)
            size = temporary.stat().st_size
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
        if wanted.unpacks:
            await self._in_thread(unpack, target, target.name, wanted.sandbox)
        return "Fetched", size

    async def _from_cache(self, wanted: _Wanted, progress: Progress) -> int | None:
        """Take it from the cache, filling that if need be; None if there is no room in the cache."""
        key = cache_key(wanted.address, wanted.digest, wanted.user_name)
        cached = self._cache.pin(key, time.time())
        if cached is None:
            try:
                await self._filled(key, wanted, progress)
            except _NoRoom:
                return None
            cached = self._cache.pin(key, time.time())
            if cached is None:
                return None
        try:
            size = cached.stat().st_size
            if wanted.unpacks:
                await self._in_thread(unpack, cached, wanted.target.name, wanted.sandbox)
            else:
                own_copy = bool(wanted.uri.executable or wanted.user is not None or size < LINKED_FROM)
                await self._in_thread(_place, cached, wanted.target, own_copy)
            return size
        finally:
            self._cache.unpin(key)

    async def _filled(self, key: str, wanted: _Wanted, progress: Progress) -> None:
        """Wait until it is in the cache; whoever asks first has it fetched, for all."""
        filling = self._filling.get(key)
        if filling is None:
            temporary = self._cache.temporary(key, next(self._numbers))
            listeners = Listeners(lambda size: self._reserve(temporary, size))
            task = asyncio.create_task(self._fill(key, wanted, temporary, listeners))
            filling = self._filling[key] = _Filling(task, listeners)
            task.add_done_callback(lambda task: self._fill_ended(key, task))
        filling.listeners.add(progress)
        await asyncio.shield(filling.task)

    def _reserve(self, temporary: Path, size: int) -> None:
        if not self._cache.reserve(temporary, size):
            raise _NoRoom

    def _fill_ended(self, key: str, task: asyncio.Task[None]) -> None:
        self._filling.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody else is to be told

    async def _fill(self, key: str, wanted: _Wanted, temporary: Path, report: Report) -> None:
        try:
            await self._obtain(wanted, temporary, report)
            if not self._cache.seal(key, temporary, time.time()):
                raise _NoRoom
        finally:
            self._cache.give_up(temporary)

    async def _obtain(self, wanted: _Wanted, target: Path, report: Report) -> None:
        async with self._slots:
            await self._sources.obtain(wanted.address, target, wanted.user, wanted.digest, report)

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


def _inside(sandbox: Path, name: str) -> Path:
    """The path of ``name`` in the sandbox, its directories made. A link may have been unpacked there."""
    target = sandbox / name
    root = os.path.realpath(sandbox)
    if os.path.commonpath([root, os.path.realpath(target.parent)]) != root:
        raise FetchProblem(f"{name!r} leads out of the sandbox")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


def _place(cached: Path, target: Path, own_copy: bool) -> None:
    """Bring a cached file into a sandbox."""
    temporary = target.with_name(f".{target.name[:200]}.placing")
    temporary.unlink(missing_ok=True)
    if own_copy:
        copy(cached, temporary)
    else:
        try:
            os.link(cached, temporary)
        except OSError:  # another file system
            copy(cached, temporary)
    os.replace(temporary, target)


def _text(problem: Exception) -> str:
    return (
        f"{problem.strerror}: {problem.filename}" if isinstance(problem, OSError) and problem.strerror else str(problem)
    )
