"""Starts a daemon and finds out whether it is the one that answers on its port, with the settings that it was given."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from headrace.deploy import processes
from headrace.deploy.layout import AGENT
from headrace.deploy.processes import Identity, Noted
from headrace.deploy.report import Report
from headrace.deploy.settings import Settings
from headrace.kernel import listeners
from headrace.kernel.daemon import Ready, UserError, read_ready

_POLL = 0.05
_TAIL = 64 * 1024


class _Flags(msgspec.Struct):
    flags: dict[str, str]


class _AgentState(msgspec.Struct):
    registered: bool = False


def address_of(ip: str) -> str:
    """The address of a name, or the address itself. Raises UserError."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(ip))
    try:
        return socket.gethostbyname(ip)
    except OSError as error:
        raise UserError(
            f"this machine does not know the address of its own name {ip}: {error.strerror}; "
            "put it into /etc/hosts or DNS, or set MESOS_ip and MESOS_hostname"
        ) from None


def loopback_name(ip: str) -> str:
    """What is wrong with a name that leads other machines to themselves; empty if nothing is."""
    address = address_of(ip)
    if ip == address or not ipaddress.ip_address(address).is_loopback:
        return ""
    return (
        f"the name {ip} is {address} on this machine, so other machines could not reach the daemon; "
        "correct /etc/hosts, or set MESOS_ip and MESOS_hostname"
    )


def launch(daemon: Settings) -> Noted:
    """Start the process, in a session of its own, and note it in the pid file. Raises UserError."""
    log = Path(daemon.log)
    try:
        Path(daemon.work_dir).mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    except OSError as error:
        raise UserError(f"{error.filename} can't be made or written: {error.strerror}") from None
    with output:
        begin = output.tell()
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", daemon.component.module],
            env=_with_our_programs(daemon.environment),
            cwd=daemon.work_dir,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    identity = processes.identify(process.pid)
    if identity is None:
        raise UserError(f"it ended at once: {last_words(log) or 'it said nothing'} (in {log})")
    noted = Noted(identity, begin)
    processes.write_pid_file(Path(daemon.pid_file), noted)
    return noted


def _with_our_programs(environment: dict[str, str]) -> dict[str, str]:
    """PATH with the directory of this Python at its end: tasks of an agent find ``mesos-appmaster.sh`` there."""
    own = os.path.dirname(sys.executable)
    path = environment.get("PATH", "/usr/local/bin:/usr/bin:/bin")
    return environment if own in path.split(":") else {**environment, "PATH": f"{path}:{own}"}


def look(daemon: Settings, noted: Noted, state: str, notes: list[str], *, patience: float) -> Report:
    """Wait until the daemon answers as itself, and an agent is registered. Raises UserError if it does not answer."""
    deadline = time.monotonic() + patience
    url = noted.url or _wait_until_ready(daemon, noted, deadline)
    processes.write_pid_file(Path(daemon.pid_file), msgspec.structs.replace(noted, url=url))
    _check_owner(daemon, noted.process, url)
    _check_flags(daemon, url)
    problem = ""
    if daemon.component is AGENT:
        while not (registered := msgspec.json.decode(_get(url + "/state"), type=_AgentState).registered):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL)
        if not registered:
            master = daemon.environment.get("MESOS_master") or daemon.environment.get("MESOS_MASTER", "the master")
            problem = f"it runs, but is not registered with {master} (is that reachable from here? see {daemon.log})"
    return Report(state, noted.process.pid, url, problem, notes)


def foreign_owner(daemon: Settings, identity: Identity) -> str:
    """Who else has the daemon's port; empty if nobody has."""
    pid = listeners.owner(daemon.port, address_of(daemon.ip)) if daemon.port else None
    return "" if pid in (None, identity.pid) else f"{processes.shown(pid or 0)} has port {daemon.port} now"


def last_words(log: Path) -> str:
    """The last line of a log; empty if there is none."""
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
        lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")
    return ""


def _wait_until_ready(daemon: Settings, noted: Noted, deadline: float) -> str:
    log = Path(daemon.log)
    while True:
        if (ready := _ready_line(log, noted.log_begin)) is not None:
            return ready.url
        if processes.identify(noted.process.pid) != noted.process:
            raise UserError(f"{last_words(log) or 'it ended and said nothing'} (in {log})")
        if time.monotonic() > deadline:
            raise UserError(f"it does not answer; the end of {log}: {last_words(log) or 'nothing'}")
        time.sleep(_POLL)


def _ready_line(log: Path, begin: int) -> Ready | None:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(begin)
        for line in file:
            if line.endswith(b"\n") and (ready := read_ready(line.decode("utf-8", "replace"))) is not None:
                return ready
    return None


def _check_owner(daemon: Settings, identity: Identity, url: str) -> None:
    parts = urlsplit(url)
    _get(url + "/health")
    pid = listeners.owner(parts.port or 0, address_of(daemon.ip))
    if pid is not None and pid != identity.pid:
        raise UserError(f"{url} is answered by {processes.shown(pid)}, not by process {identity.pid}")


def _check_flags(daemon: Settings, url: str) -> None:
    told = msgspec.json.decode(_get(url + "/flags"), type=_Flags).flags.get("work_dir", "")
    if os.path.realpath(told) != os.path.realpath(daemon.work_dir):
        raise UserError(f"{url} has work_dir {told}, not {daemon.work_dir}: it was started with other settings")


def _get(url: str) -> bytes:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"{url} does not answer: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise UserError(f"{url} says {answer.status}")
    return body
