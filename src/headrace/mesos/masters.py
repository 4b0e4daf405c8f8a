"""Where the master is, as users write it."""

from __future__ import annotations

from headrace.kernel.daemon import UserError


def master_url(master: str) -> str:
    """``http://host:port`` of a master given as that or as ``host:port``. Raises UserError."""
    address = master.strip().rstrip("/")
    if address.startswith("zk://"):
        raise UserError(f"master {master!r}: finding the master through ZooKeeper is not supported yet; give host:port")
    if "://" not in address:
        address = f"http://{address}"
    scheme, _, rest = address.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme not in ("http", "https") or not host or not port.isdigit() or "/" in rest:
        raise UserError(f"master {master!r} is not understood; give host:port or http://host:port")
    return address
