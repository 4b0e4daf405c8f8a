"""Creates, updates, scales, rolls back and removes groups: many apps and pods in one deployment."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from headrace.marathon.core.books import Books
from headrace.marathon.core.changes.context import context, default_role
from headrace.marathon.core.changes.deploying import Deployer, Targets, Wanted, deployment_answer
from headrace.marathon.core.events import Answer, ChangeGroup, DeleteGroup, EnforceRole
from headrace.marathon.core.history import root_at
from headrace.marathon.definitions import reading
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected, Violation, invalid, unknown_group, within
from headrace.marathon.definitions.group import NOTHING, Group
from headrace.marathon.definitions.paths import canonical, parent
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.reading import GroupUpdate
from headrace.marathon.definitions.rules import check_app, check_pod
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.marathon.definitions.timestamps import check_timestamp


class GroupChanges:
    """Requests to /v2/groups."""

    def __init__(self, books: Books, deployer: Deployer) -> None:
        self._books = books
        self._deployer = deployer

    def change(self, event: ChangeGroup, now: float) -> Answer:
        """POST creates, PUT creates or updates; with ``dry_run`` only the steps are told."""
        update = reading.read_group(event.body, event.path)
        if event.create:
            self._check_new(update)
        wanted = self._wanted(update)
        if event.dry_run:
            steps = self._deployer.dry_run(wanted, now)
            return Answer(200, {"steps": [{"actions": [one.shown() for one in step]} for step in steps]})
        wanted = msgspec.structs.replace(wanted, deadline=event.deadline)
        plan = self._deployer.deploy(wanted, event.force, now)
        answer = deployment_answer(plan, 201 if event.create else 200)
        if event.create:
            return msgspec.structs.replace(answer, headers={"Location": update.id, **answer.headers})
        return answer

    def delete(self, event: DeleteGroup, now: float) -> Answer:
        """DELETE of a group with all that is in it; of the root: of everything."""
        if event.path != "/" and not self._books.group_exists(event.path):
            raise unknown_group(event.path)
        wanted = msgspec.structs.replace(self._without(event.path), deadline=event.deadline)
        return deployment_answer(self._deployer.deploy(wanted, event.force, now))

    def enforce(self, event: EnforceRole, now: float) -> Answer:
        """PATCH of ``enforceRole``: no deployment, what runs stays as it is."""
        if event.path.count("/") != 1 or event.path == "/":
            raise Rejected(422, "Path needs to be top-level")
        if not self._books.group_exists(event.path):
            raise unknown_group(event.path)
        group = self._books.groups.get(event.path, NOTHING)
        self._books.put_group(event.path, msgspec.structs.replace(group, enforce_role=event.enforce))
        return Answer(200, None)

    def _check_new(self, update: GroupUpdate) -> None:
        if update.id in self._books.apps:
            raise Rejected(409, f"An app with the path {update.id} already exists.")
        if update.id == "/" or self._books.group_exists(update.id):
            raise Rejected(409, f"Group {update.id} is already created. Use PUT to change this group.")

    def _wanted(self, update: GroupUpdate) -> Wanted:
        if update.version is not None:
            return self._as_it_was(update.id, update.version)
        if update.scale_by is not None:
            return self._scaled(update.id, update.scale_by)
        groups: dict[str, Group | None] = {}
        self._collect_groups(update, groups)
        targets: Targets = {}
        self._collect(update, groups, targets, "")
        self._check_enforced(targets, groups)
        return Wanted(targets, groups)

    def _check_enforced(self, targets: Targets, groups: dict[str, Group | None]) -> None:
        """A group that is there can't enforce its role from now on, or no more, while what is in it changes."""
        for path, group in groups.items():
            before = self._books.groups.get(path, NOTHING)
            if group is None or group.enforce_role == before.enforce_role or not self._books.group_exists(path):
                continue
            changed = [one for one, spec in targets.items() if one.startswith(path + "/") and self._changes(one, spec)]
            if changed:
                words = f"enforceRole of {path} may not change together with {', '.join(changed)}: make two requests"
                raise invalid([Violation("/enforceRole", words)])

    def _changes(self, spec_id: str, spec: RunSpec | None) -> bool:
        before = self._books.specs.get(spec_id)
        if spec is None or before is None:
            return spec is not before
        return not spec.same_config(before) or spec.instances != before.instances

    def _collect_groups(self, update: GroupUpdate, groups: dict[str, Group | None]) -> None:
        before = self._books.groups.get(update.id)
        new = update.id != "/" and not self._books.group_exists(update.id)
        enforce = update.enforce_role
        if enforce is None and new and update.id.count("/") == 1:
            enforce = self._books.settings.new_group_enforce_role == "top" or None
        group = Group(
            update.dependencies if update.dependencies is not None else (before or NOTHING).dependencies,
            enforce if enforce is not None else (before or NOTHING).enforce_role,
        )
        if update.id != "/" and (group != before if before is not None else group != NOTHING or new):
            groups[update.id] = group
        for child in update.groups or ():
            self._collect_groups(child, groups)

    def _collect(self, update: GroupUpdate, groups: dict[str, Group | None], targets: Targets, path: str) -> None:
        """What of ``update`` and all that is below it is to be, and what is not any more."""
        if update.apps is not None:
            self._drop([one for one in self._books.apps if parent(one) == update.id], targets)
            for index, fields in enumerate(update.apps):
                with within(f"{path}/apps({index})"):
                    app = self._app(fields, update.id, groups)
                targets[app.id] = app
        if update.pods is not None:
            self._drop([one for one in self._books.pods if parent(one) == update.id], targets)
            for index, fields in enumerate(update.pods):
                with within(f"{path}/pods({index})"):
                    pod = self._pod(fields, update.id, groups)
                targets[pod.id] = pod
        if update.groups is not None:
            for child in self._books.children(update.id) - {one.id for one in update.groups}:
                gone = self._without(child)
                self._drop(list(gone.targets), targets)
                groups.update(gone.groups)
            for index, inner in enumerate(update.groups):
                self._collect(inner, groups, targets, f"{path}/groups({index})")

    def _app(self, fields: dict[str, Any], base: str, groups: dict[str, Group | None]) -> App:
        books, app_id = self._books, canonical(fields["id"], base)
        role, network = default_role(books, app_id, groups), books.settings.default_network_name
        app = reading.to_app(fields, default_role=role, base=base, default_network=network)
        check_app(app, context(books, app_id, books.apps.get(app_id), groups))
        return app

    def _pod(self, fields: dict[str, Any], base: str, groups: dict[str, Group | None]) -> Pod:
        books, pod_id = self._books, canonical(fields["id"], base)
        role, network = default_role(books, pod_id, groups), books.settings.default_network_name
        pod = reading.to_pod(fields, default_role=role, base=base, default_network=network)
        check_pod(pod, context(books, pod_id, books.pods.get(pod_id), groups))
        return pod

    def _drop(self, ids: list[str], targets: Targets) -> None:
        for one in ids:
            targets.setdefault(one, None)

    def _without(self, path: str) -> Wanted:
        targets: Targets = dict.fromkeys(self._books.below(path))
        prefix = path.rstrip("/") + "/"
        groups: dict[str, Group | None] = {
            one: None for one in self._books.groups if one == path or one.startswith(prefix)
        }
        return Wanted(targets, groups)

    def _scaled(self, path: str, factor: float) -> Wanted:
        self._existing(path)
        targets: Targets = {}
        for one in self._books.below(path):
            spec = self._books.specs[one]
            if isinstance(spec, App) and not spec.per_agent:
                targets[one] = msgspec.structs.replace(spec, instances=math.ceil(spec.instances * factor))
        return Wanted(targets)

    def _as_it_was(self, path: str, version: str) -> Wanted:
        self._existing(path)
        version = check_timestamp(version)
        then = root_at(self._books, version)
        if then is None:
            raise Rejected(404, f"Group '{path}' does not exist in version {version}")
        prefix = path.rstrip("/") + "/"
        targets: Targets = dict.fromkeys(self._books.below(path))
        targets |= {one: spec for one, spec in then.specs.items() if one.startswith(prefix)}
        ids = {*self._books.groups, *then.groups}
        groups = {one: then.groups.get(one) for one in ids if one == path or one.startswith(prefix)}
        return Wanted(targets, {one: group for one, group in groups.items() if group != self._books.groups.get(one)})

    def _existing(self, path: str) -> None:
        if path != "/" and not self._books.group_exists(path):
            raise unknown_group(path)
