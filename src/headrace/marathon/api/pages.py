"""Pages for a browser, plain HTML without scripts or styles: what there is, and what one may ask.

What others have named is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from headrace.kernel.http import Response
from headrace.marathon.api.endpoints import ENDPOINTS
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.records import Condition

_POLICY = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}


def overview(core: MarathonCore, now: float) -> Response:
    """/ui/: apps, pods and deployments."""
    books = core.books
    apps = [
        (
            _link(f"../v2/apps{spec.id}" if spec.id in books.apps else f"../v2/pods{spec.id}::status", spec.id),
            "app" if spec.id in books.apps else "pod",
            _running(core, spec.id),
            str(spec.instances),
            "yes" if core.deployments.of_app(spec.id) is not None else "",
            "yes" if spec.id in core.queue.waiting else "",
        )
        for spec in sorted(books.specs.values(), key=lambda one: one.id)
    ]
    deployments = [
        (_escaped(one.plan.id), _escaped(", ".join(one.affected)), f"{one.at + 1} of {len(one.steps)}")
        for one in core.deployments.running.values()
    ]
    return _page(
        "Marathon",
        "<p>This page is for looking; changes are made through the <a href='../help'>API</a>, the command"
        " <code>headrace</code>, or the gateway's page.</p>",
        _table(("Id", "Kind", "Running", "Wanted", "Deploying", "Waiting"), apps, "There are no apps."),
        "<h2>Deployments</h2>",
        _table(("Id", "Of", "Step"), deployments, "None is under way."),
        "<p><a href='../v2/queue'>queue</a> <a href='../v2/info'>info</a> <a href='../metrics'>metrics</a></p>",
    )


def endpoints() -> Response:
    """/help: what one may ask."""
    rows = [
        (
            one.method,
            _escaped(one.path),
            _escaped(one.query),
            _escaped(one.answer.replace("`", "")),
            _escaped(one.about),
        )
        for one in ENDPOINTS
    ]
    return _page("API", _table(("Method", "Path", "Query", "Answer", ""), rows, ""))


def _running(core: MarathonCore, spec_id: str) -> str:
    return str(sum(one.condition is Condition.RUNNING for one in core.books.of_app(spec_id)))


def _page(title: str, *parts: str) -> Response:
    head = f"<!DOCTYPE html>\n<html lang='en'><head><meta charset='utf-8'><title>{title}</title></head><body>"
    text = "\n".join((head, f"<h1>{title}</h1>", *parts, "</body></html>\n"))
    return Response(200, text.encode(), "text/html; charset=utf-8", _POLICY)


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    if not lines:
        return f"<p>{empty}</p>"
    head = "<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"
    return "\n".join(("<table border='1'>", head, *lines, "</table>"))


def _link(address: str, text: str) -> str:
    return f"<a href='{_escaped(address)}'>{_escaped(text)}</a>"


def _escaped(text: str) -> str:
    for plain, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ("'", "#39"), ('"', "quot")):
        text = text.replace(plain, f"&{name};")
    return text
