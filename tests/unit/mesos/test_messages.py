"""No number of a call is beyond what the daemons, and other languages, can count with."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.mesos.messages import executor, scheduler
from headrace.mesos.messages.agent_link import AgentCall
from headrace.mesos.messages.common import Filters

CALLS: list[tuple[Any, bytes]] = [
    (scheduler.Call, b'{"kill":{"task_id":{"value":"t"},"kill_policy":{"grace_period":{"nanoseconds":%s}}}}'),
    (Filters, b'{"refuse_seconds":%s}'),
    (
        executor.Call,
        b'{"update":{"status":{"task_id":{"value":"t"},"state":"s","container_status":{"executor_pid":%s}}}}',
    ),
    (AgentCall, b'{"type":"EXECUTOR_EXITED","framework_id":{"value":"f"},"executor_id":{"value":"e"},"status":%s}'),
]


@pytest.mark.parametrize(("kind", "text"), CALLS)
def test_whole_numbers_have_64_bits(kind: Any, text: bytes) -> None:
    msgspec.json.decode(text % b"5", type=kind)
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(text % (b"1" + b"0" * 400), type=kind)
