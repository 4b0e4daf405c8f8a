"""The book of workers: which there are, what they are meant to be, what Mesos said of each.

Pure. Every change of a goal is returned as a write; the caller puts it before what it does about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from headrace.flink.appmaster import records
from headrace.flink.appmaster.events import Goal, Worker
from headrace.flink.appmaster.placement import Seat
from headrace.kernel.core import Delete, Put


class WorkerBook:
    """Workers by id, in the order of their requests."""

    def __init__(self, workers: Iterable[Worker] = ()) -> None:
        self._workers: dict[str, Worker] = {worker.id: worker for worker in workers}
        self._new: dict[str, None] = {w.id: None for w in self._workers.values() if w.goal is Goal.NEW}
        self.states: dict[str, str] = {}
        """The latest state that Mesos told, by worker id."""

    def get(self, worker_id: str) -> Worker | None:
        return self._workers.get(worker_id)

    def all(self) -> list[Worker]:
        return list(self._workers.values())

    @property
    def demand(self) -> list[Worker]:
        """Workers that wait for a seat."""
        return [self._workers[worker_id] for worker_id in self._new]

    @property
    def placed(self) -> list[Worker]:
        """Workers that have a seat, or did not give it up yet."""
        return [worker for worker in self._workers.values() if worker.goal is not Goal.NEW]

    def of(self, goal: Goal) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.goal is goal]

    def request(self, worker: Worker) -> Put:
        """A worker is wanted."""
        self._new[worker.id] = None
        return self._keep(worker)

    def launch(self, seats: Sequence[Seat]) -> list[Put]:
        """These are about to be launched where they have their seats."""
        return [
            self._launched(
                msgspec.structs.replace(
                    s.worker, agent_id=s.agent_id, hostname=s.hostname, ports=s.ports, places=s.places
                )
            )
            for s in seats
        ]

    def adopt(self, worker: Worker, agent_id: str) -> Put:
        """A worker runs that was never seen launched."""
        return self._launched(msgspec.structs.replace(worker, agent_id=agent_id))

    def release(self, worker: Worker) -> Put:
        """A launched worker is no longer wanted."""
        return self._keep(msgspec.structs.replace(worker, goal=Goal.RELEASED))

    def remove(self, worker_id: str) -> Delete:
        """A worker is gone, or never was more than a wish."""
        self._workers.pop(worker_id, None)
        self._new.pop(worker_id, None)
        self.states.pop(worker_id, None)
        return records.delete_worker(worker_id)

    def _launched(self, worker: Worker) -> Put:
        self._new.pop(worker.id, None)
        return self._keep(msgspec.structs.replace(worker, goal=Goal.LAUNCHED))

    def _keep(self, worker: Worker) -> Put:
        self._workers[worker.id] = worker
        return records.put_worker(worker)

    def validate(self) -> None:
        """Assert what must always hold; for tests."""
        assert set(self._new) == {w.id for w in self._workers.values() if w.goal is Goal.NEW}  # noqa: S101
        assert set(self.states) <= set(self._workers)  # noqa: S101
        assert all(w.agent_id for w in self._workers.values() if w.goal is not Goal.NEW)  # noqa: S101
