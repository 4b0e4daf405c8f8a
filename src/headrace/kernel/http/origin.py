"""Who may ask: keeps other web sites' pages away from a server that trusts its network.

A browser on the same machine reaches loopback too, on behalf of any page that it shows. Two checks
stop such a page: the name in ``Host`` must be the server's own (a page that rebinds its own name to
127.0.0.1 still sends that name), and a writing request must not come from another origin. Programs
(curl, Python and JVM clients) send neither ``Origin`` nor ``Sec-Fetch-Site`` and notice nothing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping

READING = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods that change nothing, whoever asks."""

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_PATH = re.compile(r"[/?#]")


def host_name(host: str) -> str:
    """The name in a ``Host`` header, lower case, without port, brackets and final dot."""
    host = host.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


def is_address(name: str) -> bool:
    """Whether it is an IP address. No page can make a browser send one that is not its own."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def foreign_source(headers: Mapping[str, str]) -> str | None:
    """The other origin that a request comes from, as its headers say; None if it is none.

    A page of another port of the same machine is another origin, too.
    """
    origin = headers.get("origin")
    if origin is not None and not _same(origin, headers.get("host", "")):
        return origin
    site = headers.get("sec-fetch-site", "").strip().lower()
    return f"a {site} page" if site in ("cross-site", "same-site") else None


def foreign_reader(headers: Mapping[str, str]) -> str | None:
    """As ``foreign_source``, for reading requests that give something away or do something.

    A page that includes a script sends no ``Origin``, so ``Referer`` is looked at, too. Browsers send
    ``Sec-Fetch-Site`` to https and to the same machine only: elsewhere a page that also hides its ``Referer`` can't
    be told from a program.
    """
    referer = headers.get("referer")
    if referer:
        scheme, separator, rest = referer.strip().partition("://")
        page = scheme + separator + _PATH.split(rest, 1)[0]
        if not _same(page, headers.get("host", "")):
            return page
    return foreign_source(headers)


def _same(origin: str, host: str) -> bool:
    scheme, separator, authority = origin.strip().lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme, "")
    return bool(separator and default) and _with_port(authority, default) == _with_port(host.strip().lower(), default)


def _with_port(authority: str, default: str) -> tuple[str, str]:
    after = authority.rpartition("]")[2]  # an IPv6 address has colons of its own
    return host_name(authority), after.partition(":")[2] or default
