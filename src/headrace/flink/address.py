"""The names of this machine and of the master: found, and checked before anything is built upon them.

The address of the JobManager is what TaskManagers connect to, from other machines too. One that does not
resolve, is none of this machine's, or is a loopback address while the master is elsewhere would show only as
TaskManagers that never register, so it is an error at start.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from headrace.kernel.daemon import UserError
from headrace.mesos import masters
from headrace.mesos.masters import master_hosts, shown


class TakenPortError(UserError):
    """A port that nobody chose is taken: with the next one it may go well."""


Resolver = Callable[[str], list[str]]

_ADVICE = (
    "give a name or address of this machine that agents can reach, by -Djobmanager.rpc.address=… "
    "(or correct the name in DNS or /etc/hosts)"
)


def read_master(text: str) -> str:
    """The master that ``mesos.master`` names; ``file:///path`` is a file that says it. Raises UserError."""
    return masters.read_master(text, "mesos.master")


def addresses_of(host: str) -> list[str]:
    """The IP addresses of a name; none if it does not resolve."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_local(address: str) -> bool:
    """Whether it is an address of this machine."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def local_address(master: str, resolve: Resolver = addresses_of) -> str:
    """Our address on the way to the master; no packet is sent. Raises UserError if the master's name is unknown."""
    hosts = master_hosts(master)
    host, found = next(((host, found) for host in hosts if (found := resolve(host))), (hosts[0], []))
    if not found:
        raise UserError(
            f"mesos.master: {', '.join(hosts)} does not resolve, so our own address can't be told; {_ADVICE}"
        )
    family = socket.AF_INET6 if ":" in found[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((found[0], 9))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UserError(f"mesos.master: there is no way to {host} ({found[0]}): {error.strerror}; {_ADVICE}") from error


def check(
    host: str,
    master: str,
    bind_host: str = "",
    *,
    resolve: Resolver = addresses_of,
    local: Callable[[str], bool] = is_local,
) -> None:
    """Raise UserError if TaskManagers could not reach ``host``.

    ``bind_host`` is where the JobManager listens if that is another address: then ``host`` may be somebody else's
    that leads here.
    """
    said = f"the JobManager's address {host} (jobmanager.rpc.address)"
    own = resolve(host)
    if not own:
        raise UserError(f"{said} does not resolve here; {_ADVICE}")
    foreign = not any(map(local, own))
    if foreign and not bind_host:
        raise UserError(
            f"{said} is {', '.join(own)}, which is no address of this machine; {_ADVICE}; if it leads here by "
            "address translation, say where to listen by -Djobmanager.bind-host=… and "
            "-Dheadrace.artifactserver.bind-host=…"
        )
    found = [address for name in master_hosts(master) for address in resolve(name)]
    if not found or any(map(local, found)):
        return
    if any(map(_loops, own)):
        raise UserError(
            f"{said} is {', '.join(own)}, a loopback address, but the master {shown(master)} is another machine, from "
            f"which it can't be reached; {_ADVICE}"
        )
    if bind_host and all(map(_loops, resolve(bind_host) or [""])):
        raise UserError(
            f"jobmanager.bind-host is {bind_host}, a loopback address, but the master {shown(master)} is another "
            "machine, from which it can't be reached; leave jobmanager.bind-host away"
        )


def check_port_free(option: str, host: str, port: int) -> None:
    """Raise UserError if ``port`` (0: any) can't be listened on; TakenPortError if ``option`` is a variable."""
    if not port:
        return
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if option.startswith("$"):
                raise TakenPortError(
                    f"{option} {port}, the port that this task was given: can't listen on {host}:{port}: "
                    f"{error.strerror}; another process of this machine uses it"
                ) from error
            raise UserError(
                f"{option} {port}: can't listen on {host}:{port}: {error.strerror}; "
                f"give another port, or leave {option} away to get a free one"
            ) from error


def _loops(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
