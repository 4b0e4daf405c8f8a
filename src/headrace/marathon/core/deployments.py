"""Carries out deployment plans: step by step, the actions of a step side by side.

Nothing about progress is stored but the plan. Each action compares what is with what shall be and
does what is missing, so a deployment goes on after a restart where it was, and no task is touched
without need. An app takes part in one deployment at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from headrace.kernel.core import Delete, Put
from headrace.marathon import repository
from headrace.marathon.core import everywhere, planner, upgrade
from headrace.marathon.core.books import Books
from headrace.marathon.core.health import considered_healthy
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.queue import LaunchQueue
from headrace.marathon.core.records import (
    LOST,
    RESTART,
    SCALE,
    START,
    STOP,
    Action,
    Cause,
    Condition,
    EndedDeployment,
    Goal,
    Instance,
    Plan,
    Steps,
)
from headrace.marathon.core.residency import fits
from headrace.marathon.core.scaling import victims
from headrace.marathon.definitions.run_spec import RunSpec

STALLED, DEADLINE = "stalled/", "deadline/"
FIRST_LOOK = 60.0
"""Seconds after which a deployment is looked at for the first time, whether it comes on."""
_VERSIONS = 200
"""Of so many apps and pods a deployment that is over keeps the versions."""


class Deployment(msgspec.Struct):
    """A plan under way: ``at`` is the step that is being carried out, ``done`` its finished actions."""

    plan: Plan
    steps: Steps
    at: int = 0
    announced: bool = False
    done: set[str] = msgspec.field(default_factory=set)
    affected: list[str] = []
    """Apps and pods that something is done about, sorted; the plan may name others, for the order of the steps."""
    affected_apps: list[str] = []
    affected_pods: list[str] = []
    _of_app: dict[str, dict[int, Action]] = {}

    def __post_init__(self) -> None:
        pods = {action.app for step in self.steps for action in step if action.pod}
        self.affected = sorted(planner.affected(self.steps))
        self.affected_apps = [one for one in self.affected if one not in pods]
        self.affected_pods = sorted(pods)
        for index, step in enumerate(self.steps):
            for action in step:
                self._of_app.setdefault(action.app, {})[index] = action

    def drives(self, app_id: str) -> bool:
        """Whether an unfinished action decides about the app's instances."""
        last = max(self._of_app.get(app_id, ()), default=-1)
        return last > self.at or (last == self.at and app_id not in self.done)

    def waits_for_turn(self) -> list[str]:
        """The apps whose instances are decided about in a later step."""
        last = {one: max(steps) for one, steps in self._of_app.items()}
        return [one for one, step in last.items() if step > self.at and self._of_app[one][step].action != STOP]

    def due(self, app_id: str) -> list[Action]:
        """The app's action in the present step, if it is not finished."""
        action = self._of_app.get(app_id, {}).get(self.at)
        return [action] if action is not None and app_id not in self.done else []

    def actions(self) -> list[Action]:
        """The actions of the present step."""
        return self.steps[self.at] if self.at < len(self.steps) else []


