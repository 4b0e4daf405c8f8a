"""Creates, updates, restarts and removes apps."""

from __future__ import annotations

from typing import Any

from headrace.marathon.core.books import Books
from headrace.marathon.core.changes.context import context, default_role
from headrace.marathon.core.changes.deploying import Deployer, Targets, Wanted, deployment_answer
from headrace.marathon.core.events import Answer, CreateApp, DeleteApp, Origin, RestartApp, UpdateApps
from headrace.marathon.definitions import reading, update, writing
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, Violation, invalid, unknown_app
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.paths import canonical, parent, top_group
from headrace.marathon.definitions.rules import check_app
from headrace.marathon.definitions.timestamps import check_timestamp

NOT_SCALED = "the app has one instance on every agent (instancesPer), so it can't be scaled"


class AppChanges:
    """Requests to /v2/apps."""

    def __init__(self, books: Books, deployer: Deployer) -> None:
        self._books = books
        self._deployer = deployer

    def create(self, event: CreateApp, now: float) -> Answer:
        """POST /v2/apps."""
        app = self._read(event.body)
        if app.id in self._books.apps:
            raise Rejected(409, f"An app with id [{app.id}] already exists.")
        plan = self._deployer.deploy(self._wanted({app.id: app}, event.deadline), event.force, now)
        stored = self._books.apps[app.id]
        self._announce(event.origin, stored)
        body = writing.whole(stored) | {
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
        _check_once([app_id for app_id, _ in event.updates])
        if not event.create:
            for app_id, _ in event.updates:
                self._existing(app_id)
        created = event.single and event.updates[0][0] not in self._books.apps
        targets: Targets = {app_id: self._updated(app_id, body, event.partial) for app_id, body in event.updates}
        plan = self._deployer.deploy(self._wanted(targets, event.deadline), event.force, now)
        for app_id in targets:
            self._announce(event.origin, self._books.apps[app_id])
        return deployment_answer(plan, 201 if created else 200)

    def delete(self, event: DeleteApp, now: float) -> Answer:
        """DELETE of an app."""
        app = self._existing(event.app_id)
        plan = self._deployer.deploy(Wanted({app.id: None}, deadline=event.deadline), event.force, now)
        self._announce(event.origin, app)
        return deployment_answer(plan)

    def restart(self, event: RestartApp, now: float) -> Answer:
        """The same configuration as a new version; its tasks are replaced, and its back-off forgotten."""
        app = self._existing(event.app_id)
        wanted = Wanted({app.id: app}, restart=True, deadline=event.deadline)
        plan = self._deployer.deploy(wanted, event.force, now)
        self._announce(event.origin, app)
        return deployment_answer(plan)

    def _wanted(self, targets: Targets, deadline: int | None) -> Wanted:
        """New top-level groups may come with a property of their own."""
        groups: dict[str, Group | None] = {}
        if self._books.settings.new_group_enforce_role == "top":
            for app_id in targets:
                top = top_group(app_id)
                path = f"/{top}"
                if top is not None and path not in self._books.groups and not self._books.below(path):
                    groups[path] = Group(enforce_role=True)
        return Wanted(targets, groups, deadline=deadline)

    def _read(self, body: Any, app_id: str | None = None) -> App:
        if app_id is not None and isinstance(body, dict):
            body = {"id": app_id} | {key: value for key, value in body.items() if key != "id" or value is not None}
        fields = reading.read_fields(body, whole=True)
        if app_id is not None and canonical(fields["id"], parent(app_id)) != app_id:
            given = fields["id"]
            raise invalid([Violation("/id", f"'{given}' is not the id of the request's path, '{app_id}'")])
        return self._checked(fields)

    def _checked(self, fields: dict[str, Any]) -> App:
        books, app_id = self._books, canonical(fields["id"])
        network = books.settings.default_network_name
        app = reading.to_app(fields, default_role=default_role(books, app_id, {}), default_network=network)
        check_app(app, context(books, app_id, books.apps.get(app_id), {}))
        return app

    def _updated(self, app_id: str, body: Any, partial: bool) -> App:
        current = self._books.apps.get(app_id)
        if current is None or not partial:
            return self._read(body, app_id)
        fields = reading.read_fields(body, whole=False)
        version = update.rollback_version(fields)
        if version is not None:
            return self._version(app_id, version)
        if current.per_agent and "instances" in fields and "instancesPer" not in fields:
            raise invalid([Violation("/instances", NOT_SCALED)])
        return self._checked(update.merged(current, fields, body))

    def _version(self, app_id: str, version: str) -> App:
        version = check_timestamp(version)
        app = self._books.versions.get(app_id, {}).get(version)
        if not isinstance(app, App):
            raise Rejected(404, f"App '{app_id}' does not exist in version {version}")
        return app

    def _existing(self, app_id: str) -> App:
        app = self._books.apps.get(app_id)
        if app is None:
            raise unknown_app(app_id)
        return app

    def _announce(self, origin: Origin, app: App) -> None:
        self._books.publish("api_post_event", clientIp=origin.client, uri=origin.uri, appDefinition=writing.whole(app))


def _check_once(app_ids: list[str]) -> None:
    """Of two definitions of one app nobody knows which counts."""
    seen: set[str] = set()
    for index, app_id in enumerate(app_ids):
        if app_id in seen:
            raise invalid([Violation(f"({index})/id", f"there are two entries for {app_id}")])
        seen.add(app_id)
