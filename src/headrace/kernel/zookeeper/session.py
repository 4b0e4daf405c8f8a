"""One session with a ZooKeeper ensemble, for programs that live on an event loop.

kazoo speaks with the servers in threads of its own; what it has to say comes to the loop by ``call_soon_threadsafe``.
A session survives the loss of its connection for as long as the servers allow (``timeout``); then it is *lost*: its
ephemeral znodes are gone, and kazoo begins another one. Waiting for a connection has no end; a warning says so every
few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.kernel.daemon import UserError
from headrace.kernel.zookeeper.address import ZooKeeperAddress

if TYPE_CHECKING:
    from kazoo.client import KazooClient  # type: ignore[import-untyped]
    from kazoo.security import ACL  # type: ignore[import-untyped]

log = logging.getLogger(__name__)

WARN_EVERY = 5.0
"""Seconds between two warnings that there is no connection."""
_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0
"""Seconds between attempts to connect: the first, and the longest."""


class ZooKeeperError(Exception):
    """ZooKeeper refused a request; ``kind`` is the name of kazoo's error, ``lost`` whether the request may count."""

    def __init__(self, kind: str, message: str, *, lost: bool = False) -> None:
        super().__init__(message)
        self.kind, self.lost = kind, lost


class SessionId(msgspec.Struct, frozen=True):
    """What a later process needs to go on with the session of an earlier one. Whoever has it, has the session."""

    number: int
    password: str


