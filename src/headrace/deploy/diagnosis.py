"""What is to be reached in a cluster, and what it means if it can't be; pure.

A port that nobody listens on is *refused* at once; a firewall that drops packets is *silence*; one that rejects them
says that the host or the network can't be reached, while another port of the same host answers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

import msgspec

from headrace.gateway.overview import FrameworkState, MasterState

MOST_SKEW = 5.0
"""Seconds that clocks may differ; HTTP tells whole seconds."""

_PATH = re.compile(r"@([^/@]+):(\d+)/")
_PORTS = re.compile(r"(\d+)-(\d+)")


class Outcome(StrEnum):
    """What became of a connection."""

    OPEN = "open"
    REFUSED = "refused"
    SILENT = "silent"
    REJECTED = "rejected"
    UNKNOWN = "unknown name"


class Endpoint(msgspec.Struct, frozen=True):
    """A port that must be reachable, and whose it is."""

    what: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.what} at {host}:{self.port}"


class Probe(msgspec.Struct, frozen=True):
    """One attempt to connect. ``addresses``: what the name stands for here; ``said``: the kernel's words."""

    endpoint: Endpoint
    outcome: Outcome
    addresses: list[str] = []
    said: str = ""


def endpoint(what: str, url: str, default_port: int = 80) -> Endpoint | None:
    """The endpoint of a URL, of host:port, or of ``name@host:port``; None if it is none."""
    address = url.rpartition("@")[2] if "://" not in url else url
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        port = parts.port or default_port
    except ValueError:
        return None
    return Endpoint(what, parts.hostname, port) if parts.hostname else None


def of_master(state: MasterState) -> list[Endpoint]:
    """Agents, and what each framework's own labels and links tell: Marathon, JobManagers, artifact servers."""
    found = [endpoint(f"agent {agent.hostname}", agent.pid) for agent in state.slaves if agent.active]
    for framework in state.frameworks:
        if framework.active:
            found += _of_framework(framework)
    return unique(one for one in found if one is not None)


def _of_framework(framework: FrameworkState) -> Iterator[Endpoint | None]:
    cluster = framework.label("headrace.cluster")
    if framework.webui_url:
        what = f"JobManager's REST of Flink cluster {cluster}" if cluster else f"framework {framework.name}"
        yield endpoint(what, framework.webui_url)
    if url := framework.label("headrace.appmaster"):
        yield endpoint(f"artifact server of Flink cluster {cluster}", url)


def of_flink(
    cluster: str, config: Iterable[Mapping[str, str]], managers: Iterable[Mapping[str, object]]
) -> list[Endpoint]:
    """RPC of the JobManager, RPC and data of TaskManagers: out of Flink's /jobmanager/config and /taskmanagers."""
    options = {str(pair.get("key")): str(pair.get("value")) for pair in config}
    found: list[Endpoint] = []
    host, port = options.get("jobmanager.rpc.address", ""), options.get("jobmanager.rpc.port", "")
    if host and port.isdigit() and int(port):
        found.append(Endpoint(f"JobManager's RPC of Flink cluster {cluster}", host, int(port)))
    for manager in managers:
        match = _PATH.search(str(manager.get("path", "")))
        if match is None:
            continue
        name = f"TaskManager {manager.get('id', '')}"
        found.append(Endpoint(f"RPC of {name}", match[1], int(match[2])))
        data = manager.get("dataPort")
        if isinstance(data, int) and data > 0:
            found.append(Endpoint(f"data port of {name}", match[1], data))
    return unique(found)


