"""Leader election in ZooKeeper, and finding who leads.

A candidate is an ephemeral znode of its session: it goes when the session ends or is lost, and not before, so
a process that goes on with its predecessor's session is the same candidate. See ``contest`` for who leads. The
layout is that of Mesos masters, so with the label ``json.info_`` they and their detectors meet here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from headrace.kernel.daemon import UserError
from headrace.kernel.election.contest import CANDIDATE_LABEL, Standing, candidates, leading, standing
from headrace.kernel.zookeeper import Session, ZooKeeperError

log = logging.getLogger(__name__)


class LeadershipLostError(Exception):
    """This process leads no more: its session is lost, or was without a connection for as long as it could last."""


class ZooKeeperElection:
    """One candidate below ``path``. ``info`` is what others read of it; ``address`` tells from that where it is."""

    def __init__(
        self,
        session: Session,
        path: str,
        info: bytes = b"",
        *,
        label: str = CANDIDATE_LABEL,
        address: Callable[[bytes], str] = bytes.decode,
    ) -> None:
        self.node = ""
        """Our own znode, while there is one: the fence of what only the leader may write."""
        self.info = info
        self._session, self._path, self._label = session, path, label
        self._address = address
        self._leader: str | None = None
        self._losses = session.losses

    async def lead(self, on_wait: Callable[[str], None] = lambda leader: None) -> None:
        """Return when this process leads; ``on_wait`` hears who does meanwhile. Raises UserError."""
        while True:
            await self._session.until_connected()
            self._losses = self._session.losses
            try:
                if await self._stand(on_wait):
                    return
            except ZooKeeperError as error:
                if error.kind in ("NoAuthError", "AuthFailedError"):
                    raise UserError(f"{self._where()}: access is denied; give credentials in the address") from error
                if not error.lost and error.kind != "NoNodeError":
                    raise

    async def until_lost(self) -> None:
        """Raise LeadershipLostError when this process does not lead any more."""
        while True:
            if self._session.losses != self._losses:
                raise LeadershipLostError(f"{self._where()}: the session is lost, another candidate may lead")
            if self._session.connected:
                await self._session.change()
                continue
            try:
                async with asyncio.timeout(self._session.granted):
                    await self._session.until_connected()
            except TimeoutError:
                raise LeadershipLostError(
                    f"{self._where()}: no connection for {self._session.granted:g} s, another candidate may lead"
                ) from None

    async def confirm(self) -> None:
        """Return when a server has said that this process still leads. Raises LeadershipLostError, ZooKeeperError."""
        while self._session.losses == self._losses:
            await self._session.until_connected()
            try:
                await self._session.call("sync", self.node)
                if await self._session.call("exists", self.node) is not None:
                    return
            except ZooKeeperError as error:
                if not error.lost:
                    raise
                continue
            raise LeadershipLostError(f"{self._where()}: {self.node} is gone, another candidate may lead")
        raise LeadershipLostError(f"{self._where()}: the session is lost, another candidate may lead")

    async def look_for_others(self) -> list[str]:
        """The other candidates. Raises ZooKeeperError."""
        children = await self._session.call("get_children", self._path)
        return [one for one in candidates(children, self._label) if f"{self._path}/{one}" != self.node]

    def leader(self) -> str | None:
        return self._leader

    def _where(self) -> str:
        return f"leadership at {self._session.address.at(self._path)}"

    async def _stand(self, on_wait: Callable[[str], None]) -> bool:
        """Look once, or until something has changed; returns whether we lead."""
        own = await self._own()
        children = await self._session.call("get_children", self._path)
        if own not in children:
            return False
        place = standing(children, self._label, own)
        self.node = f"{self._path}/{own}"
        await self._read_leader(place)
        if not place.leads:
            on_wait(self._leader or "")
            await self._until_gone(place.before)
        return place.leads

    async def _own(self) -> str:
        """The name of our znode, made if it is not there. An answer that got lost makes no second one."""
        await self._session.call("ensure_path", self._path, self._session.permissions(readable=True))
        await self._session.call("sync", self._path)
        for child in candidates(await self._session.call("get_children", self._path), self._label):
            status = await self._session.call("exists", f"{self._path}/{child}")
            if status is not None and status.ephemeralOwner == self._session.number:
                await self._session.call("set", f"{self._path}/{child}", self.info)
                return child
        made: str = await self._session.call(
            "create",
            f"{self._path}/{self._label}",
            self.info,
            self._session.permissions(readable=True),
            ephemeral=True,
            sequence=True,
        )
        return made.rpartition("/")[2]

    async def _read_leader(self, place: Standing) -> None:
        data, _ = await self._session.call("get", f"{self._path}/{place.leader}")
        self._leader = self._address(data)

    async def _until_gone(self, child: str) -> None:
        """Wait for the end of a candidate, or for trouble with the connection."""
        changed = asyncio.Event()
        watch = self._session.watch(changed.set)
        if await self._session.call("exists", f"{self._path}/{child}", watch=watch) is not None:
            await changed.wait()


async def watch_leader(session: Session, label: str, told: Callable[[bytes | None], None], path: str = "") -> None:
    """Tell what the leader at ``path`` says of itself, None if there is none; again at each change.

    Without a path it is the session's znode. Goes on until cancelled. Raises UserError if access is denied.
    """
    path = path or session.address.path
    while True:
        await session.until_connected()
        changed = asyncio.Event()
        watch = session.watch(changed.set)
        try:
            told(await _leader(session, path, label, watch))
        except ZooKeeperError as error:
            if error.kind in ("NoAuthError", "AuthFailedError"):
                raise UserError(f"{session.address}: access is denied; give credentials in the address") from error
            if not error.lost and error.kind != "NoNodeError":
                raise
            if not error.lost:
                continue  # gone between two requests
        else:
            await changed.wait()


async def _leader(session: Session, path: str, label: str, watch: Callable[..., None]) -> bytes | None:
    try:
        children = await session.call("get_children", path, watch=watch)
    except ZooKeeperError as error:
        if error.kind != "NoNodeError":
            raise
        if await session.call("exists", path, watch=watch) is not None:
            raise  # it has come meanwhile: look again
        return None
    first = leading(children, label)
    if not first:
        return None
    data, _ = await session.call("get", f"{path}/{first}", watch=watch)
    return bytes(data)
