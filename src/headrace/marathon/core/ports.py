"""Service ports: numbers that stay with an app for life, for load balancers. Pure."""

from __future__ import annotations

from collections.abc import Callable

from headrace.marathon.definitions.app import App
from headrace.marathon.definitions.errors import Rejected


def with_service_ports(
    app: App, before: App | None, taken: Callable[[int], bool], low: int, high: int, *, first: int = 0
) -> App:
    """``app`` with a number for each port that was given as 0.

    An app that is updated keeps its assigned numbers by position; new ones are the lowest that
    nobody has (``low``..``high``), all below ``first`` being taken. Raises Rejected 500 if there are none left.
    """
    given = [one.service for one in app.ports]
    if all(given):
        return app
    own = {number for number in given if number}
    old = [one.service for one in before.ports] if before is not None else []
    numbers: list[int] = []
    for index, number in enumerate(given):
        if not number and index < len(old) and old[index] not in own:
            number = old[index]
        if not number:
            number = next((port for port in range(max(low, first), high + 1) if port not in own and not taken(port)), 0)
        if not number:
            raise Rejected(500, f"All service ports from {low} to {high} are taken; raise --local_port_max")
        own.add(number)
        numbers.append(number)
    return app.with_service_ports(numbers)
