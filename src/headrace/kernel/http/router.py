"""Finds the handler of a path.

Patterns are paths whose parts may be ``{name}`` (one segment) or, at the end, ``{name:rest}``
(the rest of the path, slashes included, possibly empty).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from headrace.kernel.http.messages import HttpError, Request, Response

RouteHandler = Callable[..., Response | Awaitable[Response]]

_PART = re.compile(r"\{(\w+)(:rest)?\}")


class Router:
    """Maps methods and path patterns to handlers, which get the request and the named parts."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[str, RouteHandler]] = {}
        self._patterns: list[tuple[re.Pattern[str], dict[str, RouteHandler]]] = []

    def add(self, methods: str, pattern: str, handler: RouteHandler) -> None:
        """Route ``methods`` (separated by blanks) of ``pattern`` to ``handler``. Earlier patterns win."""
        if "{" not in pattern:
            table = self._exact.setdefault(pattern, {})
        else:
            regex = re.compile(_regex(pattern))
            table = next((t for r, t in self._patterns if r.pattern == regex.pattern), {})
            if not table:
                self._patterns.append((regex, table))
        for method in methods.split():
            table[method] = handler

    def methods(self, path: str) -> list[str]:
        """What may be asked of a path, HEAD included. Raises HttpError 404."""
        table, _ = self._find(path)
        return sorted({*table, "HEAD"} if "GET" in table else table)

    def _find(self, path: str) -> tuple[dict[str, RouteHandler], dict[str, str]]:
        table = self._exact.get(path)
        if table is not None:
            return table, {}
        for regex, candidate in self._patterns:
            match = regex.fullmatch(path)
            if match is not None:
                return candidate, match.groupdict()
        raise HttpError(404, f"There is nothing at {path}")

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        """Hand the request to its handler. Raises HttpError 404 or 405."""
        table, parts = self._find(request.path)
        handler = table.get(request.method)
        if handler is None and request.method == "HEAD":
            handler = table.get("GET")
        if handler is None:
            allowed = ", ".join(sorted(table))
            raise HttpError(405, f"{request.method} is not possible at {request.path}; use {allowed}")
        return handler(request, **parts)


def _regex(pattern: str) -> str:
    out, position = "", 0
    for match in _PART.finditer(pattern):
        out += re.escape(pattern[position : match.start()])
        out += f"(?P<{match[1]}>{'.*' if match[2] else '[^/]+'})"
        position = match.end()
    return out + re.escape(pattern[position:])
