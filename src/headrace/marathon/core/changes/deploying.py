"""Makes a change of the root group: ports, rules between definitions, versions, the plan, then the deployment."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

import msgspec

from headrace.marathon.core import planner
from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import Deployment, Deployments
from headrace.marathon.core.events import Answer
from headrace.marathon.core.ports import with_service_ports
from headrace.marathon.core.queue import LaunchQueue
from headrace.marathon.core.records import Change, Plan, Steps
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, TooManyDeployments, Violation, invalid, locked
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.paths import ancestors, parent
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.rules import check_group, check_pod_update, check_root, check_update
from headrace.marathon.definitions.run_spec import RunSpec, with_version
from headrace.marathon.definitions.writing import health_check

Targets = dict[str, RunSpec | None]
"""Apps and pods as they shall be; None: not there."""
Groups = Mapping[str, Group | None]
"""Groups whose own properties change; None: none."""


class Wanted(msgspec.Struct, frozen=True):
    """A change of the root group.

    ``restart``: the same configuration counts as a new one. ``revert``: apps come back with the versions that they
    had, so what still runs of those stays; ``reverts`` is the deployment that is undone, and ``why``. ``kill``:
    instances to end first. ``deadline``: seconds after which it is undone, if it is not complete.
    """

    targets: Targets
    groups: dict[str, Group | None] = {}
    restart: bool = False
    revert: bool = False
    kill: list[str] = []
    deadline: int | None = None
    reverts: str = ""
    why: str = ""


class Deployer:
    """Checks a change against everything else, then makes it."""

    def __init__(self, books: Books, queue: LaunchQueue, deployments: Deployments) -> None:
        self._books = books
        self._queue = queue
        self._deployments = deployments

    def deploy(self, wanted: Wanted, force: bool, now: float) -> Plan:
        """Begin the deployment. Raises Rejected and has changed nothing then."""
        try:
            return self._deploy(wanted, force, now)
        except TooManyDeployments:
            raise  # it may wait
        except Rejected as rejected:
            version = self._books.next_version(now)
            for group in _groups_of(wanted.targets, wanted.groups):
                self._books.publish("group_change_failed", groupId=group, version=version, reason=rejected.message)
            raise

    def _deploy(self, wanted: Wanted, force: bool, now: float) -> Plan:
        targets, plan = self._prepare(wanted, now)
        steps = planner.steps_of(plan)
        conflicts = self._deployments.conflicts(planner.affected(steps))  # not of what the request only names
        if conflicts and not force:
            raise locked(conflicts)
        if wanted.reverts:
            conflicts = sorted({*conflicts, wanted.reverts})
        if conflicts:
            plan = self._carrying_on(plan, conflicts)
            steps = planner.steps_of(plan)
        if steps:
            self._check_limit(len(conflicts), wanted)
        for deployment_id in conflicts:
            outcome, why = "replaced", "a newer deployment of the same app was forced"
            if deployment_id == wanted.reverts:
                outcome, why = "reverted", wanted.why
            self._deployments.cancel(deployment_id, now, why, outcome=outcome, by=plan.id)
        deadline = _deadline(plan, wanted, now)
        plan = msgspec.structs.replace(plan, replaces=conflicts, reverts=wanted.reverts, deadline=deadline)
        self._store(plan, targets, wanted, now)
        for group in _groups_of(targets, wanted.groups):
            self._books.publish("group_change_success", groupId=group, version=plan.version)
        self._deployments.start(plan, steps, now)
        return plan

    def _carrying_on(self, plan: Plan, replaced: list[str]) -> Plan:
        """With what the deployments that it replaces have begun and not finished."""
        unfinished = self._deployments.unfinished(replaced)
        others: Targets = {one: self._books.specs[one] for one in unfinished if one not in plan.target}
        return msgspec.structs.replace(
            plan, original=plan.original | others, target=plan.target | others, unfinished=unfinished
        )

    def revert(self, deployment: Deployment, why: str, now: float) -> Plan:
        """Begin the way back. Raises Rejected and has changed nothing then."""
        plan = deployment.plan
        back: Targets = {one: plan.original.get(one) for one in deployment.affected}
        wanted = Wanted(back, dict(plan.groups_before), revert=True, reverts=plan.id, why=why)
        return self.deploy(wanted, True, now)

    def expire(self, deployment_id: str, now: float) -> None:
        """The deployment's time is up: begin the way back, or if there is none, stop it where it is."""
        deployment = self._deployments.running.get(deployment_id)
        if deployment is None or deployment.plan.deadline is None or now < deployment.plan.deadline:
            return
        why = "its deadline has passed"
        try:
            self.revert(deployment, why, now)
        except Rejected as rejected:
            why += f", and it can't be undone: {rejected.message}"
            self._deployments.cancel(deployment_id, now, why)

    def dry_run(self, wanted: Wanted, now: float) -> Steps:
        """The steps that ``deploy`` would take. Raises Rejected."""
        _, plan = self._prepare(wanted, now)
        return planner.steps_of(plan)

    def _check_limit(self, replaced: int, wanted: Wanted) -> None:
        limit = self._books.settings.max_running_deployments
        if len(self._deployments.running) - replaced >= limit:
            raise TooManyDeployments(limit, _groups_of(wanted.targets, wanted.groups))

    def _prepare(self, wanted: Wanted, now: float) -> tuple[Targets, Plan]:
        targets = self._with_ports(wanted.targets)
        groups = {**self._books.groups, **wanted.groups}
        depending = {path: one for path, one in groups.items() if one is not None and one.dependencies}
        self._check_root(targets, depending, wanted.groups)
        original: Targets = {one: self._books.specs.get(one) for one in targets}
        for one, spec in targets.items():
            before = original[one]
            if isinstance(spec, App) and isinstance(before, App) and not wanted.revert:
                check_update(before, spec)
            elif isinstance(spec, Pod) and isinstance(before, Pod) and not wanted.revert:
                check_pod_update(before, spec)
        version = self._books.next_version(now)
        versioned = {
            one: spec if spec is None or wanted.revert else _versioned(spec, original[one], version, wanted.restart)
            for one, spec in targets.items()
        }
        before_groups = {path: self._books.groups.get(path) for path in wanted.groups}
        plan = Plan(self._books.ids(), version, original, versioned, wanted.kill, depending, before_groups)
        return versioned, plan

    def _store(self, plan: Plan, targets: Targets, wanted: Wanted, now: float) -> None:
        replaced: Targets = {}
        for one, spec in targets.items():
            before = plan.original[one]
            if spec != before:
                self._tell_of_checks(before, spec)
            if spec is None and before is not None:
                self._books.drop_app(one)
            elif spec is not None and spec != before:
                self._books.put_app(spec)
                if wanted.restart or before is None or before.config_version != spec.config_version:
                    self._queue.reset_delay(one, now)
            if spec != before:
                replaced[one] = before
        for path, group in wanted.groups.items():
            self._books.put_group(path, group)
        if replaced or wanted.groups:
            self._books.record_change(Change(plan.version, replaced, plan.groups_before))

    def _tell_of_checks(self, before: RunSpec | None, spec: RunSpec | None) -> None:
        old = before.health_checks if isinstance(before, App) else []
        new = spec.health_checks if isinstance(spec, App) else []
        if old == new:
            return
        if isinstance(before, App) and old:
            self._books.publish("remove_health_check_event", appId=before.id)
        if isinstance(spec, App):
            for check in new:
                self._books.publish(
                    "add_health_check_event", appId=spec.id, version=spec.version, healthCheck=health_check(check)
                )

    def _with_ports(self, targets: Targets) -> Targets:
        low, high = self._books.settings.local_port_min, self._books.settings.local_port_max
        given: set[int] = set()
        out: Targets = {}
        first = self._books.first_port()

        def taken(port: int) -> bool:
            return port in given or self._books.port_taken(port)

        for app_id, app in targets.items():
            out[app_id] = app
            if isinstance(app, App):
                before = self._books.apps.get(app_id)
                while first <= high and taken(first):  # so that each number is looked at once
                    first += 1
                app = with_service_ports(app, before, taken, low, high, first=first)
                given.update(one.service for one in app.ports)
                out[app_id] = app
        return out

    def _check_root(self, targets: Targets, depending: dict[str, Group], groups: Groups) -> None:
        new = {one: spec for one, spec in targets.items() if spec is not None}
        self._check_ids(targets, new, groups)
        if depending or any(spec.dependencies for spec in new.values()):
            try:
                others = {one: spec for one, spec in self._books.specs.items() if one not in targets}
                planner.check_circles(new, groups, others | new, depending)
            except planner.CyclicDependencyError as error:
                raise invalid([Violation("/", str(error))]) from None

    def _check_ids(self, targets: Targets, new: dict[str, RunSpec], groups: Groups) -> None:
        books = self._books
        below = Counter(above for one in new if one not in books.specs for above in ancestors(one))
        below.subtract(above for one, spec in targets.items() if spec is None for above in ancestors(one))
        added = any(one not in books.specs for one in new)
        named = sorted(path for path, one in {**books.groups, **groups}.items() if one is not None) if added else []

        def is_group(path: str) -> bool:
            if books.within[path] + below[path] > 0:
                return True
            for start in (path, f"{path}/"):
                at = bisect_left(named, start)
                if at < len(named) and (named[at] == path or named[at].startswith(f"{path}/")):
                    return True
            return False

        def find(spec_id: str) -> RunSpec | None:
            return targets[spec_id] if spec_id in targets else books.specs.get(spec_id)

        for path in (path for path, group in groups.items() if group is not None):
            check_group(path, find)
        for one, spec in new.items():
            check_root(spec, books.specs.get(one), is_group, find)


