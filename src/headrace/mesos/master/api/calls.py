"""Reads scheduler calls: JSON in, a Call of sound shape out, or a CallError in Mesos's words.

What needs the master's books (does the framework exist, are the offers valid) is checked elsewhere.
"""

from __future__ import annotations

import binascii
import re
from typing import TypeVar

import msgspec

from headrace.mesos.messages.common import FrameworkID
from headrace.mesos.messages.scheduler import Accept, Call

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

_CALL = msgspec.json.Decoder(Call)
T = TypeVar("T")
_BYTE = re.compile(r"\(byte (\d+)\)$")
_NEAR = 200
_MISSING = re.compile(r"Object missing required field `(\w+)`(?: - at `\$\.?(.*?)`)?$")


class CallError(Exception):
    """The call is malformed: HTTP status 400 with this text."""


def read(body: bytes) -> Call:
    """Decode and check one call. Raises CallError."""
    call = decode(body, _CALL)
    check(call)
    return call


def decode(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """``body`` as what ``decoder`` reads. Raises CallError, in the words of Mesos's parsers."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise CallError(f"Failed to convert JSON into Call protobuf: {_explain(str(error))}") from None
    except msgspec.DecodeError as error:
        raise CallError(f"Failed to parse body into JSON: {_syntax(body, str(error))}") from None
    except RecursionError:
        raise CallError("Failed to parse body into JSON: it is nested too deeply") from None
    except UnicodeDecodeError:
        raise CallError("Failed to parse body into JSON: it is not UTF-8") from None


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
            _decoded("data", message.data)


def _invalid(why: str) -> CallError:
    return CallError(f"Failed to validate scheduler::Call: {why}")


def _same_id(call: Call, field: str, inner: FrameworkID | None) -> None:
    """An empty id is as good as none."""
    outer = call.framework_id.value if call.framework_id is not None else ""
    if outer != (inner.value if inner is not None else ""):
        raise _invalid(f"'framework_id' differs from '{field}.framework_info.id'")


def _check_uuid(uuid: str) -> None:
    if len(_decoded("uuid", uuid)) != 16:
        raise _invalid("Not a valid UUID")


def _decoded(field: str, text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        bad = next((c for c in text if not (c.isascii() and (c.isalnum() or c in "+/="))), None)
        why = f"Invalid character '{bad}'" if bad else "Invalid length"
        raise CallError(
            f"Failed to convert JSON into Call protobuf: Failed to base64 decode bytes field '{field}': {why}"
        ) from None


def _check_operations(accept: Accept) -> None:
    """Mesos ignores operations that lack their type or body; here they are errors."""
    for number, operation in enumerate(accept.operations or ()):
        where = f"accept.operations[{number}]"
        field = OPERATIONS.get(operation.type or "")
        if field is None:
            raise _invalid(f"Expecting '{where}.type' to be present")
        if getattr(operation, field) is None:
            raise _invalid(f"Expecting '{where}.{field}' to be present")


def _syntax(body: bytes, why: str) -> str:
    """Where the JSON is broken, in the words of Mesos's parser."""
    match = _BYTE.search(why)
    at = int(match[1]) if match is not None else len(body)
    line = body.count(b"\n", 0, at) + 1
    near = body[at : at + _NEAR].split(b"\n", 1)[0].decode("utf-8", "replace")
    return f"syntax error at line {line} near: {near}"


def _explain(why: str) -> str:
    match = _MISSING.fullmatch(why)
    if match is not None:
        return f"Missing required fields: {match[2]}.{match[1]}" if match[2] else f"Missing required fields: {match[1]}"
    return "Expecting a JSON object" if why.startswith("Expected `object`, got") and "$" not in why else why
