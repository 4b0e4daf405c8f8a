"""Watches containers until they end, has their output copied, writes down how they ended, and removes them later."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.containers import Limitation
from headrace.mesos.agent.docker.engine import Engine, EngineAway, EngineContainer, EngineError, EngineState
from headrace.mesos.agent.docker.frames import FrameError
from headrace.mesos.agent.docker.log_place import unix_time
from headrace.mesos.agent.docker.output import Output
from headrace.mesos.agent.docker.parameters import REMOVE
from headrace.mesos.agent.docker.run_files import End, RunFiles
from headrace.mesos.agent.docker.translation import LABEL_CONTAINER, MIB
from headrace.mesos.agent.sandbox.layout import Layout
from headrace.mesos.messages.common import Resource, Scalar

log = logging.getLogger(__name__)

STALL = 10.0
"""Seconds without any output after which the end of a container waits for no more of it."""
_STREAM_END = 1.0
"""Seconds for the stream of its output to end by itself."""
_REMOVE_AGAIN = 60.0
_KILLED = 128 + signal.SIGKILL

REMOVED = End(Ended(_KILLED, int(signal.SIGKILL)))
"""What is taken for the end of a container that somebody has removed: that is done with SIGKILL."""

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


def pauses() -> Iterator[float]:
    """Seconds between tries to reach an engine that is away; without end."""
    return itertools.chain((0.1, 0.2, 0.5, 1.0, 2.0), itertools.repeat(5.0))


class Reach:
    """Says once that the engine is away, and once that it is back."""

    def __init__(self) -> None:
        self._away = False

    def lost(self, error: EngineAway | EngineError) -> None:
        if not self._away:
            log.error("%s; its containers are taken to run until it says otherwise", error)
        self._away = True

    def found(self) -> None:
        if self._away:
            log.info("the Docker engine answers again")
        self._away = False


class Watcher:
    """Watches any number of containers; ``spawn`` runs what goes on beside. ``remove_delay`` in seconds."""

    def __init__(self, engine: Engine, layout: Layout, remove_delay: float, reach: Reach, spawn: Spawn) -> None:
        self._engine = engine
        self._layout = layout
        self._remove_delay = remove_delay
        self._reach = reach
        self._spawn = spawn
        self._removals: dict[str, asyncio.TimerHandle] = {}

    async def watch(self, run: EngineContainer) -> End:
        """Return when the container has ended, its output is copied, and its end written down."""
        output = self._output(run)
        copying = self._spawn(_follow(output))
        try:
            ended = await self._until_ended(run)
            await asyncio.wait([copying], timeout=_STREAM_END)
        finally:
            copying.cancel()
        return await self._finish(run.id, ended, output)

    async def take_up(self, run: EngineContainer) -> End:
        """The same for a container that has ended while nobody watched."""
        return await self._finish(run.id, run, self._output(run))

    def remove_later(self, run: EngineContainer) -> None:
        """Remove an ended container when its time has come."""
        delay = self._remove_delay
        with contextlib.suppress(ValueError):
            delay -= time.time() - float(unix_time(run.state.finished_at))
        if run.label.get(REMOVE) == "true":
            delay = 0.0
        self._remove_in(max(delay, 0.0), run.id)

    def stop(self) -> None:
        """Remove nothing more."""
        for timer in self._removals.values():
            timer.cancel()
        self._removals.clear()

    def _output(self, run: EngineContainer) -> Output:
        files = self._files(run)
        begun = files.begun()
        return Output(self._engine, run.id, Path(begun.sandbox if begun else "/nonexistent"), files)

    def _files(self, run: EngineContainer) -> RunFiles:
        return RunFiles(self._layout.run_dir(run.label[LABEL_CONTAINER]))

    async def _until_ended(self, run: EngineContainer) -> EngineContainer | None:
        """The container as it ended; None if it is gone."""
        retries = pauses()
        while True:
            try:
                await self._engine.wait(run.id)
                now = await self._engine.inspect(run.id)
            except EngineAway as error:
                self._reach.lost(error)
            except EngineError as error:
                if error.missing:
                    return None
                log.warning("container %s: %s", run.id[:12], error)
            else:
                self._reach.found()
                if not now.state.runs:
                    return now
                retries = pauses()
            await asyncio.sleep(next(retries))

    async def _finish(self, engine_id: str, ended: EngineContainer | None, output: Output) -> End:
        if ended is None:
            return REMOVED
        if not await self._drained(output):
            log.error("container %s: the rest of its output can't be copied", engine_id[:12])
        end = end_of(await self._once_more(ended))
        try:
            self._files(ended).keep_end(end)
        except OSError as error:
            log.error("container %s: its end can't be written down, so it is not removed: %s", engine_id[:12], error)
        else:
            self.remove_later(ended)
        return end

    async def _once_more(self, ended: EngineContainer) -> EngineContainer:
        """The engine hears of a lack of memory apart from the end, and it may note it after that."""
        state = ended.state
        if state.exit_code != _KILLED or state.killed_for_memory:
            return ended
        try:
            return await self._engine.inspect(ended.id)
        except (EngineAway, EngineError):
            return ended

    async def _drained(self, output: Output) -> bool:
        """Copy what is left; False if for a while nothing comes of it."""
        copying = asyncio.ensure_future(_copy_rest(output))
        try:
            while not copying.done():
                read = output.entries
                await asyncio.wait([copying], timeout=STALL)
                if output.entries == read:
                    break
        finally:
            done = copying.done()
            copying.cancel()
        return done

    # removing

    def _remove_in(self, delay: float, engine_id: str) -> None:
        loop = asyncio.get_running_loop()
        self._removals[engine_id] = loop.call_later(delay, lambda: self._spawn(self._remove(engine_id)))

    async def _remove(self, engine_id: str) -> None:
        self._removals.pop(engine_id, None)
        try:
            await self._engine.remove(engine_id)
        except (EngineAway, EngineError) as error:
            log.warning("container %s can't be removed now: %s", engine_id[:12], error)
            self._remove_in(_REMOVE_AGAIN, engine_id)


async def _follow(output: Output) -> None:
    """Copy output until cancelled or its stream ends; whatever breaks it off, it begins again."""
    for pause in pauses():
        try:
            return await output.copy(follow=True)
        except EngineAway:
            pass  # whoever waits for the container's end says so
        except EngineError as error:
            log.warning("%s", error)
            output.note(f"Nothing of the container's output is seen here: {error}\n")
            return
        except (FrameError, OSError) as error:
            log.warning("the output of a container can't be copied: %s", error)
        await asyncio.sleep(pause)


async def _copy_rest(output: Output) -> None:
    for pause in pauses():
        try:
            return await output.copy(follow=False)
        except EngineError:
            return  # it has been said
        except (EngineAway, FrameError, OSError):
            await asyncio.sleep(pause)


def end_of(run: EngineContainer) -> End:
    """How a container ended."""
    state: EngineState = run.state
    code = state.exit_code
    end = Ended(code, code - 128 if 128 < code < 128 + signal.NSIG else 0)
    return End(end, _limitation(run.host_config.memory) if state.killed_for_memory and code else None)


def _limitation(memory: int) -> Limitation:
    mebibytes = memory / MIB
    message = f"Memory limit exceeded: Requested: {mebibytes:g}MB Maximum Used: {mebibytes:g}MB"
    resources = [Resource("mem", "SCALAR", scalar=Scalar(mebibytes))]
    return Limitation("REASON_CONTAINER_LIMITATION_MEMORY", message, resources)
