"""The scheduler API: calls of a framework, events from the master.

POST /api/v1/scheduler; SUBSCRIBE answers with a RecordIO stream of events, every other call with 202.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Base64, Enum, Int32
from headrace.mesos.messages.common import (
    AgentID,
    DiskType,
    ExecutorID,
    ExecutorInfo,
    Filters,
    FrameworkID,
    FrameworkInfo,
    Identifier,
    InverseOffer,
    KillPolicy,
    MasterInfo,
    Message,
    Offer,
    OfferConstraints,
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
    framework_info: Annotated[FrameworkInfo, 1]
    suppressed_roles: Annotated[list[str] | None, 2] = None
    offer_constraints: Annotated[OfferConstraints | None, 3] = None


class Launch(Message, frozen=True):
    task_infos: Annotated[list[TaskInfo] | None, 1] = None


class LaunchGroup(Message, frozen=True):
    """Start tasks together, in one executor."""

    executor: Annotated[ExecutorInfo, 1]
    task_group: Annotated[TaskGroupInfo, 2]


class Reserve(Message, frozen=True):
    """Make ``resources`` (as they are to be) of what is offered; ``source``: as they are, if that is not plain."""

    resources: Annotated[list[Resource] | None, 1] = None
    source: Annotated[list[Resource] | None, 2] = None


class Unreserve(Message, frozen=True):
    """Take the innermost reservation off these resources."""

    resources: Annotated[list[Resource] | None, 1] = None


class Volumes(Message, frozen=True):
    """The body of CREATE and DESTROY."""

    volumes: Annotated[list[Resource] | None, 1] = None


class GrowVolume(Message, frozen=True):
    volume: Annotated[Resource, 1]
    addition: Annotated[Resource, 2]


class ShrinkVolume(Message, frozen=True):
    """``subtract`` in MiB."""

    volume: Annotated[Resource, 1]
    subtract: Annotated[Scalar, 2]


class CreateDisk(Message, frozen=True):
    """Make a disk of type MOUNT or BLOCK of a RAW one."""

    source: Annotated[Resource, 1]
    target_type: Annotated[DiskType, 2]
    target_profile: Annotated[str | None, 3] = None


class DestroyDisk(Message, frozen=True):
    source: Annotated[Resource, 1]


OperationType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        LAUNCH=1,
        LAUNCH_GROUP=6,
        RESERVE=2,
        UNRESERVE=3,
        CREATE=4,
        DESTROY=5,
        GROW_VOLUME=11,
        SHRINK_VOLUME=12,
        CREATE_DISK=13,
        DESTROY_DISK=14,
    ),
]


class Operation(Message, frozen=True):
    """One thing to do with accepted resources; ``type`` says which body counts."""

    type: Annotated[OperationType | None, 1] = None
    id: Annotated[OperationID | None, 12] = None
    launch: Annotated[Launch | None, 2] = None
    launch_group: Annotated[LaunchGroup | None, 7] = None
    reserve: Annotated[Reserve | None, 3] = None
    unreserve: Annotated[Unreserve | None, 4] = None
    create: Annotated[Volumes | None, 5] = None
    destroy: Annotated[Volumes | None, 6] = None
    grow_volume: Annotated[GrowVolume | None, 13] = None
    shrink_volume: Annotated[ShrinkVolume | None, 14] = None
    create_disk: Annotated[CreateDisk | None, 15] = None
    destroy_disk: Annotated[DestroyDisk | None, 16] = None


class Accept(Message, frozen=True):
    offer_ids: Annotated[list[OfferID] | None, 1] = None
    operations: Annotated[list[Operation] | None, 2] = None
    filters: Annotated[Filters | None, 3] = None


class Decline(Message, frozen=True):
    offer_ids: Annotated[list[OfferID] | None, 1] = None
    filters: Annotated[Filters | None, 2] = None


class Roles(Message, frozen=True):
    """The body of REVIVE and SUPPRESS: no roles means all of the framework's."""

    roles: Annotated[list[str] | None, 1] = None


class Kill(Message, frozen=True):
    task_id: Annotated[TaskID, 1]
    agent_id: Annotated[AgentID | None, 2] = None
    kill_policy: Annotated[KillPolicy | None, 3] = None


class Acknowledge(Message, frozen=True):
    agent_id: Annotated[AgentID, 1]
    task_id: Annotated[TaskID, 2]
    uuid: Annotated[Base64, 3]


class ReconcileTask(Message, frozen=True):
    task_id: Annotated[TaskID, 1]
    agent_id: Annotated[AgentID | None, 2] = None


class Reconcile(Message, frozen=True):
    """No tasks: tell all that the master knows (implicit reconciliation)."""

    tasks: Annotated[list[ReconcileTask] | None, 1] = None


class UpdateFramework(Message, frozen=True):
    """What the framework is from now on; answered 200 when it is so."""

    framework_info: Annotated[FrameworkInfo, 1]
    suppressed_roles: Annotated[list[str] | None, 2] = None
    offer_constraints: Annotated[OfferConstraints | None, 3] = None


class Shutdown(Message, frozen=True):
    """End an executor and all that it runs."""

    executor_id: Annotated[ExecutorID, 1]
    agent_id: Annotated[AgentID, 2]


class ExecutorMessage(Message, frozen=True):
    """Bytes (base64) between a framework and one of its executors; may be lost."""

    agent_id: Annotated[AgentID, 1]
    executor_id: Annotated[ExecutorID, 2]
    data: Annotated[Base64, 3]


