"""What every request passes: limits, other web sites' pages, the password, headers, compression, counting."""

from __future__ import annotations

import asyncio
import zlib
from _operator import _compare_digest as same_in_constant_time  # hmac, which has it too, would load OpenSSL
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Awaitable, Callable, Mapping

import msgspec

from headrace.kernel.http import Request, Response
from headrace.marathon.api.counts import Counts

_ALWAYS = {
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "0",
    "X-Frame-Options": "DENY",
    "X-XSS-Protection": "1; mode=block",
}
LEAST_COMPRESSED = 1024
"""Bytes; what is shorter is not worth it."""
_LONG = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_LEVEL = 1


class Rules(msgspec.Struct, frozen=True):
    """What the flags say. ``credentials`` is ``user:password``; ``origins`` may hold ``*``."""

    credentials: str | None = None
    realm: str = "Mesosphere"
    max_requests: int | None = None
    origins: frozenset[str] = frozenset()
    compression: bool = True


def origins(text: str | None) -> frozenset[str]:
    """Those of ``--access_control_allow_origin``."""
    return frozenset(one for part in (text or "").split(",") if (one := part.strip().rstrip("/").lower()))


class Door:
    """The handler of all requests: lets in to ``inside`` who may, and finishes its answers."""

    def __init__(
        self,
        inside: Callable[[Request], Awaitable[Response]],
        rules: Rules,
        counts: Counts,
        leader: Callable[[], str],
    ) -> None:
        self._inside = inside
        self._rules = rules
        self._counts = counts
        self._leader = leader

    async def __call__(self, request: Request) -> Response:
        counts, began = self._counts, self._counts.now()
        counts.counters["http.requests.size.counter.bytes"] += len(request.body)
        limit = self._rules.max_requests
        if limit is not None and counts.active_requests >= limit:
            response = Response.json({"message": f"Too many concurrent requests! Allowed: {limit}."}, 503)
        else:
            counts.active_requests += 1
            try:
                response = await self._checked(request)
            finally:
                counts.active_requests -= 1
        response = await self._finished(request, response)
        counts.answered(request.method, response.status, began)
        if isinstance(response.body, bytes):
            counts.counters["http.responses.size.counter.bytes"] += len(response.body)
        return response

    async def _checked(self, request: Request) -> Response:
        if self._is_preflight(request):
            return Response(200)
        if request.path != "/ping" and not self._knows(request.headers.get("authorization", "")):
            challenge = {"WWW-Authenticate": f'Basic realm="{self._rules.realm}"'}
            return Response.json({"message": "Invalid username or password."}, 401, challenge)
        return await self._inside(request)

    async def _finished(self, request: Request, response: Response) -> Response:
        headers = {**_ALWAYS, **self._sharing(request), **response.headers}
        if leader := self._leader():
            headers["X-Marathon-Leader"] = leader
        body = response.body
        if self._rules.compression and isinstance(body, bytes) and len(body) >= LEAST_COMPRESSED:
            headers["Vary"] = ", ".join(filter(None, (headers.get("Vary"), "Accept-Encoding")))
            if _takes_gzip(request.headers.get("accept-encoding", "")):
                # a long answer would hold up everybody else
                body = await asyncio.to_thread(_gzipped, body) if len(body) > _LONG else _gzipped(body)
                headers["Content-Encoding"] = "gzip"
                self._counts.counters["http.responses.size.gzipped.counter.bytes"] += len(body)
        return msgspec.structs.replace(response, headers=headers, body=body)

    def _knows(self, authorization: str) -> bool:
        wanted = self._rules.credentials
        if wanted is None:
            return True
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            given = a2b_base64(token.strip(), strict_mode=True)
        except (Base64Error, ValueError):
            return False
        return same_in_constant_time(given, wanted.encode())

    def _is_preflight(self, request: Request) -> bool:
        """A browser's question before it reads across sites; it never comes with a password."""
        return (
            request.method == "OPTIONS"
            and "access-control-request-method" in request.headers
            and bool(self._allowed(request))
        )

    def _allowed(self, request: Request) -> str:
        """The origin that may read, as the answer has to name it; empty if none may."""
        if "*" in self._rules.origins:
            return "*"
        origin = request.headers.get("origin", "").strip()
        return origin if origin.lower().rstrip("/") in self._rules.origins else ""

    def _sharing(self, request: Request) -> Mapping[str, str]:
        if not self._rules.origins:
            return {}
        varies = {} if "*" in self._rules.origins else {"Vary": "Origin"}
        allowed = self._allowed(request)
        if not allowed:
            return varies
        shared = {**varies, "Access-Control-Allow-Origin": allowed}
        if self._is_preflight(request):
            shared |= {"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS", "Access-Control-Max-Age": "86400"}
            if wanted := request.headers.get("access-control-request-headers"):
                shared["Access-Control-Allow-Headers"] = wanted
        return shared


def _takes_gzip(accepted: str) -> bool:
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, parameter = part.partition(";")
        try:
            weights[name.strip()] = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def _gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    return packer.compress(body) + packer.flush()
