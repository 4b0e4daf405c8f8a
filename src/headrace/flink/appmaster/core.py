"""The application master's core: the life of one cluster, of which the JobManager and the framework are parts.

Flink, through its driver, asks for workers and releases them; Mesos offers resources and tells what
became of tasks. In between stands ``worker_keeper``; ``jobmanager`` keeps the JobManager alive.

An end of this process changes nothing about the cluster. These end it: Flink's own shutdown (``DriverDeregistered``);
a user's mistake, a JobManager that never starts, too many failures of workers; SIGTERM, which ends the JobManager
(``StopAsked``) and then does what ``StopDecided`` says.

The driver hears of workers by numbered events. Numbers begin with the count of process starts, so
they never go back; a driver that asks for events of an earlier process is told to attach again and
gets the whole list instead.
"""

from __future__ import annotations

from collections.abc import Callable

from headrace.flink.appmaster import events, jobmanager, records
from headrace.flink.appmaster.events import (
    AppMasterEvent,
    Attachment,
    Driver,
    Stop,
)
from headrace.flink.appmaster.finishing import STOP_TIMER, Finishing
from headrace.flink.appmaster.jobmanager import JobManagerKeeper
from headrace.flink.appmaster.placement import NO_TERMS, Terms
from headrace.flink.appmaster.records import Recovered
from headrace.flink.appmaster.tasks import TaskTemplate
from headrace.flink.appmaster.worker_keeper import WorkerKeeper
from headrace.kernel.core import Delete, Effect, Reply, Stories, TimerFired
from headrace.mesos.messages.common import TaskStatus

EXIT_MISTAKE = 2
EXIT_FAILED = 3
EXIT_JOB_MANAGER = 4
JOB_MANAGER = "job-manager"
"""The subject of its story."""

_FRAMEWORK_GONE = ("framework has been removed", "completed framework")
_SEQUENCE_BITS = 32


