"""``jsonp=<name>`` of the v0 endpoints: the JSON as the argument of a function, as old web pages ask for it.

Any page can include a script of any server, so what comes from another site's page is refused: it would read the state.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from headrace.kernel.http.messages import JSON, Request, Response
from headrace.kernel.http.origin import foreign_reader
from headrace.mesos.door import text

Answered = Response | Awaitable[Response]

_CALLBACK = re.compile(r"[A-Za-z_$][\w$]*(\.[A-Za-z_$][\w$]*)*", re.ASCII)


def padded(handler: Callable[[Request], Answered]) -> Callable[[Request], Answered]:
    """``handler``, which answers with JSON, so that ``jsonp`` is heeded."""

    def answer(request: Request) -> Answered:
        callback = request.parameter("jsonp") if "jsonp" in request.query_string else ""
        if not callback:
            return handler(request)
        if not _CALLBACK.fullmatch(callback):
            return text(400, "Expecting 'jsonp' to be the name of a function")
        if (source := foreign_reader(request.headers)) is not None:
            own = request.headers.get("host", "") or "this master"
            return text(403, f"'jsonp' is refused to {source[:200]}: it is for pages of {own} and for programs")
        return _wrapped(handler(request), callback)

    return answer


def _wrapped(answered: Answered, callback: str) -> Answered:
    if not isinstance(answered, Response):
        return _later(answered, callback)
    if answered.content_type != JSON or not isinstance(answered.body, bytes):
        return answered
    return Response(answered.status, b"%b(%b);" % (callback.encode(), answered.body), "text/javascript")


async def _later(answered: Awaitable[Response], callback: str) -> Response:
    done = _wrapped(await answered, callback)
    assert isinstance(done, Response)  # noqa: S101 - of a response
    return done
