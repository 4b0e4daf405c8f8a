"""Addresses of znodes, as Mesos writes them: ``zk://[user:password@]host:port,host:port/path``.

Pure. The password is shown by nothing here but ``credentials`` itself.
"""

from __future__ import annotations

import re

import msgspec

from headrace.kernel.daemon import UserError

SCHEME = "zk://"
DEFAULT_PORT = 2181
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(\d{1,5}))?", re.ASCII)
_PART = re.compile(r"[^/\x00-\x1f\x7f-\x9f\ud800-\uf8ff\ufff0-\uffff]+")


class ZooKeeperAddress(msgspec.Struct, frozen=True):
    """A znode of an ensemble. ``hosts`` are ``host:port``; ``credentials`` are ``user:password``, or empty."""

    hosts: tuple[str, ...]
    path: str
    credentials: str = ""

    def __repr__(self) -> str:
        return f"ZooKeeperAddress({str(self)!r})"

    def __str__(self) -> str:
        """For people: without the password."""
        user = f"{self.credentials.partition(':')[0]}:***@" if self.credentials else ""
        return f"{SCHEME}{user}{','.join(self.hosts)}{self.path}"

    def at(self, path: str) -> ZooKeeperAddress:
        """Another znode of the same ensemble."""
        return msgspec.structs.replace(self, path=path)


def parse(text: str, what: str) -> ZooKeeperAddress:
    """Read an address; ``what`` is what it was given as. Raises UserError, which does not say the password."""
    rest = text.strip().removeprefix(SCHEME)
    credentials, at, rest = rest.rpartition("@")
    hosts, slash, path = rest.partition("/")
    shown = f"{SCHEME}{'***@' if at else ''}{rest}"
    if not text.strip().startswith(SCHEME) or (at and not _are_credentials(credentials)):
        raise UserError(f"{what} {shown} is not understood; write zk://user:password@host:port,host:port/path")
    listed = tuple(_host(host, what, shown) for host in hosts.split(","))
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") or not _PART.fullmatch(part) for part in parts):
        raise UserError(f"{what} {shown}: ZooKeeper does not take the path /{path}; use plain names between slashes")
    if not slash or not parts:
        raise UserError(f"{what} {shown} names no znode; write zk://{','.join(listed)}/path")
    return ZooKeeperAddress(listed, "/" + "/".join(parts), credentials)


def _are_credentials(text: str) -> bool:
    user, colon, password = text.partition(":")
    return bool(user and colon and password)


def _host(text: str, what: str, shown: str) -> str:
    match = _HOST.fullmatch(text.strip())
    port = int(match[1] or DEFAULT_PORT) if match else 0
    if match is None or not 0 < port < 65536:
        raise UserError(f"{what} {shown}: {text!r} is no host:port; write zk://host:port,host:port/path")
    return text.strip() if match[1] else f"{text.strip()}:{port}"
