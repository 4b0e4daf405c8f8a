"""Reads scheduler calls: JSON in, a Call of sound shape out, or a CallError in Mesos's words.

What needs the master's books (does the framework exist, are the offers valid) is checked elsewhere.
"""

from __future__ import annotations

from headrace.mesos.content import JSON, Format
from headrace.mesos.door import CallError, from_base64
from headrace.mesos.messages.common import FrameworkID
from headrace.mesos.messages.scheduler import Accept, Call, Operation

BODIES = {
    "SUBSCRIBE": "subscribe",
    "ACCEPT": "accept",
    "DECLINE": "decline",
    "KILL": "kill",
    "ACKNOWLEDGE": "acknowledge",
    "RECONCILE": "reconcile",
    "MESSAGE": "message",
    "SHUTDOWN": "shutdown",
    "REQUEST": "request",
    "UPDATE_FRAMEWORK": "update_framework",
    "ACCEPT_INVERSE_OFFERS": "accept_inverse_offers",
    "DECLINE_INVERSE_OFFERS": "decline_inverse_offers",
    "ACKNOWLEDGE_OPERATION_STATUS": "acknowledge_operation_status",
    "RECONCILE_OPERATIONS": "reconcile_operations",
}
"""Calls that need a body, and its field."""

BODILESS = frozenset({"TEARDOWN", "REVIVE", "SUPPRESS"})

KINDS = (*BODIES, *sorted(BODILESS))
"""All calls."""

OPERATIONS = {
    "LAUNCH": "launch",
    "LAUNCH_GROUP": "launch_group",
    "RESERVE": "reserve",
    "UNRESERVE": "unreserve",
    "CREATE": "create",
    "DESTROY": "destroy",
    "GROW_VOLUME": "grow_volume",
    "SHRINK_VOLUME": "shrink_volume",
    "CREATE_DISK": "create_disk",
    "DESTROY_DISK": "destroy_disk",
}
"""Operation types, and the field of the body."""


def read(body: bytes, form: Format = JSON) -> Call:
    """Decode and check one call. Raises CallError."""
    call = form.read(body, Call)
    check(call)
    return call


def check(call: Call) -> None:
    """Check what Mesos checks without knowing the framework. Raises CallError."""
    kind = call.type
    field = BODIES.get(kind or "")
    if field is None and kind not in BODILESS:
        raise _invalid("Expecting 'type' to be present")
    if field is not None and getattr(call, field) is None:
        raise _invalid(f"Expecting '{field}' to be present")
    if call.subscribe is not None and kind == "SUBSCRIBE":
        _same_id(call, "subscribe", call.subscribe.framework_info.id)
        return
    if call.framework_id is None:
        raise _invalid("Expecting 'framework_id' to be present")
    match call:
        case Call(type="ACKNOWLEDGE", acknowledge=acknowledge) if acknowledge is not None:
            _check_uuid(acknowledge.uuid)
        case Call(type="ACCEPT", accept=accept) if accept is not None:
            _check_operations(accept)
        case Call(type="UPDATE_FRAMEWORK", update_framework=update) if update is not None:
            _same_id(call, "update_framework", update.framework_info.id)
        case Call(type="ACKNOWLEDGE_OPERATION_STATUS", acknowledge_operation_status=status) if status is not None:
            _check_uuid(status.uuid)
            if status.agent_id is None:
                raise _invalid("Expecting 'agent_id' to be present")
        case Call(type="MESSAGE", message=message) if message is not None:
            from_base64("data", message.data)


def _invalid(why: str) -> CallError:
    return CallError(f"Failed to validate scheduler::Call: {why}")


def _same_id(call: Call, field: str, inner: FrameworkID | None) -> None:
    """An empty id is as good as none."""
    outer = call.framework_id.value if call.framework_id is not None else ""
    if outer != (inner.value if inner is not None else ""):
        raise _invalid(f"'framework_id' differs from '{field}.framework_info.id'")


def _check_uuid(uuid: str) -> None:
    if len(from_base64("uuid", uuid)) != 16:
        raise _invalid("Not a valid UUID")


def _check_operations(accept: Accept) -> None:
    """Mesos ignores operations that lack their type or body; here they are errors."""
    for number, operation in enumerate(accept.operations or ()):
        where = f"accept.operations[{number}]"
        field = OPERATIONS.get(operation.type or "")
        if field is None:
            raise _invalid(f"Expecting '{where}.type' to be present")
        if getattr(operation, field) is None:
            raise _invalid(f"Expecting '{where}.{field}' to be present")
        _check_data(operation)


def _check_data(operation: Operation) -> None:
    """What tasks and executors are handed must be base64: an executor may want it as bytes."""
    group, launch = operation.launch_group, operation.launch
    tasks = [*((launch.task_infos if launch is not None else None) or ())]
    tasks += (group.task_group.tasks if group is not None else None) or ()
    executors = [task.executor for task in tasks] + ([group.executor] if group is not None else [])
    for info in (*tasks, *executors):
        if info is not None and info.data is not None:
            from_base64("data", info.data)
