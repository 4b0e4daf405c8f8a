"""What API requests change: each is checked as a whole first, then done as one deployment.

A refused request raises ``Rejected`` before anything is changed.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from headrace.marathon.core import planner
from headrace.marathon.core.books import Books
from headrace.marathon.core.deployments import Deployments
from headrace.marathon.core.events import (
    Answer,
    CancelDeployment,
    CreateApp,
    DeleteApp,
    KillTasks,
    Origin,
    ResetDelay,
    RestartApp,
    UpdateApps,
)
from headrace.marathon.core.kills import Killer
from headrace.marathon.core.ports import with_service_ports
from headrace.marathon.core.queue import LaunchQueue
from headrace.marathon.core.records import Instance, Plan, instance_of_task
from headrace.marathon.core.shapes import task_view
from headrace.marathon.definitions import reading, update, writing
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, Violation, invalid, locked, unknown_app
from headrace.marathon.definitions.paths import canonical, parent
from headrace.marathon.definitions.rules import Context, check_app, check_root
from headrace.marathon.definitions.run_spec import RunSpec, with_version

Targets = dict[str, RunSpec | None]


class Changes:
    """Creates, updates, restarts, scales, removes; kills tasks; cancels deployments."""

    def __init__(self, books: Books, queue: LaunchQueue, deployments: Deployments, killer: Killer) -> None:
        self._books = books
        self._queue = queue
        self._deployments = deployments
        self._killer = killer

    def create(self, event: CreateApp, now: float) -> Answer:
        """POST /v2/apps."""
        app = self._read(event.body)
        if app.id in self._books.specs:
            raise Rejected(409, f"An app with id [{app.id}] already exists.")
        plan = self._deploy({app.id: app}, event.force, now)
        self._announce(event.origin, self._books.specs[app.id])
        body = _shown(self._books.specs[app.id]) | {
            "tasksStaged": 0,
            "tasksRunning": 0,
            "tasksHealthy": 0,
            "tasksUnhealthy": 0,
            "tasks": [],
            "deployments": [{"id": plan.id}],
        }
        return Answer(201, body, {"Location": app.id, "Marathon-Deployment-Id": plan.id})

    def update(self, event: UpdateApps, now: float) -> Answer:
        """PUT and PATCH."""
        if not event.create:
            for app_id, _ in event.updates:
                self._existing(app_id)
        created = event.single and event.updates[0][0] not in self._books.specs
        targets: Targets = {app_id: self._updated(app_id, body, event.partial) for app_id, body in event.updates}
        plan = self._deploy(targets, event.force, now)
        for app_id in targets:
            self._announce(event.origin, self._books.specs[app_id])
        return _deployment_answer(plan, 201 if created else 200)

    def delete(self, event: DeleteApp, now: float) -> Answer:
        """DELETE of an app."""
        app = self._existing(event.app_id)
        plan = self._deploy({app.id: None}, event.force, now)
        self._announce(event.origin, app)
        return _deployment_answer(plan)

    def restart(self, event: RestartApp, now: float) -> Answer:
        """The same configuration as a new version; its tasks are replaced, and its back-off forgotten."""
        app = self._existing(event.app_id)
        plan = self._deploy({app.id: app}, event.force, now, restart=True)
        self._announce(event.origin, app)
        return _deployment_answer(plan)

    def kill(self, event: KillTasks, now: float) -> Answer:
        """DELETE of tasks. With ``scale`` a deployment that also wants fewer; else they are replaced."""
        if event.scale and event.wipe:
            raise Rejected(400, "You cannot use scale and wipe at the same time.")
        chosen = self._chosen(event)
        shown = [task_view(one, self._books.definition(one)) for one in chosen]
        if event.scale:
            return self._kill_and_scale(chosen, event, now)
        for instance in chosen:
            if event.wipe:
                self._killer.decommission(instance, now, "killed and wiped through the API")
            else:
                self._killer.kill(instance, now, "killed through the API")
        return Answer(200, {"task": shown[0]} if event.single else {"tasks": shown})

    def cancel(self, event: CancelDeployment, now: float) -> Answer:
        """With ``force`` just stop; else deploy the way back."""
        deployment = self._deployments.running.get(event.deployment_id)
        if deployment is None:
            raise Rejected(404, f"DeploymentPlan {event.deployment_id} does not exist")
        if event.force:
            self._deployments.cancel(event.deployment_id, now, "cancelled through the API")
            return Answer(202, None)
        original = deployment.plan.original
        back: Targets = {app_id: original.get(app_id) for app_id in deployment.affected()}
        return _deployment_answer(self._deploy(back, True, now, revert=True))

    def reset_delay(self, event: ResetDelay, now: float) -> Answer:
        """Launch at once, whatever failed before."""
        if event.app_id not in self._queue.waiting and event.app_id not in self._books.delays:
            raise Rejected(404, f"Application {event.app_id} not found in tasks queue.")
        self._queue.reset_delay(event.app_id, now)
        return Answer(204, None)

    # reading and checking

    def _read(self, body: Any, app_id: str | None = None) -> RunSpec:
        if app_id is not None and isinstance(body, dict):
            body = {"id": app_id} | {key: value for key, value in body.items() if key != "id" or value is not None}
        fields = reading.read_fields(body, whole=True)
        if app_id is not None and canonical(fields["id"], parent(app_id)) != app_id:
            given = fields["id"]
            raise invalid([Violation("/id", f"'{given}' is not the id of the request's path, '{app_id}'")])
        return self._checked(fields)

    def _checked(self, fields: dict[str, Any]) -> RunSpec:
        settings = self._books.settings
        app = reading.to_app(fields, default_role=settings.role, default_network=settings.default_network_name)
        check_app(app, Context((settings.role,), settings.features))
        return app

    def _updated(self, app_id: str, body: Any, partial: bool) -> RunSpec:
        current = self._books.apps.get(app_id)
        if current is None or not partial:
            return self._read(body, app_id)
        fields = reading.read_fields(body, whole=False)
        version = update.rollback_version(fields)
        if version is not None:
            return self._version(app_id, version)
        return self._checked(update.merged(current, fields, body))

    def _version(self, app_id: str, version: str) -> RunSpec:
        app = self._books.versions.get(app_id, {}).get(version)
        if app is None:
            raise Rejected(404, f"RunSpec '{app_id}' does not exist in version {version}")
        return app

    def _existing(self, app_id: str) -> RunSpec:
        app = self._books.specs.get(app_id)
        if app is None:
            raise unknown_app(app_id)
        return app

    # doing

    def _deploy(
        self,
        targets: Targets,
        force: bool,
        now: float,
        *,
        restart: bool = False,
        revert: bool = False,
        kill: list[str] | None = None,
    ) -> Plan:
        """Check the change against everything else, then make it. Raises Rejected and has changed nothing then.

        ``revert``: the apps come back with the versions that they had, so what still runs of those stays.
        """
        conflicts = self._deployments.conflicts(targets)
        if conflicts and not force:
            raise locked(conflicts)
        limit = self._books.settings.max_running_deployments
        if len(self._deployments.running) - len(conflicts) >= limit:
            raise Rejected(403, f"Max number ({limit}) of running deployments is achieved. Wait for one to complete.")
        targets = self._with_ports(targets)
        self._check_root(targets)
        version = self._books.next_version(now)
        original: Targets = {app_id: self._books.specs.get(app_id) for app_id in targets}
        versioned = {
            app_id: app if app is None or revert else _versioned(app, original[app_id], version, restart)
            for app_id, app in targets.items()
        }
        for deployment_id in conflicts:
            self._deployments.cancel(deployment_id, now, "a newer deployment of the same app was forced")
        plan = Plan(self._books.ids(), version, original, versioned, kill or [])
        self._store(original, versioned, restart, now)
        for group in sorted({parent(app_id) for app_id in targets}):
            self._books.publish("group_change_success", groupId=group, version=version)
        self._deployments.start(plan, now)
        return plan

    def _store(self, original: Targets, targets: Targets, restart: bool, now: float) -> None:
        for app_id, app in targets.items():
            before = original[app_id]
            if app is None:
                self._books.drop_app(app_id)
            elif app != before:
                self._books.put_app(app)
                if restart or before is None or before.config_version != app.config_version:
                    self._queue.reset_delay(app_id, now)

    def _with_ports(self, targets: Targets) -> Targets:
        low, high = self._books.settings.local_port_min, self._books.settings.local_port_max
        given: Counter[int] = Counter()
        out: Targets = {}
        for app_id, app in targets.items():
            if isinstance(app, App):
                before = self._books.apps.get(app_id)
                app = with_service_ports(
                    app, before, lambda port: port in given or self._books.port_taken(port), low, high
                )
                given.update(one.service for one in app.ports)
            out[app_id] = app
        return out

    def _check_root(self, targets: Targets) -> None:
        new = {app_id: app for app_id, app in targets.items() if app is not None}
        ids = self._books.specs.keys() | new.keys()
        for app_id in new.keys() - self._books.specs.keys():
            check_root(ids, (), (), app_id)
        if any(app.dependencies for app in new.values()):
            try:
                planner.layers({one: app for one, app in self._books.specs.items() if one not in targets} | new)
            except planner.CyclicDependencyError as error:
                raise invalid([Violation("/", str(error))]) from None

    def _chosen(self, event: KillTasks) -> list[Instance]:
        if event.app_id is not None:
            self._existing(event.app_id)
        if event.task_ids is None:
            return [
                one
                for one in self._books.of_app(event.app_id or "")
                if one.has_task and event.host in (None, "*", one.host)
            ]
        chosen = []
        for task_id in event.task_ids:
            instance = self._books.instances.get(instance_of_task(task_id))
            found = instance is not None and (event.app_id is None or instance.app_id == event.app_id)
            if instance is not None and found and instance.task_id == task_id and instance.has_task:
                chosen.append(instance)
            elif event.single:
                raise Rejected(404, f"Task '{task_id}' does not exist")
            elif ".instance-" not in task_id and "." not in task_id:
                raise Rejected(400, f"Invalid task id '{task_id}'. [A task id looks like <app>.instance-<uuid>._app.1]")
        return chosen

    def _kill_and_scale(self, chosen: list[Instance], event: KillTasks, now: float) -> Answer:
        fewer = Counter(one.app_id for one in chosen if one.wanted)
        apps = {app_id: self._existing(app_id) for app_id in fewer}
        if not apps and event.app_id is not None:
            apps[event.app_id] = self._existing(event.app_id)
        targets: Targets = {
            app_id: msgspec.structs.replace(app, instances=max(0, app.instances - fewer[app_id]))
            for app_id, app in apps.items()
        }
        return _deployment_answer(self._deploy(targets, event.force, now, kill=[one.id for one in chosen]))

    def _announce(self, origin: Origin, app: RunSpec) -> None:
        self._books.publish("api_post_event", clientIp=origin.client, uri=origin.uri, appDefinition=_shown(app))


def _shown(run_spec: RunSpec) -> dict[str, Any]:
    return writing.whole(run_spec) if isinstance(run_spec, App) else writing.whole_pod(run_spec)


def _versioned(app: RunSpec, before: RunSpec | None, version: str, restart: bool) -> RunSpec:
    """No change keeps the version; another number of instances is a scaling; anything else a new configuration."""
    if before is None or restart or not app.same_config(before):
        return with_version(app, version, config_changed=True, before=before)
    if app.instances != before.instances:
        return with_version(app, version, config_changed=False, before=before)
    return before


def _deployment_answer(plan: Plan, status: int = 200) -> Answer:
    body = {"version": plan.version, "deploymentId": plan.id}
    return Answer(status, body, {"Marathon-Deployment-Id": plan.id})
