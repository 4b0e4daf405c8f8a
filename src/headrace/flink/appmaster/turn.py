"""Waits until there is a slot for this instance of an app: see ``slots``.

When an app is restarted with its instances overlapping, as Marathon does it unless the app says otherwise, the new
instance starts before the old one is ended. It has to become healthy for that, so while it waits it answers on the
port where the JobManager will listen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from headrace.flink import high_availability, zookeeper_ha
from headrace.flink.appmaster.slots import Slot, Slots, this_owner
from headrace.flink.appmaster.supervision import Supervision
from headrace.flink.cluster import Cluster
from headrace.kernel.http import HttpServer, Request, Response

log = logging.getLogger(__name__)

FIRST_PATIENCE = 5.0
"""Seconds that Marathon may take to say how many instances there shall be; without an answer any slot will do."""
_LOOK, _ASK = 0.3, 5.0


async def wait_for_slot(
    cluster: Cluster, environment: Mapping[str, str], sandbox: Path, stop: asyncio.Event, *, at_once: bool = False
) -> Slot | None:
    """The slot; None if it is asked to stop before, or with ``at_once`` if there is none. Raises OSError."""
    directory = high_availability.named_directory(cluster.flink, environment)
    if directory is None or zookeeper_ha.store_address(cluster.given) is not None:
        return Slot()  # nothing is shared, or it is one cluster, whose instances stand for election
    slots = Slots(directory, this_owner(sandbox, environment))
    supervision = Supervision(cluster, environment)
    slot = slots.take(await _most(supervision, FIRST_PATIENCE))
    if slot is not None or at_once or stop.is_set():
        return slot
    log.warning("other instances have all places in %s; this one waits until one of them has ended", directory.parent)
    server = await _show_life(cluster)
    try:
        return await _poll(slots, supervision, stop)
    finally:
        if server is not None:
            await server.stop()


async def _poll(slots: Slots, supervision: Supervision, stop: asyncio.Event) -> Slot | None:
    loop = asyncio.get_running_loop()
    most, asked = await _most(supervision, FIRST_PATIENCE), loop.time()
    while not stop.is_set():
        if (slot := slots.take(most)) is not None:
            return slot
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await stop.wait()
        if loop.time() - asked > _ASK:
            most, asked = await _most(supervision, FIRST_PATIENCE) or most, loop.time()
    return None


async def _most(supervision: Supervision, patience: float) -> int | None:
    """How many slots there may be; nobody knows without a Marathon."""
    if not supervision.there:
        return 1  # by hand: the name says which cluster is meant
    app = await supervision.app(patience)
    return app.instances if app is not None and app.exists else None


async def _show_life(cluster: Cluster) -> HttpServer | None:
    if not cluster.rest_port:
        return None
    server = HttpServer(_waiting, host=cluster.host, port=cluster.rest_port, allowed_hosts=[cluster.host])
    try:
        await server.start()
    except OSError as error:
        log.warning("health checks will fail: %s", error)
        return None
    return server


def _waiting(request: Request) -> Response:
    return Response.json({"waiting": "another instance of this app runs the cluster; this one takes over from it"})