def _versioned(spec: RunSpec, before: RunSpec | None, version: str, restart: bool) -> RunSpec:
    """No change keeps the version; another number of instances is a scaling; anything else a new configuration."""
    if before is None or restart or not spec.same_config(before):
        return with_version(spec, version, config_changed=True, before=before)
    if spec.instances != before.instances:
        return with_version(spec, version, config_changed=False, before=before)
    return before


def _deadline(plan: Plan, wanted: Wanted, now: float) -> float | None:
    """The request's, or else the first of those that the changed apps have; the way back has none."""
    if wanted.revert:
        return None
    if wanted.deadline is not None:
        return now + wanted.deadline
    changed = [spec for one, spec in plan.target.items() if isinstance(spec, App) and spec != plan.original[one]]
    given = [one.upgrade_strategy.deadline_seconds for one in changed]
    return min((now + one for one in given if isinstance(one, int)), default=None)


def _groups_of(targets: Targets, groups: Groups) -> list[str]:
    """The groups that a change is about."""
    return sorted({parent(one) for one in targets} | set(groups))


def deployment_answer(plan: Plan, status: int = 200) -> Answer:
    """The answer to a request that began a deployment."""
    body = {"version": plan.version, "deploymentId": plan.id}
    return Answer(status, body, {"Marathon-Deployment-Id": plan.id})
