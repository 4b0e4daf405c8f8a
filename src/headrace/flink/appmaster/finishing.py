"""How the cluster's end goes: first the JobManager ends, then the framework is torn down, or left to the next start.

Pure. The end is over when both are done, and when its time is up in any case, even if nobody has said what it is to
be: then it is a suspension, the end that loses nothing. What could not be torn down stays in the store for the next
start.
"""

from __future__ import annotations

import msgspec

from headrace.flink.appmaster.events import Finish, SendCall
from headrace.flink.appmaster.jobmanager import JobManagerKeeper
from headrace.kernel.core import Effect, SetTimer
from headrace.mesos.messages import scheduler

STOP_LIMIT = 2.4
"""Seconds from SIGTERM to the end of a task, whether or not the master has confirmed a teardown: SIGKILL follows."""
UNHURRIED_LIMIT = 8.0
"""The same where nobody kills so soon: not in a task, or Flink ends the cluster by itself."""
STOP_TIMER = "stop"


class Finishing:
    """``begun``: nothing is started or launched any more. ``finish``: how it ends, once that is known.

    ``hurried``: whoever asks for the end kills soon afterwards, as agents do.
    """

    def __init__(self, job_manager: JobManagerKeeper, *, hurried: bool = True) -> None:
        self._job_manager = job_manager
        self._hurried = hurried
        self.begun = False
        self._limited = False
        self.finish: Finish | None = None

    def begin(self, now: float, *, by_itself: bool = False) -> list[Effect]:
        """The JobManager ends, whatever becomes of the rest; ``by_itself``: it is doing so already."""
        hurried = self._hurried and not by_itself
        if self.begun and (self._limited or not hurried):
            return []
        self.begun, self._limited = True, hurried
        limit = STOP_LIMIT if hurried else UNHURRIED_LIMIT
        return [SetTimer(STOP_TIMER, now + limit), *self._job_manager.stop(now, by_itself=by_itself, hurried=hurried)]

    def decide(self, finish: Finish, framework_id: str, now: float, *, connected: bool) -> list[Effect]:
        """So it ends; what was decided first counts."""
        if self.finish is not None:
            return []
        effects = self.begin(now, by_itself=bool(finish.said))
        self.finish = finish
        return effects + (self.teardown() if connected else []) + self.when_done(framework_id)

    def teardown(self) -> list[Effect]:
        """To say to a master that may not have heard it."""
        return [] if self.finish is None or self.finish.kept else [SendCall(scheduler.Call("TEARDOWN"))]

    def when_done(self, framework_id: str) -> list[Effect]:
        """The end, if nothing is missing. ``framework_id``: empty if there is no framework any more."""
        if self.finish is None or self._job_manager.alive or (framework_id and not self.finish.kept):
            return []
        return [self.finish]

    def now(self, framework_id: str) -> list[Effect]:
        """The end, whatever is missing: a framework that could not be torn down is the next one's to find."""
        if self.finish is None:
            self.finish = Finish(0, "asked to stop; suspend: nobody has said in time what it means")
        suspended = not (self.finish.status or self.finish.gone)
        left = "" if self.finish.kept else framework_id
        kept = self.finish.kept or suspended or bool(framework_id)
        return [*self._job_manager.kill(), msgspec.structs.replace(self.finish, kept=kept, left=left)]
