"""What the agent keeps of a Docker container on disk, below ``meta/runs/<container>/``; it survives the agent.

docker   written before the container is started, so that "gone" is not taken for "never started"
log      how far its output has been copied
end      how it ended; from then on the engine need not know the container any more
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec

from headrace.kernel.process import Ended
from headrace.mesos.agent.core.containers import Limitation
from headrace.mesos.agent.docker.log_place import LogPlace


class Begun(msgspec.Struct, frozen=True):
    """A container that may have been started: the engine's id of it, and where its sandbox is."""

    engine_id: str
    sandbox: str


class End(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a container ended."""

    end: Ended
    limitation: Limitation | None = None


_T = TypeVar("_T")


class RunFiles:
    """The files of one container. Writing raises OSError."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def begin(self, begun: Begun, place: LogPlace) -> None:
        """The container is about to be started; ``place``: what its sandbox's stdout and stderr hold."""
        os.makedirs(self._run_dir, exist_ok=True)
        self.keep_place(place)
        self._write("docker", begun)

    def begun(self) -> Begun | None:
        """Set if the container may have been started."""
        return self._read("docker", Begun)

    def place(self) -> LogPlace:
        """How far the output has been copied."""
        return self._read("log", LogPlace) or LogPlace()

    def keep_place(self, place: LogPlace) -> None:
        self._write("log", place)

    def end(self) -> End | None:
        """How it ended, if that is known."""
        return self._read("end", End)

    def keep_end(self, end: End) -> None:
        self._write("end", end)

    def _read(self, name: str, kind: type[_T]) -> _T | None:
        with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode((self._run_dir / name).read_bytes(), type=kind)
        return None

    def _write(self, name: str, content: msgspec.Struct) -> None:
        fresh = self._run_dir / f".{name}"
        fresh.write_bytes(msgspec.json.encode(content))
        os.replace(fresh, self._run_dir / name)
