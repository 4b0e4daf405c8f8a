"""The master's books and its outbox: what every part of the core shares.

Parts (``frameworks``, ``agents``, ``offers``, ``tasks``, ``reconciliation``) read and change the
books and put effects into the outbox; ``core`` hands the outbox to the shell.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable

import msgspec

from headrace.kernel.core import Effect, Stories
from headrace.mesos.master.allocator import Allocator
from headrace.mesos.master.effects import OffersEvent, SendToAgent, SendToFramework
from headrace.mesos.master.model import Absent, Agent, Framework, Offer
from headrace.mesos.messages import scheduler
from headrace.mesos.messages.agent_link import AgentEvent
from headrace.mesos.messages.common import MasterInfo

MAX_COMPLETED_FRAMEWORKS = 50


class Settings(msgspec.Struct, frozen=True):
    """How the master behaves; times in seconds.

    ``allocation_interval``: how long a declined resource is kept from the same framework at the least,
    so that one that declines with ``refuse_seconds: 0`` can't keep the master busy.
    """

    heartbeat_interval: float = 15.0
    agent_ping_timeout: float = 15.0
    max_agent_ping_timeouts: int = 5
    agent_reregister_timeout: float = 75.0
    allocation_interval: float = 0.5
    offer_timeout: float | None = None
    weights: dict[str, float] = {}


class Books:
    """Everything that the master knows.

    ``removed`` are agents that may not come back under their id. ``absent`` are those that may:
    unreachable ones and, after a restart of the master, the ``awaited``, which have not registered again yet.
    """

    def __init__(
        self, master: MasterInfo, settings: Settings, shuffle: Callable[[list[str]], None] | None = None
    ) -> None:
        self.master = master
        self.settings = settings
        self.started = 0.0
        self.frameworks: dict[str, Framework] = {}
        self.framework_streams: dict[str, Framework] = {}
        self.completed: deque[Framework] = deque(maxlen=MAX_COMPLETED_FRAMEWORKS)
        self.completed_ids: dict[str, None] = {}
        self.agents: dict[str, Agent] = {}
        self.agent_streams: dict[str, Agent] = {}
        self.agent_addresses: dict[tuple[str, int], Agent] = {}
        self.absent: dict[str, Absent] = {}
        self.awaited: set[str] = set()
        self.removed: dict[str, None] = {}
        self.offers: dict[str, Offer] = {}
        self.allocator = Allocator(shuffle=shuffle)
        self.stories = Stories()
        self.counters: Counter[str] = Counter()
        self.next_framework = 0
        self.next_agent = 0
        self.next_offer = 0
        self._outbox: list[Effect] = []

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

    def story(self, subject: str, now: float, what: str, why: str = "") -> None:
        """Note a decision; subjects are ``framework/<id>``, ``agent/<id>`` and ``task/<framework>/<id>``."""
        self.stories.tell(subject, now, what, why)