class ResourceRequest(Message, frozen=True):
    agent_id: Annotated[AgentID | None, 1] = None
    resources: Annotated[list[Resource] | None, 2] = None


class Request(Message, frozen=True):
    requests: Annotated[list[ResourceRequest] | None, 1] = None


class InverseAnswer(Message, frozen=True):
    """The body of ACCEPT_INVERSE_OFFERS and DECLINE_INVERSE_OFFERS."""

    inverse_offer_ids: Annotated[list[OfferID] | None, 1] = None
    filters: Annotated[Filters | None, 2] = None


class AcknowledgeOperation(Message, frozen=True):
    """``uuid`` is base64."""

    uuid: Annotated[Base64, 3]
    operation_id: Annotated[OperationID, 4]
    agent_id: Annotated[AgentID | None, 1] = None
    resource_provider_id: Annotated[Identifier | None, 2] = None


class ReconcileOperation(Message, frozen=True):
    operation_id: Annotated[OperationID, 1]
    agent_id: Annotated[AgentID | None, 2] = None
    resource_provider_id: Annotated[Identifier | None, 3] = None


class ReconcileOperations(Message, frozen=True):
    """No operations: tell all that the master knows."""

    operations: Annotated[list[ReconcileOperation] | None, 1] = None


CallType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        SUBSCRIBE=1,
        TEARDOWN=2,
        ACCEPT=3,
        DECLINE=4,
        ACCEPT_INVERSE_OFFERS=13,
        DECLINE_INVERSE_OFFERS=14,
        REVIVE=5,
        KILL=6,
        SHUTDOWN=7,
        ACKNOWLEDGE=8,
        ACKNOWLEDGE_OPERATION_STATUS=15,
        RECONCILE=9,
        RECONCILE_OPERATIONS=16,
        MESSAGE=10,
        REQUEST=11,
        SUPPRESS=12,
        UPDATE_FRAMEWORK=17,
    ),
]


class Call(Message, frozen=True):
    """What a framework says; ``type`` says which body counts."""

    type: Annotated[CallType | None, 2] = None
    framework_id: Annotated[FrameworkID | None, 1] = None
    subscribe: Annotated[Subscribe | None, 3] = None
    accept: Annotated[Accept | None, 4] = None
    decline: Annotated[Decline | None, 5] = None
    revive: Annotated[Roles | None, 15] = None
    suppress: Annotated[Roles | None, 16] = None
    kill: Annotated[Kill | None, 6] = None
    acknowledge: Annotated[Acknowledge | None, 8] = None
    reconcile: Annotated[Reconcile | None, 9] = None
    update_framework: Annotated[UpdateFramework | None, 19] = None
    shutdown: Annotated[Shutdown | None, 7] = None
    message: Annotated[ExecutorMessage | None, 10] = None
    request: Annotated[Request | None, 11] = None
    accept_inverse_offers: Annotated[InverseAnswer | None, 13] = None
    decline_inverse_offers: Annotated[InverseAnswer | None, 14] = None
    acknowledge_operation_status: Annotated[AcknowledgeOperation | None, 17] = None
    reconcile_operations: Annotated[ReconcileOperations | None, 18] = None


class Subscribed(Message, frozen=True):
    framework_id: Annotated[FrameworkID, 1]
    heartbeat_interval_seconds: Annotated[float | None, 2] = None
    master_info: Annotated[MasterInfo | None, 3] = None


class Offers(Message, frozen=True):
    offers: Annotated[list[Offer], 1]


class Rescind(Message, frozen=True):
    offer_id: Annotated[OfferID, 1]


class Update(Message, frozen=True):
    status: Annotated[TaskStatus, 1]


class Failure(Message, frozen=True):
    """An agent (or an executor on it) is gone."""

    agent_id: Annotated[AgentID | None, 1] = None
    executor_id: Annotated[ExecutorID | None, 2] = None
    status: Annotated[Int32 | None, 3] = None


class InverseOffers(Message, frozen=True):
    inverse_offers: Annotated[list[InverseOffer], 1]


class RescindInverse(Message, frozen=True):
    inverse_offer_id: Annotated[OfferID, 1]


class UpdateOperationStatus(Message, frozen=True):
    status: Annotated[OperationStatus, 1]


class Error(Message, frozen=True):
    message: Annotated[str, 1]


EventType: TypeAlias = Annotated[
    str,
    Enum(
        UNKNOWN=0,
        SUBSCRIBED=1,
        OFFERS=2,
        INVERSE_OFFERS=9,
        RESCIND=3,
        RESCIND_INVERSE_OFFER=10,
        UPDATE=4,
        UPDATE_OPERATION_STATUS=11,
        MESSAGE=5,
        FAILURE=6,
        ERROR=7,
        HEARTBEAT=8,
    ),
]


class Event(Message, frozen=True):
    """What the master says; ``type`` says which body counts."""

    type: Annotated[EventType, 1]
    subscribed: Annotated[Subscribed | None, 2] = None
    offers: Annotated[Offers | None, 3] = None
    rescind: Annotated[Rescind | None, 4] = None
    update: Annotated[Update | None, 5] = None
    failure: Annotated[Failure | None, 7] = None
    error: Annotated[Error | None, 8] = None
    message: Annotated[ExecutorMessage | None, 6] = None
    inverse_offers: Annotated[InverseOffers | None, 9] = None
    rescind_inverse_offer: Annotated[RescindInverse | None, 10] = None
    update_operation_status: Annotated[UpdateOperationStatus | None, 11] = None