def unique(endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """Each host and port once."""
    return list({(one.host, one.port): one for one in reversed(list(endpoints))}.values())[::-1]


def problems(probes: Sequence[Probe]) -> list[str]:
    """What an operator has to put right; nothing if all is well."""
    answering = {probe.endpoint.host for probe in probes if probe.outcome is Outcome.OPEN}
    out = [_told(probe, answering) for probe in probes if probe.outcome is not Outcome.OPEN]
    return [*out, *_loopbacks(probes)]


def _told(probe: Probe, answering: set[str]) -> str:
    subject, host = str(probe.endpoint), probe.endpoint.host
    if probe.outcome is Outcome.UNKNOWN:
        return f"{subject}: the name {host} is not known here; put it into DNS or /etc/hosts of every machine"
    if probe.outcome is Outcome.REFUSED:
        return (
            f"{subject}: refused: nobody listens there. Either it has ended, or it listens on another address "
            "(127.0.0.1?), or a firewall rejects with a reset"
        )
    if probe.outcome is Outcome.SILENT:
        if host in answering:
            return f"{subject}: no answer, while other ports of {host} answer: a firewall drops what comes to this port"
        return f"{subject}: no answer: a firewall drops what comes to it, or the machine is down"
    if host in answering:
        return f"{subject}: rejected ({probe.said}), while other ports of {host} answer: a firewall rejects this port"
    return f"{subject}: rejected ({probe.said}): a firewall rejects it, or there is no route to the machine"


def _loopbacks(probes: Sequence[Probe]) -> list[str]:
    """Names that lead to this machine itself in a cluster that has other machines."""
    addresses = {probe.endpoint.host: probe.addresses for probe in probes if probe.addresses}
    elsewhere = any(not _loopback(address) for found in addresses.values() for address in found)
    out = []
    for host, found in addresses.items():
        if elsewhere and all(map(_loopback, found)):
            out.append(
                f"{host} is {', '.join(found)} here, a loopback address, in a cluster of several machines: "
                "let it stand for the machine's own address in /etc/hosts, or give --ip and --hostname"
            )
    return out


def _loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def openings(probes: Sequence[Probe]) -> list[str]:
    """The commands that open what a firewall may have closed, per host."""
    blocked: dict[str, list[int]] = {}
    for probe in probes:
        if probe.outcome in (Outcome.SILENT, Outcome.REJECTED):
            blocked.setdefault(probe.endpoint.host, []).append(probe.endpoint.port)
    lines: list[str] = []
    for host, ports in blocked.items():
        lines += [
            f"on {host}, as root, by the firewall that it has:",
            *(f"  {line}" for line in _commands(sorted(ports))),
        ]
    return lines


def _commands(ports: Sequence[int]) -> Iterator[str]:
    yield (
        " ".join(["firewall-cmd --permanent", *(f"--add-port={port}/tcp" for port in ports)])
        + " && firewall-cmd --reload"
    )
    yield " && ".join(f"ufw allow {port}/tcp" for port in ports)
    several = ", ".join(map(str, ports))
    yield f"nft add rule inet filter input tcp dport {{ {several} }} accept"
    yield f"iptables -I INPUT -p tcp -m multiport --dports {','.join(map(str, ports))} -j ACCEPT"


def skew(what: str, theirs: float, ours: float) -> str:
    """What is wrong with a clock; empty if it is right."""
    difference = theirs - ours
    if abs(difference) <= MOST_SKEW:
        return ""
    way = "ahead of" if difference > 0 else "behind"
    return f"the clock of {what} is {abs(difference):.0f} s {way} this machine's; let NTP set both"


def shared_ports(state: MasterState, ephemeral: tuple[int, int]) -> list[str]:
    """Agents that offer ports which kernels give to any outgoing connection; the range is this machine's."""
    first, last = ephemeral
    for agent in state.slaves:
        for begin, end in _PORTS.findall(str(agent.resources.get("ports", ""))):
            if int(begin) <= last and int(end) >= first:
                return [
                    f"agent {agent.hostname} offers ports {begin}-{end}, of which this machine's kernel gives "
                    f"{first}-{last} to any connection: a task may find its port taken. Offer others (--resources), "
                    "or change net.ipv4.ip_local_port_range"
                ]
    return []
