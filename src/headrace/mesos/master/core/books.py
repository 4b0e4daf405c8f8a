"""The master's books and its outbox: what every part of the core shares.

Parts (``frameworks``, ``agents``, ``offers``, ``tasks``, ``reconciliation``) read and change the
books and put effects into the outbox; ``core`` hands the outbox to the shell.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

import msgspec

from headrace.kernel.core import Delete, Effect, Stories
from headrace.mesos.master.allocator import Allocator
from headrace.mesos.master.allocator.allocator import MIN_ALLOCATABLE
from headrace.mesos.master.core import registry
from headrace.mesos.master.core.described import Described
from headrace.mesos.master.core.effects import SendToAgent, SendToFramework
from headrace.mesos.master.core.model import (
    MAX_COMPLETED_TASKS,
    Absent,
    Agent,
    Deactivation,
    Framework,
    Machine,
    MachineKey,
    Offer,
    Quota,
    Removal,
)
from headrace.mesos.master.core.offers_event import OffersEvent
from headrace.mesos.master.core.watchers import Watchers
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.agent_link import AgentEvent
from headrace.mesos.messages.common import MasterInfo
from headrace.mesos.messages.operator import Window
from headrace.mesos.resources import Resources


class Settings(msgspec.Struct, frozen=True):
    """How the master behaves; times in seconds.

    ``allocation_interval``: how long a declined resource is kept from the same framework at the least,
    so that one that declines with ``refuse_seconds: 0`` can't keep the master busy. ``removal_spacing``: the least
    time between two agents that become unreachable. ``recovery_removal_limit``: the greatest share of the agents
    of before a restart that may. ``registry_max_agent_age`` and ``_count``: how long and how many agents are
    remembered that are unreachable or were removed.
    """

    heartbeat_interval: float = 15.0
    agent_ping_timeout: float = 15.0
    max_agent_ping_timeouts: int = 5
    agent_reregister_timeout: float = 75.0
    allocation_interval: float = 0.5
    offer_timeout: float | None = None
    weights: dict[str, float] = {}
    min_allocatable: tuple[Resources, ...] = MIN_ALLOCATABLE
    max_completed_frameworks: int = 50
    max_completed_tasks: int = MAX_COMPLETED_TASKS
    max_unreachable_tasks: int = MAX_COMPLETED_TASKS
    removal_spacing: float = 0.0
    recovery_removal_limit: float = 1.0
    registry_gc_interval: float = 900.0
    registry_max_agent_age: float = 14 * 86400.0
    registry_max_agent_count: int = 102_400
    require_agent_domain: bool = False
    filter_gpus: bool = True

    @property
    def absence_timeout(self) -> float:
        """How long an agent whose stream has ended may be away."""
        return min(self.agent_reregister_timeout, self.agent_ping_timeout * self.max_agent_ping_timeouts)


class Books:
    """Everything that the master knows.

    ``removed`` are agents that may not come back under their id. ``absent`` are those that may:
    unreachable ones and, after a restart of the master, the ``awaited``, which have not registered again yet.
    ``machines`` are those in the maintenance ``schedule``. ``deactivated``: by agent id, whether it is here or not.
    ``emptied``: agents that are being drained and of which something has ended in this step.
    """

    def __init__(
        self, master: MasterInfo, settings: Settings, shuffle: Callable[[list[str]], None] | None = None
    ) -> None:
        self.master = master
        self.settings = settings
        self.started = 0.0
        self.frameworks: dict[str, Framework] = {}
        self.framework_streams: dict[str, Framework] = {}
        self.completed: deque[Framework] = deque(maxlen=settings.max_completed_frameworks)
        self.completed_ids: dict[str, None] = {}
        self.agents: dict[str, Agent] = {}
        self.agent_streams: dict[str, Agent] = {}
        self.agent_addresses: dict[tuple[str, int], Agent] = {}
        self.absent: dict[str, Absent] = {}
        self.awaited: set[str] = set()
        self.removed: dict[str, Removal] = {}
        self.deactivated: dict[str, Deactivation] = {}
        self.emptied: dict[str, None] = {}
        self.offers: dict[str, Offer] = {}
        self.quotas: dict[str, Quota] = {}
        self.weights: dict[str, float] = {}
        self.machines: dict[MachineKey, Machine] = {}
        self.schedule: tuple[Window, ...] = ()
        domain = master.domain.fault_domain if master.domain is not None else None
        self.allocator = Allocator(
            shuffle=shuffle,
            min_allocatable=settings.min_allocatable,
            filter_gpus=settings.filter_gpus,
            region=domain.region.name if domain is not None else None,
        )
        self.stories = Stories()
        self.counters: Counter[str] = Counter()
        self.next_framework = 0
        self.next_agent = 0
        self.next_offer = 0
        self._outbox: list[Effect] = []
        self.described = Described(self)
        self.watchers = Watchers(self.described, self.emit, settings.heartbeat_interval)

    def emit(self, *effects: Effect) -> None:
        """To be done, in this order."""
        self._outbox.extend(effects)

    def take_outbox(self) -> list[Effect]:
        """What is to be done since the last time."""
        outbox, self._outbox = self._outbox, []
        return outbox

    def send(self, framework: Framework, event: scheduler.Event | OffersEvent) -> None:
        """Send an event to a framework if it is connected."""
        if framework.stream is not None:
            framework.events[event.type] += 1
            self._outbox.append(SendToFramework(framework.stream, event))

    def tell(self, agent: Agent, event: AgentEvent) -> None:
        """Send an event to an agent if it is connected."""
        if agent.stream is not None:
            self._outbox.append(SendToAgent(agent.stream, event))

    def tell_all(self, frameworks: Iterable[Framework], event: scheduler.Event) -> None:
        """Send an event to several frameworks."""
        for framework in frameworks:
            self.send(framework, event)

    def forget_deactivation(self, agent_id: str) -> None:
        """The agent is reactivated, or it is no more."""
        if self.deactivated.pop(agent_id, None) is not None:
            self.emit(Delete(registry.DEACTIVATED + agent_id))

    def story(self, subject: str, now: float, what: str, why: str = "") -> None:
        """Note a decision; subjects are ``framework/<id>``, ``agent/<id>``, ``role/<name>``, ``machine/<name>``,
        ``task/<framework>/<id>`` and ``operation/<framework>/<id>``.
        """
        self.stories.tell(subject, now, what, why)
