"""How long a leader without a connection leads: as long as the servers let its session live, whatever was asked for."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from headrace.kernel.election.zookeeper import LeadershipLostError, ZooKeeperElection
from headrace.kernel.zookeeper import ZooKeeperAddress


class CutOff:
    """A session that asked for an hour, was granted less, and has no connection."""

    address = ZooKeeperAddress(("h:1",), "/x")
    timeout, granted, connected, losses = 3600.0, 0.02, False, 0

    async def until_connected(self) -> None:
        await asyncio.Event().wait()


async def test_a_leader_counts_with_what_was_granted() -> None:
    election = ZooKeeperElection(cast("Any", CutOff()), "/x/leader")
    async with asyncio.timeout(60):
        with pytest.raises(LeadershipLostError, match=r"no connection for 0\.02 s"):
            await election.until_lost()
