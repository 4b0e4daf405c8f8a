"""What is to be done because of the present event, and whom it has touched."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from headrace.kernel.core import CancelTimer, Effect, SetTimer, Stories
from headrace.marathon.core.events import Publish, SendCall
from headrace.mesos.messages.scheduler import Call


class Outbox:
    """The effects in their order, and the apps that are looked at again before the event is over."""

    def __init__(self) -> None:
        self.stories = Stories()
        self.effects: list[Effect] = []
        self.touched: OrderedDict[str, None] = OrderedDict()

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
