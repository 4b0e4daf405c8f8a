"""Anything in any order, crashes included: what must always hold holds, and it comes to rest as wanted."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.marathon.core import residency
from headrace.marathon.core.books import Settings
from headrace.marathon.core.events import KillTasks, UpdateApps
from headrace.marathon.core.records import Goal
from headrace.marathon.core.upgrade import limits

from .simulation import ORIGIN, Cluster

IDS = st.sampled_from(["/a", "/dev/b", "/g/c", "/db"])
ROLES = ["data", "dev"]
VOLUME = {"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}
FIELDS: dict[str, dict[str, Any]] = {
    "/dev/b": {"role": "dev"},
    "/db": {"container": {"type": "MESOS", "volumes": [VOLUME]}},
}
FORCE = st.booleans()
STATES = ["TASK_RUNNING", "TASK_FAILED", "TASK_UNREACHABLE", "TASK_DROPPED"]


class Machine(RuleBasedStateMachine):
    """Requests, offers, statuses, time and SIGKILL."""

    def __init__(self) -> None:
        super().__init__()
        self.it = Cluster(Settings(role="data", min_revive_offers_interval=0.0))
        self.counts: dict[str, int] = {}

    @rule(app=IDS, instances=st.integers(0, 4), force=FORCE)
    def create(self, app: str, instances: int, force: bool) -> None:
        status = self.it.create(app, force=force, instances=instances, **FIELDS.get(app, {})).status
        assert status in (201, 409)

    @rule(app=IDS, instances=st.integers(0, 4), force=FORCE)
    def scale(self, app: str, instances: int, force: bool) -> None:
        if app in self.it.core.books.apps:
            assert self.it.update(app, force=force, instances=instances).status in (200, 409)

    @rule(app=IDS, force=FORCE, minimum=st.sampled_from([0, 0.5, 1]), over=st.sampled_from([0, 0.5, 1]))
    def change(self, app: str, force: bool, minimum: float, over: float) -> None:
        if app in self.it.core.books.apps:
            strategy = {"minimumHealthCapacity": minimum, "maximumOverCapacity": 0 if app == "/db" else over}
            command = f"sleep {self.it.now}"
            assert self.it.update(app, force=force, cmd=command, upgradeStrategy=strategy).status in (200, 409)

    @rule(app=IDS, force=FORCE, limit=st.sampled_from([1, 60, 1000]))
    def change_in_time(self, app: str, force: bool, limit: int) -> None:
        """With a deadline, after which it is undone; ``Cluster`` looks that no lock outlives its deployment."""
        if app in self.it.core.books.apps:
            changed = {"cmd": f"sleep {self.it.now}", "preStop": {"http": {}, "deadlineSeconds": 50}}
            event = UpdateApps(
                0, [(app, changed)], partial=True, create=True, single=True, force=force, origin=ORIGIN, deadline=limit
            )
            assert self.it.ask(lambda to: msgspec.structs.replace(event, to=to)).status in (200, 409)

    @rule(app=IDS, force=FORCE)
    def delete(self, app: str, force: bool) -> None:
        assert self.it.delete(app, force=force).status in (200, 404, 409)

    @rule(app=IDS)
    def restart(self, app: str) -> None:
        assert self.it.restart(app).status in (200, 404, 409)

    @precondition(lambda self: self.it.wants_offers)
    @rule(host=st.sampled_from(["host-1", "host-2"]), role=st.sampled_from(ROLES))
    def offer(self, host: str, role: str) -> None:
        if role in self.it.wanted_roles:
            self.it.offer(host, role=role)

    @rule(number=st.integers(0, 20), state=st.sampled_from(STATES))
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

    @rule(number=st.integers(0, 20))
    def wipe(self, number: int) -> None:
        instances = sorted(self.it.core.books.instances.values(), key=lambda one: one.id)
        if number < len(instances):
            task = instances[number].task_id
            event = KillTasks(0, None, [task], None, False, True, False, False, ORIGIN)
            assert self.it.ask(lambda to: msgspec.structs.replace(event, to=to)).status == 200

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
            minimum, over = strategy.minimum_health_capacity, strategy.maximum_over_capacity
            _, most = limits(app.instances, minimum, over, in_place=app.resident)
            assert counts[app_id] <= max(most, app.instances, self.counts.get(app_id, counts[app_id])), app_id
        self.counts = counts

    @invariant()
    def no_volume_is_lost(self) -> None:
        """Those of an instance that has run are where it is at home."""
        for instance in self.it.core.books.instances.values():
            if instance.settled:
                assert {one.id for one in instance.volumes} <= self.volumes(instance.home.removeprefix("agent-"))

    def volumes(self, host: str) -> set[str]:
        parts = self.it.reserved[host].parts if host in self.it.reserved else {}
        return {tag.volume for tag in parts if tag.volume is not None}

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
            instances = [one for one in it.instances(app_id) if one.goal is Goal.RUNNING]
            assert len(instances) == app.instances, app_id
            assert all(one.state == "TASK_RUNNING" for one in instances)
        known = {one.task_id for one in it.core.books.instances.values() if one.has_task}
        assert it.alive() == known
        kept = {tag.volume for one in it.reserved.values() for tag in one.parts if tag.volume is not None}
        assert kept == {volume.id for one in it.core.books.instances.values() for volume in one.volumes}
        leases = {lease for one in it.reserved.values() for lease in residency.kept(one)}
        assert leases == {one.lease for one in it.core.books.instances.values() if one.home}
        apps = it.core.books.apps.values()
        assert it.roles == sorted({"data", *(one.role for one in apps)})
        stored = {key for key in it.store if key.startswith("instance/")}
        assert stored == {f"instance/{one}" for one in it.core.books.instances}


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