class ApplicationMaster:
    """One cluster's decisions.

    ``keep_workers``: Flink is highly available, so workers outlive their JobManager; otherwise they could
    not find the next one, and have nothing that it needs. ``most_failures``: the cluster ends when more workers
    than that have failed, None: never. ``hurried``: see ``finishing``. ``jitter`` gives numbers in [0, 1).
    """

    def __init__(
        self,
        recovered: Recovered,
        template: TaskTemplate,
        *,
        terms: Terms = NO_TERMS,
        refuse_seconds: float,
        most_failures: int | None = None,
        keep_workers: bool = False,
        show_web_ui: bool = True,
        hurried: bool = True,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.stories = Stories()
        self._template = template
        self._most_failures = most_failures
        self._failed = recovered.failed
        self._show_web_ui = show_web_ui
        self._framework_id = recovered.framework_id
        self._driver = recovered.driver
        self._driver_run = recovered.job_manager.run if recovered.driver and recovered.job_manager else 0
        self._generation = recovered.generation + 1
        self._job_manager = JobManagerKeeper(recovered.job_manager)
        self._end = Finishing(self._job_manager, hurried=hurried)
        self._workers = WorkerKeeper(
            recovered.workers,
            template,
            self.stories,
            self._end,
            terms=terms,
            refuse_seconds=refuse_seconds,
            keep=keep_workers,
            sequence=self._generation << _SEQUENCE_BITS,
            jitter=jitter,
        )

    def handle(self, event: AppMasterEvent, now: float) -> list[Effect]:
        """Take one event; return what to do."""
        match event:
            case events.Started(alive, to_stop):
                return self._started(alive, to_stop, now)
            case events.MasterConnected(framework_id):
                return self._master_connected(framework_id, now)
            case events.MasterDisconnected(why):
                return self._master_disconnected(why, now)
            case events.MasterRefused(message):
                return self._master_refused(message, now)
            case events.OffersReceived(offers):
                return self._workers.offered(offers, now)
            case events.OfferRescinded(offer_id):
                self._workers.rescinded(offer_id)
                return []
            case events.StatusReceived(status):
                return self._status(status, now)
            case events.DriverAttached(request, driver):
                return self._driver_attached(request, driver, now)
            case events.WorkerRequested(request, worker):
                return [*self._workers.request(worker, now), Reply(request, None)]
            case events.WorkerReleased(request, worker_id):
                return [*self._workers.release(worker_id, now), Reply(request, None)]
            case events.DriverDeregistered(request, status, diagnostics):
                return [Reply(request, None), *self._deregistered(status, diagnostics, now)]
            case events.JobManagerEnded(run, how, mistake):
                return self._job_manager_ended(run, how, now, mistake)
            case events.StopAsked():
                return self._end.begin(now)
            case events.StopDecided(stop, why):
                said = f"asked to stop; {stop.value}: {why}"
                return self._stop(events.Finish(0, said, gone=stop is Stop.DESTROY, kept=stop is Stop.RESTART), now)
            case events.StateAsked(request):
                return [Reply(request, self._state())]
            case TimerFired(key):
                return self._timer(key, now)

    def validate(self) -> None:
        """Assert what must always hold; for tests."""
        self._workers.validate()

    # life

    def _started(self, job_manager_alive: bool, to_stop: bool, now: float) -> list[Effect]:
        effects: list[Effect] = [records.put_generation(self._generation)]
        self._workers.started(now)
        if job_manager_alive:
            self._job_manager.found()
        if to_stop:
            return effects + self._end.begin(now)
        if job_manager_alive:
            return effects
        if self._job_manager.run:
            run, how = self._job_manager.run, "ended while nobody watched"
            return effects + self._job_manager_ended(run, how, now, watched=False)
        return effects + self._job_manager.start()

    def _stop(self, finish: events.Finish, now: float) -> list[Effect]:
        return self._end.decide(finish, self._framework_id, now, connected=self._workers.connected)

    def _deregistered(self, status: str, diagnostics: str, now: float) -> list[Effect]:
        code = EXIT_FAILED if status in ("FAILED", "UNKNOWN") else 0
        why = f"Flink ended the cluster: {status} {diagnostics}".strip()
        return self._stop(events.Finish(code, why, gone=True, said=status), now)

    def _timer(self, key: str, now: float) -> list[Effect]:
        if key == jobmanager.START_TIMER:
            return self._job_manager.start()
        if key == jobmanager.KILL_TIMER:
            return self._job_manager.kill()
        if key == STOP_TIMER:
            return self._end.now(self._framework_id)
        return self._workers.timer(key, now)

    # the master

    def _master_connected(self, framework_id: str, now: float) -> list[Effect]:
        if self._end.finish is not None:
            self._framework_id, self._workers.connected = framework_id, True
            return [records.put_framework(framework_id), *self._end.teardown()]
        effects: list[Effect] = []
        if self._framework_id != framework_id:
            self._framework_id = framework_id
            effects.append(records.put_framework(framework_id))
        effects += self._workers.subscribed(now)
        return effects + self._web_ui()  # the subscription may have been sent before the dashboard was known

    def _master_disconnected(self, why: str, now: float) -> list[Effect]:
        self._workers.connected = False
        if self._end.finish is not None:
            return []  # the next subscription tells whether the teardown arrived
        return self._workers.disconnected(why, now)

    def _master_refused(self, message: str, now: float) -> list[Effect]:
        """A framework id that the master no longer accepts is given up; its tasks are gone already."""
        if not any(words in message.lower() for words in _FRAMEWORK_GONE):
            return []
        self._framework_id = ""
        if self._end.finish is not None:
            return [Delete(records.FRAMEWORK), events.LeaveMaster(), *self._end.when_done("")]
        gone = self._workers.lost(f"the master says: {message}", now)
        return [Delete(records.FRAMEWORK), events.ForgetFramework(), *gone]

    def _status(self, status: TaskStatus, now: float) -> list[Effect]:
        effects, failed = self._workers.told(status, now)
        return effects if failed is None else effects + self._count_failure(now)

    def _count_failure(self, now: float) -> list[Effect]:
        """A worker has ended that was still wanted; too many of them are the end of the cluster."""
        if self._most_failures is None:
            return []
        self._failed += 1
        effects: list[Effect] = [records.put_failed(self._failed)]
        if self._failed > self._most_failures:
            most = f"the {self._most_failures} of mesos.maximum-failed-tasks"
            why = f"{self._failed} TaskManagers have failed, more than {most}"
            effects += self._stop(events.Finish(EXIT_FAILED, why), now)
        return effects

    # the driver

    def _driver_attached(self, request: int, driver: Driver, now: float) -> list[Effect]:
        """Answer with the workers that live."""
        effects: list[Effect] = []
        if self._driver is None or self._driver.attempt != driver.attempt:
            effects += self._workers.drop_orphans("asked for by an earlier JobManager", now)
        if self._driver != driver:
            effects.append(records.put_driver(driver))
        self._driver = driver
        self._driver_run = self._job_manager.run
        effects += self._job_manager.attached(now)
        effects += self._web_ui()
        return [*effects, Reply(request, Attachment(self._workers.launched, self._workers.sequence))]

    def _web_ui(self) -> list[Effect]:
        if self._driver is None or not self._driver.web or not self._show_web_ui or not self._workers.connected:
            return []
        return [events.ShowWebUi(self._driver.web, self._workers.suppressed)]

    # the JobManager

    def _job_manager_ended(
        self, run: int, how: str, now: float, mistake: str = "", *, watched: bool = True
    ) -> list[Effect]:
        if run != self._job_manager.run:
            return []
        self.stories.tell(JOB_MANAGER, now, "ended", how)
        effects = self._job_manager.ended(self._driver_run == run, now, watched=watched)
        if self._end.begun:
            return effects + self._end.when_done(self._framework_id)
        effects += self._workers.drop_orphans("its JobManager has ended", now)
        if mistake:
            effects += self._stop(events.Finish(EXIT_MISTAKE, mistake), now)
        elif self._job_manager.hopeless:
            why = f"the JobManager does not start: {how}; see jobmanager.log and jobmanager.err in the sandbox"
            effects += self._stop(events.Finish(EXIT_JOB_MANAGER, why), now)
        else:
            self.stories.tell(JOB_MANAGER, now, "is started again", f"in {self._job_manager.pause:g} s")
        return effects

    # for people

    def _state(self) -> dict[str, object]:
        return {
            "cluster": self._template.cluster_id,
            "framework_id": self._framework_id,
            "connected": self._workers.connected,
            "stopping": self._end.begun,
            "job_manager": {
                "run": self._job_manager.run,
                "alive": self._job_manager.alive,
                "attached": self._driver_run == self._job_manager.run and self._driver is not None,
                "web": self._driver.web if self._driver else "",
                "rpc": self._driver.rpc if self._driver else "",
                "story": self.stories.of(JOB_MANAGER),
            },
            **self._workers.state(),
        }