class Deployments:
    """All plans under way, oldest first, and which app each of them holds."""

    def __init__(self, books: Books, queue: LaunchQueue, killer: Killer, plans: Iterable[Plan]) -> None:
        self._books = books
        self._queue = queue
        self._killer = killer
        self.running: dict[str, Deployment] = {}
        self._holder: dict[str, str] = {}
        for plan in sorted(plans, key=lambda one: one.version):
            self._hold(Deployment(plan, planner.steps_of(plan)))

    def resume(self, now: float) -> None:
        """After a start: watch those that go on."""
        for deployment in self.running.values():
            self._watch(deployment.plan, now)

    def of_app(self, app_id: str) -> Deployment | None:
        """The deployment that an app takes part in."""
        holder = self._holder.get(app_id)
        return self.running[holder] if holder is not None else None

    def held(self) -> list[str]:
        """All apps that take part in a deployment."""
        return list(self._holder)

    def conflicts(self, app_ids: Iterable[str]) -> list[str]:
        """The deployments that hold any of these apps."""
        return sorted({self._holder[one] for one in app_ids if one in self._holder})

    def unfinished(self, deployment_ids: Iterable[str]) -> dict[str, str]:
        """By app and pod what these deployments have not finished: RESTART where there are instances of before."""
        out: dict[str, str] = {}
        for deployment in (self.running[one] for one in deployment_ids):
            for spec in (self._books.specs.get(one) for one in deployment.affected if deployment.drives(one)):
                if spec is not None:
                    members = [one for one in self._books.of_app(spec.id) if one.goal is Goal.RUNNING]
                    old = any(one.config_version != spec.config_version for one in members)
                    out[spec.id] = RESTART if old else SCALE
        return out

    def start(self, plan: Plan, steps: Steps, now: float) -> None:
        """Begin a plan whose apps nobody holds. A plan without steps is finished at once."""
        deployment = Deployment(plan, steps)
        if not deployment.steps:
            self._books.publish("deployment_success", id=plan.id, plan=plan_view(deployment))
            return
        self._books.effects.append(Put(repository.deployment_key(plan.id), msgspec.json.encode(plan)))
        self._hold(deployment)
        self._watch(plan, now)
        for app_id in deployment.affected:
            self._books.touch(app_id)
            self._books.tell(app_id, now, f"deployment {plan.id} begins")

    def cancel(self, deployment_id: str, now: float, why: str, *, outcome: str = "cancelled", by: str = "") -> None:
        """Stop a deployment where it is; what it did stays. ``by`` is the one that takes its place."""
        deployment = self.running[deployment_id]
        self._release(deployment)
        self._remember(deployment, outcome, now, why, by)
        for app_id in deployment.affected:
            self._books.tell(app_id, now, f"deployment {deployment_id} is cancelled", why)
        self._books.publish("deployment_failed", id=deployment_id, plan=plan_view(deployment), reason=why)

    def drives(self, app_id: str) -> bool:
        """Whether an unfinished action decides about the app's instances."""
        deployment = self.of_app(app_id)
        return deployment is not None and deployment.drives(app_id)

    def advance(self, deployment: Deployment, app_id: str, now: float) -> None:
        """Do what can be done now that something about this app has changed: an action is about one app alone."""
        while deployment.plan.id in self.running:
            if deployment.at >= len(deployment.steps):
                self._finish(deployment, now)
                return
            due = deployment.due(app_id)
            if not deployment.announced:
                deployment.announced = True
                self._publish("deployment_info", deployment)
                due = deployment.actions()
            for action in due:
                if self._carry_out(deployment, action, now):
                    deployment.done.add(action.app)
            if len(deployment.done) < len(deployment.actions()):
                return
            self._publish("deployment_step_success", deployment)
            deployment.at += 1
            deployment.announced = False
            deployment.done.clear()
            for action in deployment.actions():
                if action.action != START:
                    self._books.turn_comes(action.app)

    # actions; each returns whether it is finished

    def _carry_out(self, deployment: Deployment, action: Action, now: float) -> bool:
        if action.action == START:
            return True
        if action.action == STOP:
            return self._stop(action.app, now)
        app = self._books.specs.get(action.app)
        if app is None:
            return True
        carry_out = self._restart if action.action == RESTART else self._scale
        return carry_out(app, deployment.plan.kill, now)

    def _stop(self, app_id: str, now: float) -> bool:
        for instance in list(self._books.of_app(app_id)):
            self._killer.decommission(instance, now, "the app is removed")
        if list(self._books.of_app(app_id)):
            return False
        self._queue.reset_delay(app_id, now)
        self._books.publish("app_terminated_event", appId=app_id)
        return True

    def _scale(self, app: RunSpec, named: list[str], now: float) -> bool:
        adjust(self._books, self._killer, app, now, named)
        members = list(self._books.of_app(app.id))
        wanted = [one for one in members if one.wanted]
        leaving = [one for one in members if _ends(one) and one.condition not in LOST]
        enough = bool(wanted) if app.per_agent else len(wanted) == app.instances
        return enough and not leaving and all(is_good(app, one) for one in wanted)

    def _restart(self, app: RunSpec, named: list[str], now: float) -> bool:
        renew_waiting(self._books, self._killer, app, now)
        if app.per_agent:
            return everywhere.renew(self._books, self._killer, app, now)
        members = [one for one in self._books.of_app(app.id) if one.wanted or _ends(one)]
        strategy = app.upgrade_strategy
        move = upgrade.moves(
            app.instances,
            strategy.minimum_health_capacity,
            strategy.maximum_over_capacity,
            [self._member(app, one) for one in self._in_kill_order(app, members, named)],
            in_place=app.resident,
        )
        for instance_id in move.kill:
            self._killer.retire(
                self._books.instances[instance_id], app, now, "replaced by a newer version", Cause.UPGRADE
            )
        more(self._books, self._killer, app, move.launch, now)
        if move.done:
            for instance in list(self._books.of_app(app.id)):
                if instance.condition is Condition.INACTIVE and instance.config_version != app.config_version:
                    why = "unreachable, and replaced by a newer version"
                    self._killer.decommission(instance, now, why, Cause.UPGRADE)
        return move.done

    def _member(self, app: RunSpec, instance: Instance) -> upgrade.Member:
        new = instance.config_version == app.config_version
        definition = app if new else self._books.definition(instance) or app
        good = instance.condition is Condition.RUNNING and considered_healthy(definition, instance)
        return upgrade.Member(
            instance.id,
            new,
            instance.goal is not Goal.RUNNING,
            good and (instance.ready or not new),
        )

    @staticmethod
    def _in_kill_order(app: RunSpec, members: list[Instance], named: list[str]) -> list[Instance]:
        return victims(members, len(members), named=named, youngest_first=app.kill_selection == "YOUNGEST_FIRST")

    # the life of a deployment

    def _finish(self, deployment: Deployment, now: float) -> None:
        self._release(deployment)
        self._remember(deployment, "succeeded", now)
        for app_id in deployment.affected:
            self._books.tell(app_id, now, f"deployment {deployment.plan.id} succeeded")
        self._books.publish("deployment_success", id=deployment.plan.id, plan=plan_view(deployment))

    def _remember(self, deployment: Deployment, outcome: str, now: float, why: str = "", by: str = "") -> None:
        plan = deployment.plan
        versions = {
            one: (_version(plan.original.get(one)), _version(plan.target.get(one)))
            for one in deployment.affected[:_VERSIONS]
        }
        self._books.past.deployment_over(
            EndedDeployment(
                plan.id,
                plan.version,
                outcome,
                now,
                apps=deployment.affected_apps,
                pods=deployment.affected_pods,
                steps=deployment.steps,
                at=min(deployment.at, max(0, len(deployment.steps) - 1)),
                why=why,
                replaced_by=by,
                replaces=plan.replaces,
                reverts=plan.reverts,
                versions=versions,
            )
        )

    def _hold(self, deployment: Deployment) -> None:
        self.running[deployment.plan.id] = deployment
        for app_id in deployment.affected:
            self._holder[app_id] = deployment.plan.id
        for app_id in deployment.waits_for_turn():
            self._books.wait_for_turn(app_id, deployment.plan.original.get(app_id))

    def _watch(self, plan: Plan, now: float) -> None:
        self._books.wake(STALLED + plan.id, now + FIRST_LOOK)
        if plan.deadline is not None:
            self._books.wake(DEADLINE + plan.id, plan.deadline)

    def validate(self) -> None:
        """Assert that no lock outlives its deployment; for tests."""
        for plan_id, deployment in self.running.items():
            assert deployment.plan.id == plan_id  # noqa: S101
            assert all(self._holder.get(one) == plan_id for one in deployment.affected), plan_id  # noqa: S101
        held = {one for deployment in self.running.values() for one in deployment.affected}
        assert self._holder.keys() == held  # noqa: S101
        put_off = {one for deployment in self.running.values() for one in deployment.waits_for_turn()}
        assert self._books.put_off.keys() == put_off  # noqa: S101

    def _release(self, deployment: Deployment) -> None:
        del self.running[deployment.plan.id]
        self._books.no_wake(STALLED + deployment.plan.id)
        if deployment.plan.deadline is not None:
            self._books.no_wake(DEADLINE + deployment.plan.id)
        for app_id in deployment.affected:
            self._holder.pop(app_id, None)
            self._books.turn_comes(app_id)
            self._books.touch(app_id)
        self._books.effects.append(Delete(repository.deployment_key(deployment.plan.id)))

    def _publish(self, kind: str, deployment: Deployment) -> None:
        step = {"actions": [one.shown() for one in deployment.actions()]}
        self._books.publish(kind, plan=plan_view(deployment), currentStep=step)


