"""What a Marathon that does not lead makes of a request. Pure.

It answers /ping itself: a health check asks whether this process lives. Who wants /v2/events is sent to the leader, and
the rest is asked there, with ``X-Marathon-Via`` naming everybody on the way, so that no request goes round. Texts and
statuses are Marathon's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

VIA = "X-Marathon-Via"
LOOP = "Detected proxying loop."
NO_LEADER = "Could not determine the current leader"
NOBODY = "There is no leader"
REFUSED = "Connection to leader refused."
TOO_LATE = "Connection to leader timed out."

_PATH_SAFE = "/:@!$&'()*+,;=~-._"
_SLASHES = re.compile("//+")
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding")
) | {"upgrade", "host", "content-length", "expect"}
_NOT_ASKED = _HOP_BY_HOP | {"accept-encoding", "origin", "referer"}
"""Of a request: answers are compressed here, and whether another web site's page asks was looked at here."""
_NOT_ANSWERED = _HOP_BY_HOP | {"date", "x-content-type-options", "content-type", "cache-control", "pragma", "expires"}
_NOT_ANSWERED |= {"x-frame-options", "x-xss-protection", "vary", "x-marathon-leader"}
"""Of an answer: these are added here to every one."""


class Own(msgspec.Struct, frozen=True):
    """This process answers."""


class Wait(msgspec.Struct, frozen=True):
    """It is not known yet who leads, or this process is about to."""


class Refuse(msgspec.Struct, frozen=True):
    """The answer is this message."""

    status: int
    message: str


class Redirect(msgspec.Struct, frozen=True):
    """The client shall ask there."""

    url: str


class Forward(msgspec.Struct, frozen=True):
    """The leader is asked; its answer is the answer."""

    method: str
    url: str
    headers: dict[str, str]


Decision = Own | Wait | Refuse | Redirect | Forward


class Place(msgspec.Struct, frozen=True):
    """Who asks whom: ``host:port`` of this process and of the leader, and how both are spoken to."""

    own: str
    leader: str | None
    scheme: str = "http"


def decide(method: str, path: str, query: str, headers: Mapping[str, str], place: Place) -> Decision:
    """What becomes of a request; ``path`` is percent-decoded, the headers' names are lower case."""
    plain = _SLASHES.sub("/", path).rstrip("/")
    if plain == "/ping":
        return Own()
    via = [one.strip() for one in headers.get(VIA.lower(), "").split(",") if one.strip()]
    own = f"1.1 {place.own}"
    if own in via:
        return Refuse(502, LOOP)
    if not place.leader and plain == "/v2/leader":
        return Refuse(404, NOBODY)
    if not place.leader or place.leader == place.own:
        return Wait()
    url = f"{place.scheme}://{place.leader}{quote(path, safe=_PATH_SAFE)}" + (f"?{query}" if query else "")
    if f"{plain}/".startswith("/v2/events/"):
        return Redirect(url)
    passed = {name: value for name, value in headers.items() if name not in _NOT_ASKED and name != VIA.lower()}
    passed = {name: value for name, value in passed.items() if not name.startswith("sec-fetch-")}
    passed[VIA] = ", ".join([*via, own])
    return Forward("GET" if method == "HEAD" else method, url, passed)  # a HEAD's length is known by its GET


def answered(headers: Mapping[str, str], own: str) -> dict[str, str]:
    """The headers of the leader's answer as this process passes them on."""
    kept = {_written(name): value for name, value in headers.items() if name not in _NOT_ANSWERED}
    return {**kept, VIA: f"1.1 {own}"}


def _written(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
