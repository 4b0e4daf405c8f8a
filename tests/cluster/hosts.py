"""Several hosts on one machine: each a network namespace with its own address, host name and ``/etc/hosts``.

They hang on one bridge, and so does this machine, with an address of its own. The bridge is in a namespace, too, so
that no packet filter of this machine (Docker sets one up) comes between them. Needs root.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

# the mount is seen by this command alone; each program becomes the next, so that the process id stays
_ENTER = 'mount --bind "$1" /etc/hosts && hostname "$2" && shift 2 && exec "$@"'


class Host:
    """One of them. ``prefix`` makes a command run there."""

    def __init__(self, name: str, address: str, namespace: str, hosts: Path) -> None:
        self.name, self.address = name, address
        enter = ["nsenter", f"--net=/run/netns/{namespace}", "unshare", "--mount", "--uts"]
        self.prefix = [*enter, "sh", "-c", _ENTER, "host", str(hosts), name]

    def run(self, directory: Path, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command there, in ``directory``, to its end."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = {**os.environ, "PATH": path, **environment}
        command = [*self.prefix, *command]
        return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=120, check=False, env=env)


class Network:
    """The hosts, and ``address``: that of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mark = f"hr{os.getpid()}"
        self._switch = f"{self._mark}-0"
        self._namespaces = [self._switch]
        self._hosts: list[Host] = []
        shown = json.loads(_ip("-4", "-j", "address"))
        taken = {entry["local"].rpartition(".")[0] for link in shown for entry in link["addr_info"]}
        self._prefix = next(net for net in (f"10.214.{i}" for i in range(250)) if net not in taken)
        self.address = f"{self._prefix}.1"
        _ip("netns", "add", self._switch)
        _ip("-n", self._switch, "link", "add", "bridge", "up", "type", "bridge")
        self._plug(self.address, self._mark, "")

    def add(self, *names: str) -> list[Host]:
        """Hosts that know each other, and themselves by 127.0.1.1 if they are called debian, as Debian does it."""
        first = len(self._hosts) + 2
        known = {name: f"{self._prefix}.{first + i}" for i, name in enumerate(names)}
        for name, address in known.items():
            namespace = f"{self._mark}-{address.rpartition('.')[2]}"
            _ip("netns", "add", namespace)
            self._namespaces.append(namespace)
            _ip("-n", namespace, "link", "set", "lo", "up")
            self._plug(address, "eth0", namespace)
            lines = {"localhost": "127.0.0.1", **known, **({"debian": "127.0.1.1"} if name == "debian" else {})}
            hosts = self._directory / f"hosts-{name}"
            hosts.write_text("".join(f"{where} {who}\n" for who, where in lines.items()))
            self._hosts.append(Host(name, address, namespace, hosts))
        return self._hosts[first - 2 :]

    def _plug(self, address: str, device: str, namespace: str) -> None:
        """Connect the bridge with a new device in a namespace, or on this machine."""
        end = f"port{address.rpartition('.')[2]}"
        there = ["-n", namespace] if namespace else []
        _ip(*there, "link", "add", device, "type", "veth", "peer", "name", end, "netns", self._switch)
        _ip("-n", self._switch, "link", "set", end, "master", "bridge", "up")
        _ip(*there, "address", "add", f"{address}/24", "dev", device)
        _ip(*there, "link", "set", device, "up")

    def url(self, url: str) -> str:
        """The same URL by its host's address, as this machine knows no names."""
        for host in self._hosts:
            url = url.replace(f"//{host.name.lower()}:", f"//{host.address}:")
        return url

    def close(self) -> None:
        _ip("link", "delete", self._mark)
        for namespace in self._namespaces:
            _ip("netns", "delete", namespace)


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=True).stdout


@contextmanager
def network(directory: Path) -> Iterator[Network]:
    """Gone at the end, once nothing runs on the hosts any more."""
    it = Network(directory)
    try:
        yield it
    finally:
        it.close()
