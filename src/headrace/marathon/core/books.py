"""What is so: apps, their versions and instances, and what is to be done about it.

The books are changed through their methods only, which note what has to be stored and which apps
were touched. Touched apps are looked at again at the end of each event (``core.MarathonCore``),
so nobody has to know who else cares about a change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from headrace.kernel.clock import iso8601
from headrace.kernel.core import CancelTimer, Delete, Effect, Put, SetTimer, Stories
from headrace.kernel.ids import IdSource
from headrace.marathon import repository
from headrace.marathon.core.backoff import Delay
from headrace.marathon.core.constraints import Spread
from headrace.marathon.core.events import Publish, SendCall
from headrace.marathon.core.leftovers import Leftovers
from headrace.marathon.core.past import Past
from headrace.marathon.core.records import TERMINAL, Change, Condition, Failure, Goal, Instance, Leftover, LocalVolume
from headrace.marathon.definitions import run_spec as definitions
from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.group import Group
from headrace.marathon.definitions.paths import ancestors, safe
from headrace.marathon.definitions.pod import Pod
from headrace.marathon.definitions.run_spec import RunSpec
from headrace.mesos.messages.scheduler import Call

MAX_VERSIONS = 50
"""So many definitions of an app are kept, besides those that instances still run."""


class Settings(msgspec.Struct, frozen=True):
    """What the flags say; times in seconds."""

    role: str = "*"
    env_prefix: str = ""
    features: frozenset[str] = frozenset()
    default_network_name: str | None = None
    mesos_bridge_name: str = "mesos-bridge"
    new_group_enforce_role: str = "off"
    secrets_dir: str | None = None
    local_port_min: int = 10_000
    local_port_max: int = 20_000
    task_launch_timeout: float = 300.0
    task_launch_confirm_timeout: float = 300.0
    task_reservation_timeout: float = 20.0
    task_lost_expunge_initial_delay: float = 0.0
    task_lost_expunge_interval: float = 30.0
    reconciliation_initial_delay: float = 15.0
    reconciliation_interval: float = 600.0
    scale_apps_initial_delay: float = 15.0
    scale_apps_interval: float = 300.0
    decline_offer_duration: float = 120.0
    min_revive_offers_interval: float = 0.1
    suppress_offers: bool = True
    max_instances_per_offer: int = 5
    max_running_deployments: int = 100
    kill_retry_interval: float = 30.0
    accepted_resource_roles_default_behavior: str = "any"
    maintenance_mode: bool = True
    draining_seconds: float = 0.0
    gpu_scheduling_behavior: str = "restricted"
    principal: str | None = None


class Books:
    """The state of all parts, and the effects of the present event."""

    def __init__(
        self, content: repository.Content, settings: Settings, ids: IdSource, randrange: Callable[[int], int]
    ) -> None:
        self.settings = settings
        self.ids = ids
        self.randrange = randrange
        self.stories = Stories()
        self.effects: list[Effect] = []
        self.touched: dict[str, None] = {}
        self.framework_id = content.framework_id
        self.connected = False
        self.home_region: str | None = None
        """The master's; offers of other regions are for those who ask for them."""
        self.role_uses: Counter[str] = Counter([settings.role])
        """How many things there are of a role: Marathon itself, apps and pods, instances."""
        self.leftovers = Leftovers(content.leftovers)
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
        self.past = Past(content.past_deployments, content.past_instances, lambda effect: self.effects.append(effect))
        self.instances: dict[str, Instance] = {}
        self._of_app: dict[str, dict[str, Instance]] = {}
        self._service_ports: dict[int, int] = {}
        self._first_port = settings.local_port_min
        self._spreads: dict[str, tuple[str, Spread]] = {}
        self._last_version = ""
        for app_id, version in content.apps.items():
            self._keep(app_id, content.versions[app_id][version])
        for instance in content.instances:
            self.instances[instance.id] = instance
            self._of_app.setdefault(instance.app_id, {})[instance.id] = instance
            if not instance.role:
                definition = self.definition(instance)
                instance.role = definition.role if definition is not None else settings.role
            self.role_uses[instance.role] += 1

    # apps

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
        self._spreads.pop(app_id, None)
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

    def over(
        self, instance: Instance, now: float, state: str, condition: Condition, reason: str = "", message: str = ""
    ) -> None:
        """The instance's task is no more: remember how that came."""
        self.past.instance_over(
            instance,
            self.framework_id or "",
            now,
            state=state,
            condition=condition,
            reason=reason,
            message=message,
        )

    def definition(self, instance: Instance) -> RunSpec | None:
        """What the instance runs; None if the app is no more."""
        return self.versions.get(instance.app_id, {}).get(instance.version)

    def port_taken(self, port: int) -> bool:
        """Whether an app has this service port."""
        return port in self._service_ports

    def first_port(self) -> int:
        """The lowest service port to give away that no app has."""
        while self._first_port in self._service_ports:  # so that each number is looked at once
            self._first_port += 1
        return self._first_port

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
        used = {one.version for one in self.of_app(app_id)} | {self.specs[app_id].version}
        oldest = next((version for version in sorted(versions) if version not in used), None)
        if oldest is not None:
            del versions[oldest]
            self.effects.append(Delete(repository.version_key(app_id, oldest)))

    # instances

    def of_app(self, app_id: str) -> Iterable[Instance]:
        """All instances of an app, oldest first."""
        return self._of_app.get(app_id, {}).values()

    def size(self, app_id: str) -> int:
        """How many instances of an app there are, whatever becomes of them."""
        return len(self._of_app.get(app_id, {}))

    def count(self, app_id: str) -> int:
        """How many instances of an app are wanted to run."""
        return sum(one.wanted for one in self.of_app(app_id))

    def spread(self, app: RunSpec) -> Spread:
        """Where the placed instances of the app's present configuration are, by the fields that it constrains.

        Those with volumes count in any configuration, and while they have no task, as they come back to their place.
        """
        config, spread = self._spreads.get(app.id, ("", None))
        if spread is None or config != app.config_version:
            spread = Spread(app.constraints)
            for one in self.of_app(app.id) if app.constraints else ():
                if one.place and (one.home or one.config_version == app.config_version):
                    spread.add(one.place)
            self._spreads[app.id] = (app.config_version, spread)
        return spread

    def placed(self, instance: Instance, place: dict[str, str]) -> None:
        """The instance has this place from now on; an empty one is none."""
        config, spread = self._spreads.get(instance.app_id, ("", None))
        if spread is not None and (instance.home or config == instance.config_version):
            if instance.place:
                spread.remove(instance.place)
            if place:
                spread.add(place)
        instance.place = place

    def schedule(self, app: RunSpec, now: float) -> Instance:
        """A new instance of ``app``, to be launched."""
        instance = Instance(f"{safe(app.id)}.instance-{self.ids()}", app.id, app.version, app.config_version, now)
        self.instances[instance.id] = instance
        self._of_app.setdefault(app.id, {})[instance.id] = instance
        self._set_role(instance, app.role)
        self.condition(instance, Condition.SCHEDULED, now)
        return instance

    def _set_role(self, instance: Instance, role: str) -> None:
        if instance.role:
            self.role_uses[instance.role] -= 1
        if role:
            self.role_uses[role] += 1
        instance.role = role

    def settle(self, instance: Instance, agent_id: str, lease: str, volumes: list[LocalVolume]) -> None:
        """The instance gets volumes on this agent, and stays there from now on."""
        instance.home, instance.lease, instance.volumes, instance.settled = agent_id, lease, volumes, False

    def unsettle(self, instance: Instance, *, gone: bool = False) -> None:
        """The instance gives its volumes up; what is reserved is undone when offered; not if its agent is gone."""
        if not instance.home:
            return
        if not gone:
            self.effects += self.leftovers.add(Leftover(instance.lease, instance.id, instance.home, instance.role))
        self.placed(instance, {})
        instance.home, instance.lease, instance.volumes, instance.settled = "", "", [], False

    @property
    def roles(self) -> list[str]:
        """All roles that offers may be needed for."""
        return sorted(
            {role for uses in (self.role_uses, self.leftovers.roles) for role, count in uses.items() if count}
        )

    def renew(self, instance: Instance, app: RunSpec) -> None:
        """An instance without a task is one of this version from now on."""
        instance.version, instance.config_version = app.version, app.config_version
        if not instance.home:
            self._set_role(instance, app.role)

    def resume(self, instance: Instance, app: RunSpec, now: float) -> None:
        """A stopped instance is to run again; at once, or when its task has ended."""
        instance.goal = Goal.RUNNING
        if instance.condition is Condition.SCHEDULED:
            self.renew(instance, app)
            instance.state = ""
        self.condition(instance, instance.condition, now)

    def condition(self, instance: Instance, condition: Condition, now: float) -> None:
        """The instance is in this condition; stored, published, and its app looked at again."""
        if instance.condition is not condition:
            instance.since = now
        instance.condition = condition
        self.save(instance)
        self.publish(
            "instance_changed_event",
            instanceId=instance.id,
            condition=condition.value,
            runSpecId=instance.app_id,
            agentId=instance.agent_id or None,
            host=instance.host,
            runSpecVersion=instance.version,
        )

    def save(self, instance: Instance) -> None:
        """Store the instance as it is now."""
        self.effects.append(Put(repository.instance_key(instance.id), msgspec.json.encode(instance)))
        self.touch(instance.app_id)

    def again(self, instance: Instance, app: RunSpec, now: float) -> None:
        """The instance's task has ended and it is to run on: its next incarnation waits for an offer.

        One with volumes stays where it is, and keeps its role; a stopped one waits for nothing.
        """
        instance.incarnation += 1
        if not instance.home:
            self.placed(instance, {})
            if not app.per_agent:  # else it waits for its own agent
                instance.agent_id = instance.host = ""
            instance.ports = []
        if instance.goal is not Goal.STOPPED:
            instance.state = ""
        self.renew(instance, app)
        instance.ip_addresses, instance.health = [], []
        instance.staged_at = instance.started_at = None
        instance.ready = False
        instance.containers = {}
        instance.cause, instance.cause_text = None, ""
        instance.pre_stop = instance.pre_stop_until = None
        self.condition(instance, Condition.SCHEDULED, now)

    def forget(self, instance: Instance) -> None:
        """The instance is no more, and what was reserved for it is undone."""
        self.unsettle(instance)
        self.placed(instance, {})
        self._set_role(instance, "")
        self.instances.pop(instance.id, None)
        siblings = self._of_app.get(instance.app_id, {})
        siblings.pop(instance.id, None)
        if not siblings:
            self._of_app.pop(instance.app_id, None)
        self.stories.forget(instance.id)
        self.effects.append(Delete(repository.instance_key(instance.id)))
        self.touch(instance.app_id)

    def record_failure(self, instance: Instance, state: str, message: str, now: float) -> None:
        """How the app's task failed last, for people to see."""
        if instance.app_id not in self.specs:
            return
        failure = Failure(
            instance.app_id,
            instance.host,
            message[:10_000],
            state,
            instance.task_id,
            iso8601(now),
            instance.version,
            instance.agent_id or None,
        )
        self.failures[instance.app_id] = failure
        self.effects.append(Put(repository.failure_key(instance.app_id), msgspec.json.encode(failure)))

    # effects

    def touch(self, app_id: str) -> None:
        """Look at this app again before the event is over."""
        self.touched[app_id] = None

    def call(self, call: Call) -> None:
        """Say this to the master."""
        self.effects.append(SendCall(call))

    def publish(self, kind: str, **fields: Any) -> None:
        """Tell the readers of the event stream."""
        self.effects.append(Publish(kind, fields))

    def wake(self, key: str, at: float) -> None:
        self.effects.append(SetTimer(key, at))

    def no_wake(self, key: str) -> None:
        self.effects.append(CancelTimer(key))

    def tell(self, subject: str, now: float, what: str, why: str = "") -> None:
        """Note a decision for people who ask why."""
        self.stories.tell(subject, now, what, why)

    def validate(self) -> None:
        """Assert what must always hold; for tests."""
        for instance in self.instances.values():
            assert self._of_app[instance.app_id][instance.id] is instance, instance  # noqa: S101
            assert instance.condition not in TERMINAL, instance  # noqa: S101
            assert instance.goal is not Goal.DECOMMISSIONED or instance.has_task, instance  # noqa: S101
            assert bool(instance.home) is bool(instance.volumes), instance  # noqa: S101
            assert instance.goal is not Goal.STOPPED or instance.home, instance  # noqa: S101
        roles = [self.settings.role, *(one.role for one in self.specs.values())]
        assert Counter([*roles, *(one.role for one in self.instances.values())]) == +self.role_uses  # noqa: S101
        self.leftovers.validate()
        for app_id, (config, spread) in self._spreads.items():
            there = Spread(spread.constraints)
            for instance in self.of_app(app_id):
                if instance.place and (instance.home or instance.config_version == config):
                    there.add(instance.place)
            assert spread.tallies == there.tallies, (app_id, config)  # noqa: S101


def _service_ports(run_spec: RunSpec | None) -> list[int]:
    return [one.service for one in run_spec.ports] if isinstance(run_spec, App) else []


def _successor(version: str) -> str:
    """One millisecond later, without a calendar: versions only have to grow and stay unique."""
    seconds, millis = version[:-5], int(version[-4:-1]) + 1
    if millis < 1000:
        return f"{seconds}.{millis:03d}Z"
    from_parts = [int(part) for part in version[11:19].split(":")]
    total = from_parts[0] * 3600 + from_parts[1] * 60 + from_parts[2] + 1
    if total >= 86_400:
        return f"{version[:10]}T23:59:60.000Z"
    return f"{version[:10]}T{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}.000Z"
