"""Anything in any order, crashes included: what must always hold holds, and it comes to rest as wanted."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.marathon.core import residency
from headrace.marathon.core.events import (
    CancelDeployment,
    ChangeGroup,
    CreatePod,
    DeleteGroup,
    DeletePod,
    EnforceRole,
    KillInstances,
    KillTasks,
    UpdateApps,
    UpdatePod,
)
from headrace.marathon.core.records import Condition, Goal
from headrace.marathon.core.settings import Settings
from headrace.marathon.core.upgrade import limits
from headrace.mesos.resources import Resources

from .simulation import ORIGIN, ROOM, Cluster

IDS = st.sampled_from(["/a", "/dev/b", "/g/c", "/db"])
PODS = st.sampled_from(["/p", "/g/p", "/dbp"])
GROUPS = st.sampled_from(["/g", "/g/h", "/dev"])
APPS = st.lists(st.sampled_from(["one", "b", "c"]), max_size=3, unique=True)
IN_GROUP = st.lists(st.sampled_from(["two", "p"]), max_size=2, unique=True)
ROLES = ["data", "dev"]
VOLUME = {"containerPath": "data", "mode": "RW", "persistent": {"size": 10}}
FIELDS: dict[str, dict[str, Any]] = {
    "/dev/b": {"role": "dev"},
    "/db": {"container": {"type": "MESOS", "volumes": [VOLUME]}},
}
FORCE = st.booleans()
SMALL = {"resources": {"cpus": 0.1, "mem": 16}}
STATES = ["TASK_RUNNING", "TASK_FAILED", "TASK_UNREACHABLE", "TASK_DROPPED"]


def pod_body(pod: str, instances: int, containers: int) -> dict[str, Any]:
    """A pod; ``/dbp`` keeps a volume."""
    mounts = [{"name": "v", "mountPath": "data"}] if pod == "/dbp" else []
    return {
        "containers": [
            {"name": f"c{number}", **SMALL, "exec": {"command": {"shell": "x"}}, "volumeMounts": mounts}
            for number in range(containers)
        ],
        "volumes": [{"name": "v", "persistent": {"size": 10}}] if mounts else [],
        "scaling": {"kind": "fixed", "instances": instances},
    }


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

    # pods

    @rule(pod=PODS, instances=st.integers(0, 3), containers=st.integers(1, 2), force=FORCE)
    def create_pod(self, pod: str, instances: int, containers: int, force: bool) -> None:
        body = {"id": pod, **pod_body(pod, instances, containers)}
        assert self.ask(CreatePod(0, body, force, ORIGIN)) in (201, 409)

    @rule(pod=PODS, instances=st.integers(0, 3), containers=st.integers(1, 2), force=FORCE, label=st.booleans())
    def update_pod(self, pod: str, instances: int, containers: int, force: bool, label: bool) -> None:
        if pod in self.it.core.books.pods:
            body = {"id": pod, **pod_body(pod, instances, containers), "labels": {"x": "y"} if label else {}}
            # what a pod with volumes takes may not change
            assert self.ask(UpdatePod(0, pod, body, force, ORIGIN)) in (200, 409, *([422] if pod == "/dbp" else []))

    @rule(pod=PODS, force=FORCE)
    def delete_pod(self, pod: str, force: bool) -> None:
        assert self.ask(DeletePod(0, pod, force, ORIGIN)) in (202, 404, 409)

    @rule(pod=PODS, number=st.integers(0, 3), wipe=st.booleans())
    def kill_pod(self, pod: str, number: int, wipe: bool) -> None:
        members = sorted(one.id for one in self.it.instances(pod))
        if number < len(members) and pod in self.it.core.books.pods:
            assert self.ask(KillInstances(0, pod, [members[number]], wipe, True)) == 200

    # groups

    @rule(
        group=GROUPS,
        apps=APPS,
        pods=IN_GROUP,
        chain=st.booleans(),
        force=FORCE,
        size=st.integers(0, 2),
        cmd=st.sampled_from(["sleep 1", "sleep 2"]),
        mem=st.sampled_from([16, 32]),
    )
    def put_group(
        self, group: str, apps: list[str], pods: list[str], chain: bool, force: bool, size: int, cmd: str, mem: int
    ) -> None:
        """All that was in the group itself and is not named goes; each app may depend on the one before.

        Then it changes in a later step; ``Cluster`` looks that no instance of what it is then is launched earlier.
        """
        needs = {one: [f"{group}/{before}"] if chain else [] for before, one in itertools.pairwise(apps)}
        body = {
            "apps": [
                {
                    "id": one,
                    "cmd": cmd,
                    "cpus": 0.1,
                    "mem": mem,
                    "instances": size,
                    "dependencies": needs.get(one, []),
                }
                for one in apps
            ],
            "pods": [{"id": one, **pod_body(one, size, 1)} for one in pods],
        }
        status = self.ask(ChangeGroup(0, group, body, False, False, force, ORIGIN))
        assert status in (200, 409, 422)
        if status == 200:
            members = {f"{group}/{one}" for one in (*apps, *pods)}
            assert members == {one for one in self.it.core.books.specs if one.rpartition("/")[0] == group}

    @rule(group=GROUPS, factor=st.sampled_from([0, 0.5, 2]), force=FORCE)
    def scale_group(self, group: str, factor: float, force: bool) -> None:
        apps = [one for one in self.it.core.books.apps.values() if one.id.startswith(group + "/")]
        if all(one.instances * factor <= 8 for one in apps):
            assert self.ask(ChangeGroup(0, group, {"scaleBy": factor}, False, False, force, ORIGIN)) in (200, 404, 409)

    @rule(group=GROUPS, number=st.integers(0, 5), force=FORCE)
    def roll_back_group(self, group: str, number: int, force: bool) -> None:
        """To any version that there was, also of apps that are gone; what was there may clash with what is."""
        versions = sorted({version for each in self.it.core.books.versions.values() for version in each})
        if number < len(versions):
            body = {"version": versions[number]}
            assert self.ask(ChangeGroup(0, group, body, False, False, force, ORIGIN)) in (200, 404, 409, 422)

    @rule(group=GROUPS, force=FORCE)
    def delete_group(self, group: str, force: bool) -> None:
        assert self.ask(DeleteGroup(0, group, force, ORIGIN)) in (200, 404, 409)

    @rule(group=st.sampled_from(["/g", "/dev"]), enforce=st.booleans())
    def enforce_role(self, group: str, enforce: bool) -> None:
        assert self.ask(EnforceRole(0, group, enforce)) in (200, 404)

    @rule(number=st.integers(0, 3), force=FORCE)
    def cancel(self, number: int, force: bool) -> None:
        """Stop a deployment where it is (``force``), or undo it."""
        running = list(self.it.core.deployments.running)
        if number < len(running):
            before = self.it.core.deployments.running[running[number]].plan
            status = self.ask(CancelDeployment(0, running[number], force))
            assert status == 202 if force else status in (200, 422, 409)
            if status == 200:
                for one, spec in before.original.items():
                    now = self.it.core.books.specs.get(one)
                    assert (now is None) == (spec is None), one
                    assert now is None or spec is None or now.same_config(spec), one

    def ask(self, event: Any) -> int:
        return self.it.ask(lambda to: msgspec.structs.replace(event, to=to)).status

    @precondition(lambda self: self.it.wants_offers)
    @rule(host=st.sampled_from(["host-1", "host-2"]), role=st.sampled_from(ROLES))
    def offer(self, host: str, role: str) -> None:
        if role in self.it.wanted_roles:
            self.it.offer(host, role=role)

    @rule(number=st.integers(0, 20), state=st.sampled_from(STATES))
    def status(self, number: int, state: str) -> None:
        """Of a group whose agent is away or has lost it, all tasks have the same."""
        with contextlib.suppress(IndexError):
            task = sorted(self.it.alive())[number]
            alike = self.it.groups.get(task, [task]) if state in ("TASK_UNREACHABLE", "TASK_DROPPED") else [task]
            for one in alike:
                if one in self.it.alive():
                    self.it.status(one, state)

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
        for app_id, app in self.it.core.books.specs.items():
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
        for app_id, app in it.core.books.specs.items():
            instances = [one for one in it.instances(app_id) if one.goal is Goal.RUNNING]
            assert len(instances) == app.instances, app_id
            assert all(one.condition is Condition.RUNNING for one in instances)
        known = {task for one in it.core.books.instances.values() if one.has_task for task in one.task_ids}
        assert it.alive() == known
        kept = {tag.volume for one in it.reserved.values() for tag in one.parts if tag.volume is not None}
        assert kept == {volume.id for one in it.core.books.instances.values() for volume in one.volumes}
        leases = {lease for one in it.reserved.values() for lease in residency.kept(one)}
        assert leases == {one.lease for one in it.core.books.instances.values() if one.home}
        apps = it.core.books.specs.values()
        assert it.roles == sorted({"data", *(one.role for one in apps)})
        stored = {key for key in it.store if key.startswith("instance/")}
        assert stored == {f"instance/{one}" for one in it.core.books.instances}


class Turns(RuleBasedStateMachine):
    """Versions that come in later steps, again and again; ``Cluster`` looks that none is launched before its step.

    And that what refuses one app refuses all that share what was refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.it = Cluster()

    @rule(late=st.sampled_from(["a", "b"]), cpus=st.sampled_from([1, 3, 100]), holds=FORCE, size=st.integers(1, 2))
    def change(self, late: str, cpus: float, holds: bool, size: int) -> None:
        """Two apps alike; one changes when another runs, which never does as long as that ``holds``."""
        alike = {"mem": 16, "instances": size}
        apps = [
            {"id": late, "cmd": f"sleep {self.it.now}", "cpus": cpus, "dependencies": ["/g/first"], **alike},
            {"id": "b" if late == "a" else "a", "cmd": "sleep 1", "cpus": 1, **alike},
            {"id": "first", "cmd": "sleep 1", "cpus": 1000 if holds else 0.1, "mem": 16},
        ]
        event = ChangeGroup(0, "/g", {"apps": apps}, False, False, True, ORIGIN)
        assert self.it.ask(lambda to: msgspec.structs.replace(event, to=to)).status == 200

    @rule(force=FORCE)
    def cancel(self, force: bool) -> None:
        for plan in list(self.it.core.deployments.running):
            self.it.ask(lambda to, plan=plan: CancelDeployment(to, plan, force))

    @rule(cpus=st.sampled_from([2, 8]))
    def offer(self, cpus: int) -> None:
        if self.it.wants_offers:
            self.it.offer(room=ROOM - Resources.of(cpus=8 - cpus))

    @rule()
    def run(self) -> None:
        self.it.run_all()
        self.it.end_killed()

    @rule(number=st.integers(0, 5))
    def fail(self, number: int) -> None:
        for task_id in sorted(self.it.alive())[number : number + 1]:
            self.it.status(task_id, "TASK_FAILED")

    @rule(seconds=st.sampled_from([1.0, 40.0]))
    def time(self, seconds: float) -> None:
        self.it.advance(seconds)

    @rule()
    def crash(self) -> None:
        self.it.crash()

    def teardown(self) -> None:
        if self.it.core.books.specs:
            self.change("a", 1, holds=False, size=2)
            self.it.settle(200)
            assert not self.it.core.deployments.running
            for spec in self.it.core.books.specs.values():
                conditions = [one.condition for one in self.it.instances(spec.id)]
                assert conditions == [Condition.RUNNING] * spec.instances, spec.id


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)
TestTurns = Turns.TestCase
TestTurns.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