class Session:
    """A session; made on the loop that is to use it."""

    def __init__(self, address: ZooKeeperAddress, *, timeout: float, resume: SessionId | None = None) -> None:
        """``timeout`` in seconds is what the servers are asked for. ``resume``: the session of an earlier process."""
        self.address = address
        self.timeout = timeout
        self.granted = timeout
        """Seconds that the servers agreed to at the last connection: so long the session outlives one."""
        self.connected = False
        self.losses = 0
        """How many sessions were lost so far."""
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._warned = -WARN_EVERY
        self._client = _make_client(address, timeout, resume)
        self._client.add_listener(self._on_state)
        _hear_granted(self._client, self._on_granted)

    @property
    def number(self) -> int:
        """The session's number, which ephemeral znodes name as their owner; 0 without a session."""
        return int(self._client._session_id or 0)

    @property
    def id(self) -> SessionId:
        return SessionId(self.number, self._client._session_passwd.hex())

    async def open(self) -> None:
        """Connect; returns when that is done, however long it takes."""
        self._client.start_async()
        await self.until_connected()

    async def until_connected(self) -> None:
        """Wait for the connection; warns every few seconds while there is none."""
        while not self.connected:
            try:
                async with asyncio.timeout(WARN_EVERY):
                    await self.change()
            except TimeoutError:
                self._warn()

    def _warn(self) -> None:
        """Once, however many wait."""
        now = self._loop.time()
        if now - self._warned > WARN_EVERY / 2:
            self._warned = now
            log.warning("no connection to ZooKeeper at %s; still trying", ",".join(self.address.hosts))

    async def change(self) -> None:
        """Wait until the connection, or the session, is another."""
        await self._news.wait()

    async def close(self, patience: float = 10.0) -> None:
        """End the session: its ephemeral znodes go at once. After ``patience`` seconds it is left to end by itself.

        Without a connection there is nobody to say it to, and nothing to wait for. The thread is a daemon, because
        kazoo waits for ten seconds when servers are silent, and the end of the process must not wait with it.
        """
        done = asyncio.Event()

        def stop() -> None:
            self._stop()
            self._post(done.set)

        threading.Thread(target=stop, name="zookeeper-close", daemon=True).start()
        if self.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await done.wait()

    async def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """One request, kazoo's ``<method>_async``. Raises ZooKeeperError."""
        return await self._outcome(getattr(self._client, method + "_async")(*arguments, **named))

    async def get_all(self, paths: Sequence[str]) -> list[bytes]:
        """What many znodes hold, in order; a thread waits for the answers, which costs the loop nothing for each.

        Raises ZooKeeperError.
        """

        def get() -> list[bytes]:
            results = [self._client.get_async(path) for path in paths]
            try:
                return [result.get()[0] for result in results]
            except Exception as error:
                raise _translated(error, self.address.path) from None

        return await asyncio.to_thread(get)

    async def transact(self, operations: list[tuple[Any, ...]]) -> None:
        """All operations (name of kazoo's method and its arguments) or none. Raises ZooKeeperError."""
        transaction = self._client.transaction()
        for name, *arguments in operations:
            getattr(transaction, name)(*arguments)
        results = await self._outcome(transaction.commit_async())
        guilty = [(i, error) for i, error in enumerate(results) if isinstance(error, Exception)]
        if guilty:
            first = next((one for one in guilty if type(one[1]).__name__ not in _FOLLOWERS), guilty[0])
            raise _translated(first[1], f"{' '.join(map(str, operations[first[0]][:2]))}")

    async def remove(self, path: str) -> None:
        """Remove a znode and all below it; that it is not there is no error. Raises ZooKeeperError."""
        while True:
            try:
                for child in await self.call("get_children", path):
                    await self.remove(f"{path}/{child}")
                return await self.call("delete", path)  # type: ignore[no-any-return]
            except ZooKeeperError as error:
                if error.kind == "NoNodeError":
                    return None
                if error.kind != "NotEmptyError":  # somebody has written there meanwhile
                    raise

    def watch(self, told: Callable[[], None]) -> Callable[[Any], None]:
        """A watch for kazoo that calls ``told`` on the loop."""

        def on_event(event: Any) -> None:
            self._post(told)

        return on_event

    def permissions(self, *, readable: bool = False) -> list[ACL] | None:
        """What others may do with a znode of ours: with credentials nothing, or read it; else anything."""
        from kazoo.security import CREATOR_ALL_ACL, READ_ACL_UNSAFE

        if not self.address.credentials:
            return None
        return [*CREATOR_ALL_ACL, *(READ_ACL_UNSAFE if readable else [])]

    async def _outcome(self, result: Any) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()

        def settle() -> None:
            if future.done():
                return
            if result.exception is not None:
                future.set_exception(_translated(result.exception, self.address.path))
            else:
                future.set_result(result.value)

        result.rawlink(lambda done: self._post(settle))
        return await future

    def _post(self, function: Callable[[], None]) -> None:
        """Call it on the loop; from any thread. When the loop has gone, nobody waits."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _on_state(self, state: str) -> None:
        self._post(lambda: self._moved(state))

    def _on_granted(self, seconds: float) -> None:
        if seconds != self.granted:
            log.info("ZooKeeper gives sessions of %g s; %g s were asked for", seconds, self.timeout)
        self.granted = seconds

    def _moved(self, state: str) -> None:
        self.connected = state == "CONNECTED"
        self.losses += state == "LOST"
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _stop(self) -> None:
        try:
            self._client.stop()
            self._client.close()
        except Exception as error:
            log.debug("the client of ZooKeeper has not ended: %s", error)


_LOST = frozenset({"ConnectionLoss", "ConnectionClosedError", "SessionExpiredError", "OperationTimeoutError"})
_FOLLOWERS = frozenset({"RolledBackError", "RuntimeInconsistency"})
"""Errors of operations that only say that another one of their transaction has failed."""


def _translated(error: Exception, where: str) -> ZooKeeperError:
    kind = type(error).__name__
    return ZooKeeperError(kind, f"{where}: {error or kind}", lost=kind in _LOST)


def _hear_granted(client: KazooClient, told: Callable[[float], None]) -> None:
    """Call ``told``, in kazoo's thread, with the session's length at each connection.

    kazoo keeps it only as its read timeout, which is two thirds of it, in milliseconds.
    """
    connect = client._connection._connect

    def connect_and_tell(*arguments: Any) -> tuple[float, float]:
        read_timeout, connect_timeout = connect(*arguments)
        told(round(read_timeout * 1.5) / 1000)
        return read_timeout, connect_timeout

    client._connection._connect = connect_and_tell


def _make_client(address: ZooKeeperAddress, timeout: float, resume: SessionId | None) -> KazooClient:
    if sys.modules.get("ssl", sys) is None:
        del sys.modules["ssl"]  # kernel.no_tls: kazoo can't be imported without
    try:
        from kazoo.client import KazooClient
        from kazoo.retry import KazooRetry  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise UserError(f"{address} needs the client of ZooKeeper: run 'pip install kazoo' ({error})") from error

    logging.getLogger("kazoo").setLevel(logging.ERROR)  # it warns of every attempt to connect
    return KazooClient(
        hosts=",".join(address.hosts),
        timeout=timeout,
        client_id=(resume.number, bytes.fromhex(resume.password)) if resume else None,
        auth_data=[("digest", address.credentials)] if address.credentials else None,
        connection_retry=KazooRetry(max_tries=-1, delay=_FIRST_PAUSE, max_delay=_LAST_PAUSE, max_jitter=0.4),
    )
