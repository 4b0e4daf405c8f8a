"""Service ports: numbers that stay with an app for life, for load balancers. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from headrace.marathon.definitions.app import App, PortDefinition
from headrace.marathon.definitions.errors import Rejected


def with_service_ports(app: App, before: App | None, taken: Callable[[int], bool], low: int, high: int) -> App:
    """``app`` with a number for each port that was given as 0.

    An app that is updated keeps its assigned numbers by position; new ones are the lowest that
    nobody has (``low``..``high``). Raises Rejected 500 if there are none left.
    """
    if all(one.port for one in app.port_definitions):
        return app
    own = {one.port for one in app.port_definitions if one.port}
    old = [one.port for one in before.port_definitions] if before is not None else []
    ports: list[PortDefinition] = []
    for index, definition in enumerate(app.port_definitions):
        number = definition.port
        if not number and index < len(old) and old[index] not in own:
            number = old[index]
        if not number:
            number = next((port for port in range(low, high + 1) if port not in own and not taken(port)), 0)
        if not number:
            raise Rejected(500, f"All service ports from {low} to {high} are taken; raise --local_port_max")
        own.add(number)
        ports.append(msgspec.structs.replace(definition, port=number))
    return msgspec.structs.replace(app, port_definitions=ports)
