"""The scheduler API: calls of a framework, events from the master.

POST /api/v1/scheduler; SUBSCRIBE answers with a RecordIO stream of events, every other call with 202.
"""

from __future__ import annotations

from typing import Any

from headrace.mesos.messages.common import (
    AgentID,
    ExecutorID,
    Filters,
    FrameworkID,
    FrameworkInfo,
    KillPolicy,
    MasterInfo,
    Message,
    Offer,
    OfferID,
    TaskID,
    TaskInfo,
    TaskStatus,
)


class Subscribe(Message, frozen=True):
    framework_info: FrameworkInfo
    force: bool | None = None
    suppressed_roles: list[str] | None = None
    offer_constraints: dict[str, Any] | None = None


class Launch(Message, frozen=True):
    task_infos: list[TaskInfo] | None = None


class Operation(Message, frozen=True):
    """One thing to do with accepted resources; ``type`` says which body counts."""

    type: str | None = None
    id: dict[str, Any] | None = None
    launch: Launch | None = None
    launch_group: dict[str, Any] | None = None
    reserve: dict[str, Any] | None = None
    unreserve: dict[str, Any] | None = None
    create: dict[str, Any] | None = None
    destroy: dict[str, Any] | None = None


class Accept(Message, frozen=True):
    offer_ids: list[OfferID] | None = None
    operations: list[Operation] | None = None
    filters: Filters | None = None


class Decline(Message, frozen=True):
    offer_ids: list[OfferID] | None = None
    filters: Filters | None = None


class Roles(Message, frozen=True):
    """The body of REVIVE and SUPPRESS: no roles means all of the framework's."""

    role: str | None = None
    roles: list[str] | None = None


class Kill(Message, frozen=True):
    task_id: TaskID
    agent_id: AgentID | None = None
    kill_policy: KillPolicy | None = None


class Acknowledge(Message, frozen=True):
    agent_id: AgentID
    task_id: TaskID
    uuid: str


class ReconcileTask(Message, frozen=True):
    task_id: TaskID
    agent_id: AgentID | None = None


class Reconcile(Message, frozen=True):
    """No tasks: tell all that the master knows (implicit reconciliation)."""

    tasks: list[ReconcileTask] | None = None


class UpdateFramework(Message, frozen=True):
    """What the framework is from now on; answered 200 when it is so."""

    framework_info: FrameworkInfo
    suppressed_roles: list[str] | None = None
    offer_constraints: dict[str, Any] | None = None


class Shutdown(Message, frozen=True):
    """End an executor and all that it runs."""

    executor_id: ExecutorID
    agent_id: AgentID


class Call(Message, frozen=True):
    """What a framework says; ``type`` says which body counts."""

    type: str | None = None
    framework_id: FrameworkID | None = None
    subscribe: Subscribe | None = None
    accept: Accept | None = None
    decline: Decline | None = None
    revive: Roles | None = None
    suppress: Roles | None = None
    kill: Kill | None = None
    acknowledge: Acknowledge | None = None
    reconcile: Reconcile | None = None
    update_framework: UpdateFramework | None = None
    shutdown: Shutdown | None = None
    message: dict[str, Any] | None = None
    request: dict[str, Any] | None = None
    accept_inverse_offers: dict[str, Any] | None = None
    decline_inverse_offers: dict[str, Any] | None = None
    acknowledge_operation_status: dict[str, Any] | None = None
    reconcile_operations: dict[str, Any] | None = None


class Subscribed(Message, frozen=True):
    framework_id: FrameworkID
    heartbeat_interval_seconds: float | None = None
    master_info: MasterInfo | None = None


class Offers(Message, frozen=True):
    offers: list[Offer]


class Rescind(Message, frozen=True):
    offer_id: OfferID


class Update(Message, frozen=True):
    status: TaskStatus


class Failure(Message, frozen=True):
    """An agent (or an executor on it) is gone."""

    agent_id: AgentID | None = None
    executor_id: ExecutorID | None = None
    status: int | None = None


class Error(Message, frozen=True):
    message: str


class Event(Message, frozen=True):
    """What the master says; ``type`` says which body counts."""

    type: str
    subscribed: Subscribed | None = None
    offers: Offers | None = None
    rescind: Rescind | None = None
    update: Update | None = None
    failure: Failure | None = None
    error: Error | None = None