def is_good(app: RunSpec, instance: Instance) -> bool:
    """Running, healthy and ready."""
    return instance.condition is Condition.RUNNING and considered_healthy(app, instance) and instance.ready


def adjust(books: Books, killer: Killer, app: RunSpec, now: float, named: list[str]) -> None:
    """Launch or end instances until the app has as many as it shall have."""
    renew_waiting(books, killer, app, now)
    if app.per_agent:
        return  # offers make instances
    wanted = [one for one in books.of_app(app.id) if one.wanted]
    more(books, killer, app, app.instances - len(wanted), now, ending=True)
    surplus = len(wanted) - app.instances
    if surplus <= 0:
        return
    group_by = next((one[0] for one in app.constraints if one[1] == "GROUP_BY"), None)
    youngest = app.kill_selection == "YOUNGEST_FIRST"
    for instance in victims(wanted, surplus, named=named, youngest_first=youngest, group_by=group_by):
        killer.retire(instance, app, now, f"the app shall have {app.instances} instances", Cause.SCALE)


def renew_waiting(books: Books, killer: Killer, app: RunSpec, now: float) -> None:
    """What is not launched yet is launched as the new version; a mere change of size is noted with the launch."""
    for instance in list(books.of_app(app.id)):
        if instance.condition is not Condition.SCHEDULED or instance.config_version == app.config_version:
            continue
        if instance.home and not fits(app, instance):
            killer.decommission(instance, now, "its volumes are not those of the newer version")
        else:
            books.renew(instance, app)
            books.save(instance)


