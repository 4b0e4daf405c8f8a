"""Orders of an operator to the master: calls of Mesos's v1 operator API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headrace.cli.api import Server


async def order(master: Server, kind: str, **body: Any) -> None:
    """Give an order; its body stands below the call's name in lower case. Raises CommandError."""
    await master.send("POST", "/api/v1", {"type": kind, kind.lower(): body})


def of_agent(agent_id: str) -> Mapping[str, Any]:
    """The part of a body that names an agent."""
    return {"agent_id": {"value": agent_id}}
