"""What the leader of a cluster in ZooKeeper leaves to the others when the cluster is gone for good.

It is the store's only entry then, written by the commit that removes all else: whoever leads next finds either the
cluster or its end. Those who stood by then end, too; so does whoever comes for the same job. The last one removes it,
unless it is to stay until the app is destroyed, as Marathon starts again whatever ends.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.flink.appmaster.events import Finish
from headrace.flink.job_result import JobResult
from headrace.kernel.core import Put
from headrace.kernel.store import StoreError

KEY = "ended"


class Farewell(msgspec.Struct, frozen=True):
    """How the cluster ended. ``candidates``: who stood for election then, the leader among them.

    ``result`` and ``job`` are the job's, if it was a job cluster's and has ended: how, and its digest. ``stays``: until
    the app is destroyed.
    """

    status: int
    why: str
    candidates: list[str]
    said: str = ""
    result: JobResult | None = None
    job: str = ""
    stays: bool = False

    @property
    def finish(self) -> Finish:
        """The same end for another process."""
        return Finish(self.status, self.why, gone=True, said=self.said)

    def concerns(self, candidate: str, job: str) -> bool:
        """Whether it is the end of a candidate that has ``job`` to run, too."""
        return candidate in self.candidates or bool(job and job == self.job)

    def put(self) -> Put:
        """What writes it."""
        return Put(KEY, msgspec.json.encode(self))


def find(content: Mapping[str, bytes], where: object) -> Farewell | None:
    """What a store holds of it; None if the cluster has not ended. Raises StoreError if it can't be read."""
    if KEY not in content:
        return None
    try:
        return msgspec.json.decode(content[KEY], type=Farewell)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise StoreError(f"{where}: entry {KEY} can't be read: remove it if nobody needs it") from None
