"""What the core is told and what it asks for. The client's and the kernel's own come on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headrace.kernel.core import Effect, Event
from headrace.mesos.messages.scheduler import Call


class Origin(msgspec.Struct, frozen=True):
    """Who asked: the client's address, and the request's path."""

    client: str = ""
    uri: str = ""


class Start(Event, frozen=True):
    """The first event: take up what the store held."""


class CreateApp(Event, frozen=True):
    """POST /v2/apps; ``body`` is the request's JSON.

    ``deadline``, here and below: seconds that the deployment may take before it is undone.
    """

    to: int
    body: Any
    force: bool
    origin: Origin
    deadline: int | None = None


class UpdateApps(Event, frozen=True):
    """PUT and PATCH of one or several apps, each ``(id, body)``.

    ``partial``: the given fields replace the app's; else the body is the whole app. ``create``:
    an app that is not there is made.
    """

    to: int
    updates: list[tuple[str, Any]]
    partial: bool
    create: bool
    single: bool
    force: bool
    origin: Origin
    deadline: int | None = None


class DeleteApp(Event, frozen=True):
    to: int
    app_id: str
    force: bool
    origin: Origin
    deadline: int | None = None


class RestartApp(Event, frozen=True):
    to: int
    app_id: str
    force: bool
    origin: Origin
    deadline: int | None = None


class CreatePod(Event, frozen=True):
    """POST /v2/pods; ``body`` is the request's JSON."""

    to: int
    body: Any
    force: bool
    origin: Origin
    deadline: int | None = None


class UpdatePod(Event, frozen=True):
    """PUT of a pod; ``body`` is the whole definition."""

    to: int
    pod_id: str
    body: Any
    force: bool
    origin: Origin
    deadline: int | None = None


class DeletePod(Event, frozen=True):
    to: int
    pod_id: str
    force: bool
    origin: Origin
    deadline: int | None = None


class KillInstances(Event, frozen=True):
    """End instances of a pod; ``single``: the request named one, which must be there."""

    to: int
    pod_id: str
    instance_ids: list[str]
    wipe: bool
    single: bool


class ChangeGroup(Event, frozen=True):
    """POST (``create``) and PUT of a group; ``path`` is the request's."""

    to: int
    path: str
    body: Any
    create: bool
    dry_run: bool
    force: bool
    origin: Origin
    deadline: int | None = None


class DeleteGroup(Event, frozen=True):
    to: int
    path: str
    force: bool
    origin: Origin
    deadline: int | None = None


class EnforceRole(Event, frozen=True):
    """PATCH of a top-level group."""

    to: int
    path: str
    enforce: bool


class KillTasks(Event, frozen=True):
    """End tasks: those with ``task_ids``, or with None all of ``app_id`` (on ``host``, if given).

    ``scale``: and want that many fewer; ``wipe``: and let their instance ids go with them.
    ``single``: the request named one task, which must be there.
    """

    to: int
    app_id: str | None
    task_ids: list[str] | None
    host: str | None
    scale: bool
    wipe: bool
    single: bool
    force: bool
    origin: Origin
    deadline: int | None = None


class CancelDeployment(Event, frozen=True):
    to: int
    deployment_id: str
    force: bool


class ResetDelay(Event, frozen=True):
    to: int
    app_id: str


class Look(Event, frozen=True):
    """A question that changes nothing; ``view`` is handed the core's books and the time."""

    to: int
    view: Callable[[Any, float], Any]


class LogsRead(Event, frozen=True):
    """The outcome of ``ReadLogs``; ``note`` says what could not be had."""

    key: str
    files: dict[str, list[str]] = msgspec.field(default_factory=dict)
    note: str = ""


class Probed(Event, frozen=True):
    """The outcome of the ``Probe`` of the same key and task. ``status`` and so on are for readiness."""

    key: str
    task_id: str
    passed: bool
    cause: str = ""
    status: int = 0
    content_type: str = ""
    body: str = ""


class ReadLogs(Effect, frozen=True):
    """Read the last lines of these files (by name, as the agent at ``url`` calls them); answer with ``LogsRead``."""

    key: str
    url: str
    paths: dict[str, str]


class SendCall(Effect, frozen=True):
    """Say this to the master."""

    call: Call


class Subscribe(Effect, frozen=True):
    """Stand for these roles from now on; for the ``suppressed`` ones no offers are wanted."""

    roles: list[str]
    suppressed: list[str]


class ForgetFramework(Effect, frozen=True):
    """The master has removed the framework: subscribe without an id from now on."""


class Publish(Effect, frozen=True):
    """Tell the event stream's readers."""

    kind: str
    fields: dict[str, Any]


class Probe(Effect, frozen=True):
    """Try once; answer with ``Probed``. ``protocol`` HTTP, HTTPS or TCP; ``timeout`` in seconds."""

    key: str
    task_id: str
    protocol: str
    host: str
    port: int
    path: str
    timeout: float
    ready_statuses: Sequence[int] = ()


class Answer(msgspec.Struct, frozen=True):
    """A reply to an API request. ``body`` None sends no body."""

    status: int
    body: Any
    headers: dict[str, str] = {}
