"""The JobManager's process: a sibling of this one in the task, which outlives it.

A JobManager that ends with status 20 has found a mistake of the user, and has said it in its last line.

Each run has a directory ``<private>/jobmanager/<run>``; see ``kernel.process`` for what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import SEEK_END
from pathlib import Path
from signal import SIGKILL, SIGTERM

from headrace.kernel import process

_MISTAKE, _MARK = 20, "headrace: "
_TAIL = 8192


class JobManagerProcess:
    """Starts, finds again, watches and signals runs of the JobManager.

    ``on_end`` gets the run, how it ended, and the user's mistake if that is why.
    """

    def __init__(
        self, private: Path, sandbox: Path, environment: Mapping[str, str], on_end: Callable[[int, str, str], None]
    ) -> None:
        self._runs = private / "jobmanager"
        self._sandbox = sandbox
        self._environment = environment
        self._on_end = on_end

    def start(self, run: int, argv: Sequence[str]) -> None:
        """Start run number ``run``. Raises OSError if no process can be made."""
        run_dir = self._run_dir(run)
        run_dir.mkdir(parents=True)
        pid = process.start(
            argv,
            run_dir=run_dir,
            work_dir=self._sandbox,
            environment=self._environment,
            stdout=self._sandbox / "jobmanager.out",
            stderr=self._sandbox / "jobmanager.err",
            own_group=False,
        )
        process.watch(pid, run_dir, lambda end: self._on_end(run, str(end), self._mistake(end.code)))

    def find(self, run: int) -> bool:
        """Whether that run is alive; if so it is watched from now on."""
        run_dir = self._run_dir(run)
        if process.find(run_dir) is not process.Found.RUNNING:
            return False
        pid = process.read_pid(run_dir)
        if pid is None:
            return False
        process.watch(pid, run_dir, lambda end: self._on_end(run, str(end), self._mistake(end.code)))
        return True

    def signal(self, run: int, *, kill: bool) -> None:
        """Ask it to end, or end it."""
        process.signal_command(self._run_dir(run), SIGKILL if kill else SIGTERM)

    def _mistake(self, code: int) -> str:
        return self.last_words() if code == _MISTAKE else ""

    def last_words(self) -> str:
        """The latest that it said for us on standard error; empty if nothing."""
        with (self._sandbox / "jobmanager.err").open("rb") as file:
            file.seek(max(0, file.seek(0, SEEK_END) - _TAIL))
            lines = file.read().decode(errors="replace").splitlines()
        said = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
        return said[-1] if said else ""

    def _run_dir(self, run: int) -> Path:
        return self._runs / str(run)
