"""Anything in any order, crashes included: what must always hold holds, and it comes to rest as wanted."""

from __future__ import annotations

import contextlib

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.marathon.core.upgrade import limits

from .simulation import Cluster

IDS = st.sampled_from(["/a", "/b", "/g/c"])
FORCE = st.booleans()


class Machine(RuleBasedStateMachine):
    """Requests, offers, statuses, time and SIGKILL."""

    def __init__(self) -> None:
        super().__init__()
        self.it = Cluster()
        self.counts: dict[str, int] = {}

    @rule(app=IDS, instances=st.integers(0, 4), force=FORCE)
    def create(self, app: str, instances: int, force: bool) -> None:
        status = self.it.create(app, force=force, instances=instances).status
        assert status in (201, 409)

    @rule(app=IDS, instances=st.integers(0, 4), force=FORCE)
    def scale(self, app: str, instances: int, force: bool) -> None:
        if app in self.it.core.books.apps:
            assert self.it.update(app, force=force, instances=instances).status in (200, 409)

    @rule(app=IDS, force=FORCE, minimum=st.sampled_from([0, 0.5, 1]), over=st.sampled_from([0, 0.5, 1]))
    def change(self, app: str, force: bool, minimum: float, over: float) -> None:
        if app in self.it.core.books.apps:
            strategy = {"minimumHealthCapacity": minimum, "maximumOverCapacity": over}
            command = f"sleep {self.it.now}"
            assert self.it.update(app, force=force, cmd=command, upgradeStrategy=strategy).status in (200, 409)

    @rule(app=IDS, force=FORCE)
    def delete(self, app: str, force: bool) -> None:
        assert self.it.delete(app, force=force).status in (200, 404, 409)

    @rule(app=IDS)
    def restart(self, app: str) -> None:
        assert self.it.restart(app).status in (200, 404, 409)

    @precondition(lambda self: self.it.wants_offers)
    @rule(host=st.sampled_from(["host-1", "host-2"]))
    def offer(self, host: str) -> None:
        self.it.offer(host)

    @rule(number=st.integers(0, 20), state=st.sampled_from(["TASK_RUNNING", "TASK_FAILED", "TASK_UNREACHABLE"]))
    def status(self, number: int, state: str) -> None:
        with contextlib.suppress(IndexError):
            self.it.status(sorted(self.it.alive())[number], state)

    @rule()
    def back(self) -> None:
        """All unreachable tasks are seen again."""
        for task_id, state in list(self.it.tasks.items()):
            if state == "TASK_UNREACHABLE":
                self.it.status(task_id, "TASK_RUNNING")
        self.counts.clear()

    @rule()
    def killed(self) -> None:
        self.it.end_killed()

    @rule(seconds=st.sampled_from([0.1, 1.0, 40.0]))
    def time(self, seconds: float) -> None:
        self.it.advance(seconds)

    @rule()
    def crash(self) -> None:
        self.it.crash()

    @invariant()
    def never_grows_above_the_maximum(self) -> None:
        """What an earlier, forced change left may be more for a while; it never gets more than that."""
        counts = {}
        for app_id, app in self.it.core.books.apps.items():
            counts[app_id] = self.it.core.books.count(app_id)
            strategy = app.upgrade_strategy
            _, most = limits(app.instances, strategy.minimum_health_capacity, strategy.maximum_over_capacity)
            assert counts[app_id] <= max(most, app.instances, self.counts.get(app_id, counts[app_id])), app_id
        self.counts = counts

    def teardown(self) -> None:
        """In a willing world everything ends as it was wanted."""
        it = self.it
        for task_id, state in list(it.tasks.items()):
            if state == "TASK_UNREACHABLE":
                it.status(task_id, "TASK_GONE")
        it.settle(200)
        assert not it.core.deployments.running
        assert not it.core.queue.waiting
        for app_id, app in it.core.books.apps.items():
            instances = it.instances(app_id)
            assert len(instances) == app.instances, app_id
            assert all(one.state == "TASK_RUNNING" for one in instances)
        known = {one.task_id for one in it.core.books.instances.values()}
        assert it.alive() == known
        stored = {key for key in it.store if key.startswith("instance/")}
        assert stored == {f"instance/{one}" for one in it.core.books.instances}


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
