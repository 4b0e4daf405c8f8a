"""``headrace doctor``: tries from this machine whatever a cluster needs, and says what is blocked or wrong.

What there is comes from the master, from Flink's REST and, if the master can't be reached, from MESOS_HOME's lists.
Exit status 0 if all is well, 1 if something is not, 2 for a mistake.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import sys
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import msgspec

from headrace.deploy import diagnosis, layout
from headrace.deploy.diagnosis import Endpoint, Outcome, Probe
from headrace.flink import distribution
from headrace.gateway.overview import MasterState
from headrace.kernel.daemon import EXIT_USAGE, UserError
from headrace.kernel.flags import Parser
from headrace.kernel.http import HttpClient, HttpClientError

_REJECTED = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES, errno.EPERM, errno.EHOSTDOWN)
_NUMBER = re.compile(r"\[Errno (\d+)\]")
_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_EXIT_SICK = 1


class Findings(msgspec.Struct):
    """What was looked at, and what was found."""

    probes: list[Probe] = []
    problems: list[str] = []
    advice: list[str] = []
    notes: list[str] = []


async def examine(master: str, marathon: str, more: Iterable[str], home: str, timeout: float) -> Findings:
    """Look at everything. Raises UserError for addresses that are none."""
    http = HttpClient()
    try:
        return await _examine(http, _given(master, marathon, more), master, home, timeout)
    finally:
        http.close()


async def _examine(http: HttpClient, given: list[Endpoint], master: str, home: str, timeout: float) -> Findings:
    findings = Findings()
    probes = await _try_all(given, timeout)
    url = master if "://" in master else f"http://{master}"
    if probes[0].outcome is Outcome.OPEN:
        state = await _read(http, f"{url}/master/state", MasterState, timeout)
        if state is None:
            findings.problems.append(f"{given[0]} is no Mesos master: it has no /master/state")
            state = MasterState()
        found = diagnosis.of_master(state)
        found += await _flinks(http, state, timeout)
        findings.problems += diagnosis.shared_ports(state, _ephemeral_ports())
    else:
        found = _listed(home)
    known = {(one.host, one.port) for one in given}
    probes += await _try_all([one for one in diagnosis.unique(found) if (one.host, one.port) not in known], timeout)
    findings.probes = probes
    findings.problems += diagnosis.problems(probes)
    findings.advice = diagnosis.openings(probes)
    clocks = [
        p.endpoint for p in probes if p.outcome is Outcome.OPEN and p.endpoint.what.startswith(("master", "agent "))
    ]
    findings.problems += filter(None, await asyncio.gather(*(_clock(http, one, timeout) for one in clocks)))
    _this_machine(findings)
    return findings


def _given(master: str, marathon: str, more: Iterable[str]) -> list[Endpoint]:
    addresses = [("master", master, 5050), ("Marathon", marathon, 8080), *((f"given {one}", one, 0) for one in more)]
    out = []
    for what, address, port in addresses:
        one = diagnosis.endpoint(what.partition(" ")[0], address, port)
        if address and (one is None or not one.port):
            raise UserError(f"{address!r} is no address; give host:port")
        if address and one is not None:
            out.append(one)
    return out


def _listed(home: str) -> list[Endpoint]:
    """What the lists of machines say, with the usual ports; nothing if there are none."""
    try:
        place = layout.home_of(os.environ, home)
        components = (layout.MASTER, layout.AGENT)
        return [
            Endpoint(one.name.removeprefix("mesos-") + " " + host, host.rpartition("@")[2], one.port)
            for one in components
            for host in layout.hosts(place, one)
        ]
    except UserError:
        if home:
            raise
        return []


async def _flinks(http: HttpClient, state: MasterState, timeout: float) -> list[Endpoint]:
    """What each Flink cluster's REST tells; nothing of one that does not answer."""
    found: list[Endpoint] = []
    for framework in state.frameworks:
        cluster = framework.label("headrace.cluster")
        if not (cluster and framework.active and framework.webui_url):
            continue
        url = framework.webui_url.rstrip("/")
        config = await _read(http, f"{url}/jobmanager/config", list[dict[str, Any]], timeout)
        managers = await _read(http, f"{url}/taskmanagers", dict[str, list[dict[str, Any]]], timeout)
        found += diagnosis.of_flink(cluster, config or [], (managers or {}).get("taskmanagers", []))
    return found


