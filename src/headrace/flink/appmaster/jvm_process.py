"""The JobManager's process: a sibling of this one in the task, which outlives it.

A JobManager that ends with status 20 has found a mistake of the user, and has said it in its last line.

Each run has a directory ``<private>/jobmanager/<run>``; see ``kernel.process`` for what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import SEEK_END
from pathlib import Path
from signal import SIGKILL, SIGTERM

from headrace.flink.java_errors import last_error
from headrace.kernel import process

_MISTAKE, _MARK = 20, "headrace: "
_TAIL, _LOG_TAIL = 8192, 65536


class JobManagerProcess:
    """Starts, finds again, watches and signals runs of the JobManager.

    ``on_end`` gets the run, how it ended, and the user's mistake if that is why.
    """

    def __init__(
        self,
        private: Path,
        sandbox: Path,
        environment: Mapping[str, str],
        on_end: Callable[[int, str, str], None],
        hide: Callable[[str], str] = str,
    ) -> None:
        """``hide`` takes secrets out of what the log says."""
        self._runs = private / "jobmanager"
        self._sandbox = sandbox
        self._environment = environment
        self._on_end = on_end
        self._hide = hide
        self._log = sandbox / "jobmanager.log"
        self._log_begin = 0

    def start(self, run: int, argv: Sequence[str]) -> None:
        """Start run number ``run``. Raises OSError if no process can be made."""
        run_dir = self._run_dir(run)
        run_dir.mkdir(parents=True)
        self._log_begin = self._log.stat().st_size if self._log.exists() else 0
        pid = process.start(
            argv,
            run_dir=run_dir,
            work_dir=self._sandbox,
            environment=self._environment,
            stdout=self._sandbox / "jobmanager.out",
            stderr=self._sandbox / "jobmanager.err",
            own_group=False,
        )
        process.watch(pid, run_dir, lambda end: self._ended(run, end))

    def find(self, run: int) -> bool:
        """Whether that run is alive; if so it is watched from now on."""
        run_dir = self._run_dir(run)
        if process.find(run_dir) is not process.Found.RUNNING:
            return False
        pid = process.read_pid(run_dir)
        if pid is None:
            return False
        process.watch(pid, run_dir, lambda end: self._ended(run, end))
        return True

    def signal(self, run: int, *, kill: bool) -> None:
        """Ask it to end, or end it."""
        process.signal_command(self._run_dir(run), SIGKILL if kill else SIGTERM)

    def _ended(self, run: int, end: process.Ended) -> None:
        why = self._last_error() if end.code and not end.signal else ""
        self._on_end(run, f"{end}: {why}" if why else str(end), self._mistake(end.code))

    def _last_error(self) -> str:
        """The last exception in this run's log; empty if there is none."""
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, SEEK_END)
                begin = self._log_begin if self._log_begin <= size else 0  # it was rotated
                file.seek(max(begin, size - _LOG_TAIL))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return last_error(self._hide(text))

    def _mistake(self, code: int) -> str:
        return self.last_words() if code == _MISTAKE else ""

    def last_words(self) -> str:
        """The latest that it said for us on standard error; empty if nothing."""
        try:
            with (self._sandbox / "jobmanager.err").open("rb") as file:
                file.seek(max(0, file.seek(0, SEEK_END) - _TAIL))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:  # none was ever started
            return ""
        said = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)]
        return said[-1] if said else ""

    def _run_dir(self, run: int) -> Path:
        return self._runs / str(run)