def more(books: Books, killer: Killer, app: RunSpec, count: int, now: float, *, ending: bool = False) -> None:
    """So many more instances: first those that were stopped, latest first, as they have volumes.

    ``ending``: also those whose task is only about to end. One that nobody can reach is no help.
    """
    if count <= 0:
        return
    stopped = [one for one in books.of_app(app.id) if one.goal is Goal.STOPPED and one.condition not in LOST]
    stopped = [one for one in stopped if ending or not one.has_task]
    for instance in sorted(stopped, key=lambda one: (one.has_task, -one.since)):
        if not fits(app, instance):
            killer.decommission(instance, now, "its volumes are not those that the app has now")
        elif count:
            books.resume(instance, app, now)
            count -= 1
    for _ in range(count):
        books.schedule(app, now)


def _version(spec: RunSpec | None) -> str | None:
    return spec.version if spec is not None else None


def _ends(instance: Instance) -> bool:
    """Whether it has a task that is not to go on."""
    return instance.goal is not Goal.RUNNING and instance.has_task and instance.condition is not Condition.INACTIVE


def plan_view(deployment: Deployment) -> dict[str, Any]:
    """A plan as events show it."""
    return {
        "id": deployment.plan.id,
        "version": deployment.plan.version,
        "steps": [{"actions": [one.shown() for one in step]} for step in deployment.steps],
    }
