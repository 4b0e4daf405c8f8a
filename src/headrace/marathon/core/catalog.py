"""The definitions: apps and pods with their versions, groups, what has replaced what, and what is known of each app.

A change notes what has to be stored, and touches the app.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import msgspec

from headrace.kernel.clock import iso8601
from headrace.kernel.core import Delete, Put
from headrace.marathon import repository
from headrace.marathon.core.backoff import Delay
from headrace.marathon.core.outbox import Outbox
from headrace.marathon.core.records import Change
from headrace.marathon.core.settings import Settings
from headrace.marathon.definitions import run_spec as definitions
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.paths import ancestors, top_group
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.run_spec import RunSpec

MAX_VERSIONS = 50
"""So many definitions of an app are kept, besides those that instances still run."""


class Catalog(Outbox):
    """All definitions. ``role_uses`` counts apps and pods, and whatever else has a role."""

    def __init__(self, content: repository.Content, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.role_uses: Counter[str] = Counter([settings.role])
        """How many things there are of a role: Marathon itself, apps and pods, instances."""
        self.within: Counter[str] = Counter()
        """How many apps and pods are in each group, those of its groups included."""
        self.specs: dict[str, RunSpec] = {}
        """All apps and pods."""
        self.apps: dict[str, App] = {}
        self.per_agent: dict[str, None] = {}
        """The apps that have an instance on every agent."""
        self.pods: dict[str, Pod] = {}
        self.versions = content.versions
        self.groups = content.groups
        """What groups have of their own, by path; others exist by what is in them."""
        self.changes = sorted(content.changes, key=lambda one: one.version)
        self.failures = content.failures
        self.delays = content.delays
        self._service_ports: dict[int, int] = {}
        self._first_port = settings.local_port_min
        self._last_version = ""
        for app_id, version in content.apps.items():
            self._keep(app_id, content.versions[app_id][version])

    def next_version(self, now: float) -> str:
        """A version for a change made now; later than every one before."""
        version = iso8601(now)
        if version <= self._last_version:
            version = _successor(self._last_version)
        self._last_version = version
        return version

    def put_app(self, app: RunSpec) -> None:
        """This is the app from now on."""
        self._keep(app.id, app)
        versions = self.versions.setdefault(app.id, {})
        versions[app.version] = app
        self.effects.append(Put(repository.version_key(app.id, app.version), definitions.encode(app)))
        self.effects.append(Put(repository.app_key(app.id), app.version.encode()))
        self._prune(app.id)
        self.touch(app.id)

    def drop_app(self, app_id: str) -> None:
        """The app is no more; its instances are not touched."""
        self._keep(app_id, None)
        self.effects.append(Delete(repository.app_key(app_id)))
        for version in self.versions.pop(app_id, {}):
            self.effects.append(Delete(repository.version_key(app_id, version)))
        if self.failures.pop(app_id, None) is not None:
            self.effects.append(Delete(repository.failure_key(app_id)))
        self.touch(app_id)

    def below(self, path: str) -> list[str]:
        """The ids of all apps and pods in a group, those of its groups included."""
        prefix = path.rstrip("/") + "/"
        return [one for one in self.specs if one.startswith(prefix)]

    def group_exists(self, path: str) -> bool:
        """Whether there is such a group."""
        return path in self.groups or self.within[path] > 0 or any(one.startswith(f"{path}/") for one in self.groups)

    def enforced(self, spec_id: str) -> bool:
        """Whether the top-level group of an app or a pod enforces its role."""
        group = self.groups.get(f"/{top_group(spec_id)}")
        return group is not None and group.enforce_role

    def children(self, path: str) -> set[str]:
        """The groups directly in a group."""
        prefix = path.rstrip("/") + "/"
        within = [one[len(prefix) :] for one in self.specs if one.startswith(prefix)]
        own = [one[len(prefix) :] for one in self.groups if one.startswith(prefix)]
        return {prefix + one.split("/")[0] for one in (*(one for one in within if "/" in one), *own)}

    def put_group(self, path: str, group: Group | None) -> None:
        """What the group has of its own from now on; None: it is there only if something is in it."""
        if group is None:
            self.groups.pop(path, None)
            self.effects.append(Delete(repository.group_key(path)))
        else:
            self.groups[path] = group
            self.effects.append(Put(repository.group_key(path), msgspec.json.encode(group)))

    def record_change(self, change: Change) -> None:
        """Remember what was replaced; only the latest changes are kept."""
        self.changes.append(change)
        self._last_version = max(self._last_version, change.version)
        self.effects.append(Put(repository.change_key(change.version), msgspec.json.encode(change)))
        while len(self.changes) > MAX_VERSIONS:
            self.effects.append(Delete(repository.change_key(self.changes.pop(0).version)))

    def put_delay(self, app_id: str, delay: Delay | None) -> None:
        """Launches of the app wait like this from now on; None: they do not."""
        if delay is None:
            if self.delays.pop(app_id, None) is not None:
                self.effects.append(Delete(repository.delay_key(app_id)))
            return
        self.delays[app_id] = delay
        self.effects.append(Put(repository.delay_key(app_id), msgspec.json.encode(delay)))

    def port_taken(self, port: int) -> bool:
        """Whether an app has this service port."""
        return port in self._service_ports

    def first_port(self) -> int:
        """The lowest service port to give away that no app has."""
        while self._first_port in self._service_ports:  # so that each number is looked at once
            self._first_port += 1
        return self._first_port

    def versions_in_use(self, app_id: str) -> set[str]:
        """Those that may not be forgotten."""
        return {self.specs[app_id].version}

    def _keep(self, app_id: str, app: RunSpec | None) -> None:
        before = self.specs.pop(app_id, None)
        if before is not None:
            self.role_uses[before.role] -= 1
        if (before is None) is not (app is None):
            for path in ancestors(app_id):
                self.within[path] += 1 if app is not None else -1
        self.apps.pop(app_id, None)
        self.pods.pop(app_id, None)
        self.per_agent.pop(app_id, None)
        for port in _service_ports(before):
            self._service_ports[port] -= 1
            if not self._service_ports[port]:
                del self._service_ports[port]
                self._first_port = max(self.settings.local_port_min, min(self._first_port, port))
        if app is not None:
            self.role_uses[app.role] += 1
            self.specs[app_id] = app
            if isinstance(app, App):
                self.apps[app_id] = app
                if app.per_agent:
                    self.per_agent[app_id] = None
            else:
                self.pods[app_id] = app
            self._last_version = max(self._last_version, app.version)
            for port in _service_ports(app):
                self._service_ports[port] = self._service_ports.get(port, 0) + 1

    def _prune(self, app_id: str) -> None:
        versions = self.versions[app_id]
        if len(versions) <= MAX_VERSIONS:
            return
        used = self.versions_in_use(app_id)
        oldest = next((version for version in sorted(versions) if version not in used), None)
        if oldest is not None:
            del versions[oldest]
            self.effects.append(Delete(repository.version_key(app_id, oldest)))


def _service_ports(run_spec: RunSpec | None) -> list[int]:
    return [one.service for one in run_spec.ports] if isinstance(run_spec, App) else []


def _successor(version: str) -> str:
    """One millisecond later."""
    return iso8601((datetime.fromisoformat(version) + timedelta(milliseconds=1)).timestamp())
