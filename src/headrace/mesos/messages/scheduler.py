"""The scheduler API: calls of a framework, events from the master.

POST /api/v1/scheduler; SUBSCRIBE answers with a RecordIO stream of events, every other call with 202.
"""

from __future__ import annotations

from typing import Any

from headrace.mesos.messages.common import (
    AgentID,
    ExecutorID,
    ExecutorInfo,
    Filters,
    FrameworkID,
    FrameworkInfo,
    Identifier,
    Int64,
    InverseOffer,
    KillPolicy,
    MasterInfo,
    Message,
    Offer,
    OfferID,
    OperationID,
    OperationStatus,
    Resource,
    Scalar,
    TaskGroupInfo,
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


class LaunchGroup(Message, frozen=True):
    """Start tasks together, in one executor."""

    executor: ExecutorInfo
    task_group: TaskGroupInfo


class Reserve(Message, frozen=True):
    """Make ``resources`` (as they are to be) of what is offered; ``source``: as they are, if that is not plain."""

    resources: list[Resource] | None = None
    source: list[Resource] | None = None


class Unreserve(Message, frozen=True):
    """Take the innermost reservation off these resources."""

    resources: list[Resource] | None = None


class Volumes(Message, frozen=True):
    """The body of CREATE and DESTROY."""

    volumes: list[Resource] | None = None


class GrowVolume(Message, frozen=True):
    volume: Resource
    addition: Resource


class ShrinkVolume(Message, frozen=True):
    """``subtract`` in MiB."""

    volume: Resource
    subtract: Scalar


class Operation(Message, frozen=True):
    """One thing to do with accepted resources; ``type`` says which body counts."""

    type: str | None = None
    id: OperationID | None = None
    launch: Launch | None = None
    launch_group: LaunchGroup | None = None
    reserve: Reserve | None = None
    unreserve: Unreserve | None = None
    create: Volumes | None = None
    destroy: Volumes | None = None
    grow_volume: GrowVolume | None = None
    shrink_volume: ShrinkVolume | None = None
    create_disk: dict[str, Any] | None = None
    destroy_disk: dict[str, Any] | None = None


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


class ExecutorMessage(Message, frozen=True):
    """Bytes (base64) between a framework and one of its executors; may be lost."""

    agent_id: AgentID
    executor_id: ExecutorID
    data: str


class ResourceRequest(Message, frozen=True):
    agent_id: AgentID | None = None
    resources: list[Resource] | None = None


class Request(Message, frozen=True):
    requests: list[ResourceRequest] | None = None


class InverseAnswer(Message, frozen=True):
    """The body of ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS."""

    inverse_offer_ids: list[OfferID] | None = None
    filters: Filters | None = None


class AcknowledgeOperation(Message, frozen=True):
    """``uuid`` is base64."""

    uuid: str
    operation_id: OperationID
    agent_id: AgentID | None = None
    resource_provider_id: Identifier | None = None


class ReconcileOperation(Message, frozen=True):
    operation_id: OperationID
    agent_id: AgentID | None = None
    resource_provider_id: Identifier | None = None


class ReconcileOperations(Message, frozen=True):
    """No operations: tell all that the master knows."""

    operations: list[ReconcileOperation] | None = None


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
    message: ExecutorMessage | None = None
    request: Request | None = None
    accept_inverse_offers: InverseAnswer | None = None
    decline_inverse_offers: InverseAnswer | None = None
    acknowledge_operation_status: AcknowledgeOperation | None = None
    reconcile_operations: ReconcileOperations | None = None


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
    status: Int64 | None = None


class InverseOffers(Message, frozen=True):
    inverse_offers: list[InverseOffer]


class RescindInverse(Message, frozen=True):
    inverse_offer_id: OfferID


class UpdateOperationStatus(Message, frozen=True):
    status: OperationStatus


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
    message: ExecutorMessage | None = None
    inverse_offers: InverseOffers | None = None
    rescind_inverse_offer: RescindInverse | None = None
    update_operation_status: UpdateOperationStatus | None = None
