"""Where apps are reached, as lines for scripts: what Marathon to 1.10 answered to ``Accept: text/plain``. Pure.

A line for each service port: the app's id with ``_`` for ``/``, the service port, then ``host:port`` of each running
task, with a tabulator after each. An app without service ports has one line with a blank for the port, and only hosts.
Without a port of the host it is the task's own address and port; a task that has none yet is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.records import Condition, Instance
from headrace.marathon.definitions.app import App, Port
from headrace.marathon.definitions.paths import safe


def addresses(core: MarathonCore, apps: Iterable[App]) -> str:
    """The lines of these apps."""
    return "".join(line for app in apps for line in _lines(core, app))


def _lines(core: MarathonCore, app: App) -> Iterator[str]:
    running = [one for one in core.books.of_app(app.id) if one.condition is Condition.RUNNING]
    if not app.ports:
        yield _line(app, " ", (one.host for one in running))
    for index, port in enumerate(app.ports):
        found = (_address(port, one, index) for one in running)
        yield _line(app, str(port.service), (one for one in found if one))


def _line(app: App, port: str, where: Iterable[str]) -> str:
    return "".join(f"{one}\t" for one in (safe(app.id), port, *where)) + "\n"


def _address(port: Port, instance: Instance, index: int) -> str:
    """Of one task; empty if it has none."""
    if port.host is None:
        return f"{instance.ip_addresses[0]}:{port.container}" if instance.ip_addresses else ""
    number = instance.ports[index] if index < len(instance.ports) else 0
    return f"{instance.host}:{number}" if number else ""
