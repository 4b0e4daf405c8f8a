"""What is so: apps, their versions and instances, and what is to be done about it.

The books are changed through their methods only, which note what has to be stored and which apps
were touched. Touched apps are looked at again at the end of each event (``core.MarathonCore``),
so nobody has to know who else cares about a change. Definitions are in ``catalog``, effects in ``outbox``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from headrace.kernel.clock import iso8601
from headrace.kernel.core import Delete, Put
from headrace.kernel.ids import IdSource
from headrace.marathon import repository
from headrace.marathon.core.catalog import Catalog
from headrace.marathon.core.constraints import Spread
from headrace.marathon.core.leftovers import Leftovers
from headrace.marathon.core.past import Past
from headrace.marathon.core.records import TERMINAL, Condition, Failure, Goal, Instance, Leftover, LocalVolume
from headrace.marathon.core.settings import Settings
from headrace.marathon.definitions.paths import safe
from headrace.marathon.definitions.run_spec import RunSpec


class Books(Catalog):
    """The definitions, and the instances."""

    def __init__(
        self, content: repository.Content, settings: Settings, ids: IdSource, randrange: Callable[[int], int]
    ) -> None:
        super().__init__(content, settings)
        self.ids = ids
        self.randrange = randrange
        self.framework_id = content.framework_id
        self.connected = False
        self.home_region: str | None = None
        """The master's; offers of other regions are for those who ask for them."""
        self.leftovers = Leftovers(content.leftovers)
        self.put_off: dict[str, RunSpec | None] = {}
        """What apps were before a deployment in which their turn has not come; it decides until then."""
        self.past = Past(content.past_deployments, content.past_instances, lambda effect: self.effects.append(effect))
        self.instances: dict[str, Instance] = {}
        self._of_app: dict[str, dict[str, Instance]] = {}
        self._spreads: dict[str, tuple[str, Spread]] = {}
        for instance in content.instances:
            self.instances[instance.id] = instance
            self._of_app.setdefault(instance.app_id, {})[instance.id] = instance
            if not instance.role:
                definition = self.definition(instance)
                instance.role = definition.role if definition is not None else settings.role
            self.role_uses[instance.role] += 1

    def drop_app(self, app_id: str) -> None:
        """The app is no more; its instances are not touched."""
        self._spreads.pop(app_id, None)
        super().drop_app(app_id)

    def versions_in_use(self, app_id: str) -> set[str]:
        return {one.version for one in self.of_app(app_id)} | super().versions_in_use(app_id)

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

    def next_definition(self, instance: Instance) -> RunSpec | None:
        """What the instance is launched as: until its app's turn comes, what it is; None if the app is no more."""
        app = self.specs.get(instance.app_id)
        if app is None or instance.app_id not in self.put_off:
            return app
        return self.definition(instance) or app

    def in_force(self, app_id: str) -> RunSpec | None:
        """What a new instance is made from; None if there may be none yet, as the app's turn has not come."""
        if app_id not in self.put_off:
            return self.specs.get(app_id)
        newest = max(self.of_app(app_id), key=lambda one: one.version, default=None)
        return (self.definition(newest) if newest is not None else None) or self.put_off[app_id]

    def wait_for_turn(self, app_id: str, before: RunSpec | None) -> None:
        """The app has changed, and its instances stay what they are until ``turn_comes``."""
        self.put_off[app_id] = before
        self.touch(app_id)

    def turn_comes(self, app_id: str) -> None:
        """What the app is now decides about its instances."""
        if app_id in self.put_off:
            del self.put_off[app_id]
            self.touch(app_id)

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
        instance.ip_addresses, instance.health, instance.check = [], [], {}
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
