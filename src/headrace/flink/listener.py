"""Where the artifact server listens, and under which address agents reach it.

Pure. With TLS it listens apart from the rest of the application master, which then is on the loopback device only.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.flink.reading import flag, integer
from headrace.kernel.daemon import UserError

PORT = "mesos.resourcemanager.artifactserver.port"
TLS = "mesos.resourcemanager.artifactserver.ssl.enabled"
BIND = "headrace.artifactserver.bind-host"
ADDRESS = "headrace.artifactserver.address"
CERTIFICATE = "headrace.artifactserver.ssl.certificate"
KEY = "headrace.artifactserver.ssl.key"

_ANY = ("0.0.0.0", "::")  # noqa: S104


class Listener(msgspec.Struct, frozen=True):
    """``port`` 0 takes a free one; ``advertised_port`` 0 is the one that was taken. TLS if there is a certificate."""

    bind: str
    port: int = 0
    address: str = ""
    advertised_port: int = 0
    certificate: str = ""
    key: str = ""

    @property
    def tls(self) -> bool:
        return bool(self.certificate)

    @property
    def near(self) -> str:
        """The host under which processes of this machine reach it."""
        return "127.0.0.1" if self.bind in _ANY else self.bind

    def url(self, port: int) -> str:
        """Its base URL for agents, if it listens on ``port``."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{host}:{self.advertised_port or port}"


def listener(options: Mapping[str, str], host: str) -> Listener:
    """What the options say; ``host`` is the JobManager's address. Raises UserError."""
    address, port = _address(options)
    certificate, key = options.get(CERTIFICATE, "").strip(), options.get(KEY, "").strip()
    if key and not certificate:
        raise UserError(f"option {KEY} needs {CERTIFICATE}")
    if not flag(options, TLS):
        certificate = key = ""
    elif not certificate and flag(options, "security.ssl.rest.enabled"):
        raise UserError(
            f"security.ssl.rest.enabled asks for TLS for artifacts, too: give {CERTIFICATE} (a PEM file; Flink's "
            f"keystores can't be read here), or -D{TLS}=false"
        )
    return Listener(
        bind=options.get(BIND, "").strip() or host,
        port=integer(options, PORT, 0, at_most=65535),
        address=address or host,
        advertised_port=port,
        certificate=certificate,
        key=key,
    )


def _address(options: Mapping[str, str]) -> tuple[str, int]:
    """``host``, ``host:port`` or ``[ipv6]:port``."""
    text = options.get(ADDRESS, "").strip()
    host, separator, port = text.rpartition(":")
    if not separator or (":" in host and not host.endswith("]")) or text.endswith("]"):
        return text.strip("[]"), 0
    if not (port.isdigit() and 0 < int(port) < 65536 and host):
        raise UserError(f"option {ADDRESS} is {text!r}; write host or host:port")
    return host.strip("[]"), int(port)
