"""The daemon: one Marathon with its state in a file, or one of several with ZooKeeper (see ``candidate``).

Exit status, besides those of every daemon: 100 when it finds no ZooKeeper at its start, 103 when it leads no more, also
by its own will (DELETE /v2/leader), 111 when it can't listen, 112 for a command line that is not understood. They are
Marathon's; whoever supervises it starts it again after 100 and 103.
"""

from __future__ import annotations

import argparse
import asyncio

from headrace.kernel.daemon import Leave
from headrace.kernel.store import Store, open_store
from headrace.kernel.tasks import first_of
from headrace.marathon import repository
from headrace.marathon.front import ABDICATED, EXIT_BIND, EXIT_LEADERSHIP, Front
from headrace.marathon.leader import Leader

EXIT_FLAGS = 112

__all__ = ["EXIT_BIND", "EXIT_FLAGS", "EXIT_LEADERSHIP", "main"]


async def main(options: argparse.Namespace, stop: asyncio.Event) -> None:
    """Run until ``stop`` is set. Raises Leave with a status of Marathon's."""
    if options.zk is not None:
        from headrace.marathon.candidate import Candidate  # brings the client of ZooKeeper

        return await Candidate(options).run(stop)
    store = open_store(
        f"sqlite://{options.data.absolute() / 'marathon.db'}",
        component=repository.COMPONENT,
        layout=repository.LAYOUT,
    )
    try:
        await _alone(options, store, stop)
    finally:
        store.close()


async def _alone(options: argparse.Namespace, store: Store, stop: asyncio.Event) -> None:
    front = Front(options)
    leader = Leader(options, store, store.load(), front)
    front.leader = lambda: front.address
    await front.start()
    try:
        await first_of(leader.run(), stop.wait(), leader.abdicated.wait())
    finally:
        await front.stop()
    if leader.abdicated.is_set():
        raise Leave(EXIT_LEADERSHIP, ABDICATED)