async def _read(http: HttpClient, url: str, kind: Any, timeout: float) -> Any:
    try:
        answer = await http.request("GET", url, timeout=max(timeout, 10.0))
        return msgspec.json.decode(answer.body, type=kind) if answer.status == 200 else None
    except (HttpClientError, msgspec.DecodeError):
        return None


async def _clock(http: HttpClient, one: Endpoint, timeout: float) -> str:
    host = f"[{one.host}]" if ":" in one.host else one.host
    try:
        answer = await http.request("GET", f"http://{host}:{one.port}/health", timeout=timeout)
        theirs = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (HttpClientError, ValueError):
        return ""
    return diagnosis.skew(str(one), theirs, time.time())


async def _try_all(endpoints: Iterable[Endpoint], timeout: float) -> list[Probe]:
    return list(await asyncio.gather(*(probe(one, timeout) for one in endpoints)))


async def probe(one: Endpoint, timeout: float) -> Probe:
    """Try to connect."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(one.host, one.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Probe(one, Outcome.UNKNOWN, [], str(error))
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(one.host, one.port)
    except TimeoutError:
        return Probe(one, Outcome.SILENT, addresses)
    except OSError as error:
        numbers = (
            {error.errno} if error.errno else {int(n) for n in _NUMBER.findall(str(error))}
        )  # one for each address
        if numbers & set(_REJECTED):
            outcome = Outcome.REJECTED
        else:
            outcome = Outcome.SILENT if errno.ETIMEDOUT in numbers else Outcome.REFUSED
        said = ", ".join(os.strerror(number) for number in sorted(numbers)) or str(error)
        return Probe(one, outcome, addresses, said)
    writer.close()
    return Probe(one, Outcome.OPEN, addresses)


def _this_machine(findings: Findings) -> None:
    """Whether an application master could start here."""
    try:
        java = distribution.find_java({}, os.environ)
        findings.notes.append(f"Java here: {java}, version {distribution.java_version(java)}")
        flink = distribution.find_flink({}, os.environ)
        findings.notes.append(f"Flink here: {flink.jars[-1].path.name}")
    except UserError as error:
        findings.notes.append(f"an application master could not start on this machine: {error}")
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)
    except OSError:
        findings.problems.append(f"this machine's own name {name} is not known; put it into /etc/hosts")
    else:
        findings.notes.append(f"this machine: {name}, {address}")


def _ephemeral_ports() -> tuple[int, int]:
    try:
        first, last = _EPHEMERAL.read_text().split()
    except (OSError, ValueError):
        return (0, -1)
    return (int(first), int(last))


def show(findings: Findings) -> None:
    """Print it for people."""
    for one in findings.probes:
        print(f"{'ok  ' if one.outcome is Outcome.OPEN else 'BAD '} {one.endpoint}")
    for note in findings.notes:
        print(f"     {note}")
    for problem in findings.problems:
        print(f"\n{problem}")
    if findings.advice:
        print("\nTo open the ports that a firewall may have closed,")
        for line in findings.advice:
            print(line)
    if not findings.problems:
        print("\nNothing is wrong, as far as it can be seen from this machine.")


def main(arguments: list[str]) -> int:
    """Run the command; returns the exit status."""
    try:
        given = _parser().parse_args(arguments)
        findings = asyncio.run(examine(given.master, given.marathon, given.port, given.home, given.timeout))
    except UserError as error:
        sys.stderr.write(f"headrace doctor: {error}\n")
        return EXIT_USAGE
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        show(findings)
    return _EXIT_SICK if findings.problems else 0


def _parser() -> Parser:
    parser = Parser("headrace doctor", "Find out what of a cluster is blocked or wrong, as this machine sees it.")
    environ = os.environ
    master = environ.get("HEADRACE_MASTER", "http://127.0.0.1:5050")
    parser.add_argument("--master", default=master, metavar="URL", help="the Mesos master; $HEADRACE_MASTER")
    parser.add_argument(
        "--marathon", default=environ.get("HEADRACE_MARATHON", ""), metavar="URL", help="Marathon; $HEADRACE_MARATHON"
    )
    parser.add_argument(
        "--port", action="append", default=[], metavar="HOST:PORT", help="one more port; may be repeated"
    )
    parser.add_argument("--home", default="", metavar="DIR", help="MESOS_HOME, for when the master can't be reached")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="S", help="seconds until a port counts as silent")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser
