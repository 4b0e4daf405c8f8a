"""What a request can be refused with: the statuses and bodies that Marathon's clients know.

A path is ``/a/b``, with list positions as ``(0)``: ``/healthChecks(0)/portIndex``. Several
violations of one path share one entry of ``details``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec


class Violation(msgspec.Struct, frozen=True):
    """One broken rule and where."""

    path: str
    error: str


class Rejected(Exception):  # noqa: N818 - the API's word for a refused request
    """A request that changes nothing: HTTP status and JSON body say why."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.body: dict[str, Any] = {"message": message, **more}


class TooManyDeployments(Rejected):
    """As many run as may; the request would change something in ``groups``."""

    def __init__(self, limit: int, groups: list[str]) -> None:
        super().__init__(403, f"Max number ({limit}) of running deployments is achieved. Wait for one to complete.")
        self.groups = groups


def unreadable(violations: Iterable[Violation]) -> Rejected:
    """Wrong types, missing fields, values out of a field's own bounds."""
    return Rejected(422, "Invalid JSON", details=_grouped(violations))


def invalid(violations: Iterable[Violation]) -> Rejected:
    """Rules between fields, or between an app and the others."""
    return Rejected(422, "Object is not valid", details=_grouped(violations))


def unknown_pod(pod_id: str) -> Rejected:
    return Rejected(404, f"Pod '{pod_id}' does not exist", details=[])


def unknown_group(path: str) -> Rejected:
    return Rejected(404, f"Group '{path}' does not exist")


def unknown_app(app_id: str) -> Rejected:
    return Rejected(404, f"App '{app_id}' does not exist")


def locked(deployments: Iterable[str]) -> Rejected:
    """The app takes part in a running deployment; ``force`` would cancel that."""
    return Rejected(
        409,
        "App is locked by one or more deployments. Override with the option '?force=true'. "
        "View details at '/v2/deployments/<DEPLOYMENT_ID>'.",
        deployments=[{"id": one} for one in deployments],
    )


@contextmanager
def within(path: str) -> Iterator[None]:
    """Violations that come up inside are told with ``path`` before their own."""
    try:
        yield
    except Rejected as rejected:
        details = rejected.body.get("details")
        if not isinstance(details, list):
            raise
        moved = [{**one, "path": path + (one["path"] if one["path"] != "/" else "")} for one in details]
        raise Rejected(rejected.status, rejected.message, details=moved) from None


def _grouped(violations: Iterable[Violation]) -> list[dict[str, Any]]:
    by_path: dict[str, list[str]] = {}
    for violation in violations:
        by_path.setdefault(violation.path, []).append(violation.error)
    return [{"path": path, "errors": errors} for path, errors in by_path.items()]
