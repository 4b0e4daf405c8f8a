"""What all routes need: questions to the core, parameters, ids in paths."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from headrace.kernel.core import Event
from headrace.kernel.http import HttpError, Request, Response
from headrace.kernel.shell import Shell
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.core.core import MarathonCore
from headrace.marathon.core.events import Answer, Look, Origin
from headrace.marathon.definitions.errors import Rejected
from headrace.marathon.definitions.limits import MAX_DEADLINE
from headrace.marathon.definitions.paths import ID_PATTERN, canonical

View = Callable[[MarathonCore, float], Answer]
T = TypeVar("T")

log = logging.getLogger(__name__)


class _Failure:
    """What a view raised."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Asker:
    """Hands requests to the core and turns its answers into responses.

    ``patience`` (seconds) bounds how long an answer may take; what a request asks for may be done even so.
    """

    def __init__(self, shell: Shell[Any], patience: float | None = None) -> None:
        self.shell = shell
        self._patience = patience

    async def look(self, view: View) -> Response:
        """What ``view`` shows. Raises Rejected, HttpError."""
        return response(await self.see(view))

    async def see(self, view: Callable[[MarathonCore, float], T]) -> T:
        """What ``view`` returns. Raises Rejected, HttpError.

        A view changes nothing, so one that fails is no reason to end the core: it is logged, and whoever asks is told.
        """

        def guarded(core: MarathonCore, now: float) -> T | _Failure:
            try:
                return view(core, now)
            except Exception as error:
                return _Failure(error)

        seen: T | _Failure = await self._patiently(lambda to: Look(to, guarded))
        if not isinstance(seen, _Failure):
            return seen
        if isinstance(seen.error, (Rejected, HttpError)):
            raise seen.error
        log.error("a view failed; nothing is changed by that", exc_info=seen.error)
        raise HttpError(500, f"This can't be shown: {type(seen.error).__name__}; the log of this Marathon says where")

    async def ask(self, make: Callable[[int], Event]) -> Response:
        """The answer to a request that may change something. Raises HttpError."""
        return response(await self._patiently(make))

    async def _patiently(self, make: Callable[[int], Event]) -> Any:
        try:
            async with asyncio.timeout(self._patience):
                return await self.shell.ask(make)
        except TimeoutError:
            why = f"No answer within {self._patience or 0:g} s: ZooKeeper takes long. A change may be made even so"
            raise HttpError(503, why) from None


def response(answer: Answer) -> Response:
    """An answer of the core as HTTP has it."""
    if answer.body is None:
        return Response(answer.status, headers=answer.headers)
    return Response.json(answer.body, answer.status, answer.headers)


def path_id(parts: list[str], what: str = "App") -> str:
    """The id that parts of a path make. Raises Rejected 404."""
    path = "/" + "/".join(parts)
    if not ID_PATTERN.fullmatch(path):
        raise Rejected(404, f"{what} '{path}' does not exist")
    return canonical(path)


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    """Whether a query parameter is true; ``name`` alone is true, other words are not."""
    value = request.query.get(name, [""])[-1] if name in request.query else None
    if value is None:
        return default
    return value.lower() in ("true", "")


def deadline(request: Request) -> int | None:
    """Seconds that the deployment may take; None if the request says nothing. Raises Rejected 400."""
    given = request.parameter("deadlineSeconds")
    if not given:
        return None
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:10]) <= MAX_DEADLINE:
        raise Rejected(400, f"deadlineSeconds is '{given}'; give a whole number of seconds from 1 to {MAX_DEADLINE}")
    return int(given)


def embeds(request: Request) -> Embeds:
    """The parts that are asked for."""
    return Embeds.of(request.query.get("embed", []))


def origin(request: Request) -> Origin:
    """Who asks."""
    return Origin(request.peer.rpartition(":")[0], request.path)
