"""Where our master means to differ from the recordings, and why."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """What comes instead of what was recorded; ``skip`` leaves the entry out."""

    reason: str
    status: int | None = None
    body: str | None = None
    message: str | None = None
    skip: bool = False


SAME = Difference("no difference is meant")

_IGNORED = "Mesos ignores it in silence and the framework waits for ever"
_GROUPS = Difference(
    "LAUNCH_GROUP is not supported yet; its tasks end in an error that says so",
    message="LAUNCH_GROUP is not supported by this master; use LAUNCH",
)
_CONSTRAINTS = "offer constraints are not supported yet and refused rather than ignored"

DIFFERENCES: dict[tuple[str, str], Difference] = {
    ("sched_07_update_framework", "offer constraints: only rack r2"): Difference(
        _CONSTRAINTS,
        400,
        "Supplied FrameworkInfo is not valid: offer_constraints are not supported by this master; leave them out",
    ),
    ("sched_07_update_framework", "RESCIND O59"): Difference(_CONSTRAINTS, skip=True),
    ("sched_07_update_framework", "RESCIND O60"): Difference(_CONSTRAINTS, skip=True),
    ("sched_09_invalid", "UPDATE t-d7738af2"): Difference(
        "a health check without a type is refused by our agent; Mesos takes it for a COMMAND check", skip=True
    ),
    ("sched_09_invalid", "bad protobuf"): Difference(
        "the master speaks JSON only so far and says so",
        415,
        "Protocol buffers are not supported by this master: Expecting 'Content-Type' of application/json",
    ),
    ("sched_09_invalid", "LAUNCH without launch body"): Difference(
        _IGNORED,
        400,
        "Failed to validate scheduler::Call: Expecting 'accept.operations[0].launch' to be present",
    ),
    ("sched_09_invalid", "operation without type"): Difference(
        _IGNORED,
        400,
        "Failed to validate scheduler::Call: Expecting 'accept.operations[0].type' to be present",
    ),
    ("sched_09_invalid", "unknown operation type"): Difference(
        _IGNORED,
        400,
        "Failed to validate scheduler::Call: Expecting 'accept.operations[0].type' to be present",
    ),
    ("sched_09_invalid", "UPDATE t-f2f2023f"): _GROUPS,
    ("sched_09_invalid", "UPDATE t-e64768fe"): _GROUPS,
    ("sched_09_invalid", "UPDATE t-9bb99b7a"): _GROUPS,
    ("sched_09_invalid", "unknown path"): Difference(
        "Mesos takes every path below /api/v1 for /api/v1 itself", 404, "404 Not Found."
    ),
}
"""By transcript and label of a request, ``UPDATE <task id>`` or ``RESCIND <offer>``."""

FIELDS: dict[str, str] = {
    "capabilities": "of the master in SUBSCRIBED: ours names only what it can do, which is AGENT_UPDATE",
    "executor_pid": "in TASK_STARTING: there is no executor process before the command runs",
}
"""Fields of events that are not compared, and why."""
