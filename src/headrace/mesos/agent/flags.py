"""The agent's command line. Mesos's names are accepted with underscores or hyphens."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from headrace.kernel.daemon import UserError
from headrace.mesos.agent.link import master_url

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}


class Flags(msgspec.Struct, frozen=True):
    """What the agent was started with. ``gc_delay`` in seconds."""

    master: str
    host: str
    port: int
    data: Path
    resources: str
    attributes: str
    hostname: str
    executor_environment_variables: dict[str, str]
    fetcher_cache_size_mib: int
    gc_delay: float
    log_level: str

    def shown(self) -> dict[str, str]:
        """As /flags tells them: without the values of variables, which may be secret."""
        names = ", ".join(sorted(self.executor_environment_variables))
        return {
            "master": self.master,
            "ip": self.host,
            "port": str(self.port),
            "work_dir": str(self.data),
            "resources": self.resources,
            "attributes": self.attributes,
            "hostname": self.hostname,
            "executor_environment_variables": names,
            "fetcher_cache_size": f"{self.fetcher_cache_size_mib}MB",
            "fetcher_cache_dir": str(self.data / "fetch-cache"),
            "gc_delay": f"{self.gc_delay:g}secs",
            "logging_level": self.log_level,
        }


def parse(arguments: Sequence[str]) -> Flags:
    """Read the command line. Exits with status 2 for what argparse refuses; raises UserError for the rest."""
    parser = argparse.ArgumentParser(
        prog="headrace agent",
        description="Offers this machine's resources to a Mesos master and runs tasks for it.",
        allow_abbrev=False,
        # with a width of its own, argparse does not import shutil, which would cost 0.7 MB for good
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    add = parser.add_argument
    add("--master", required=True, help="host:port or http://host:port")
    add("--host", "--ip", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", type=int, default=5051, help="port to listen on, 0 for a free one (default 5051)")
    add("--data", "--work-dir", "--work_dir", type=Path, required=True, help="directory for state and sandboxes")
    add("--resources", default="", help="such as cpus:8;mem:8192;ports:[31000-32000]; the rest is detected")
    add("--attributes", default="", help="such as rack:r1;zone:z")
    add("--hostname", default="", help="what offers name (default: the address)")
    add("--executor-environment-variables", "--executor_environment_variables", default="{}", help="a JSON object")
    add("--fetcher-cache-size-mib", "--fetcher_cache_size_mib", type=int, default=2048)
    add("--gc-delay", "--gc_delay", default="1weeks", help="how long sandboxes of ended tasks stay: 10mins, 1weeks, 30")
    add(
        "--log-level",
        "--logging-level",
        "--logging_level",
        default="INFO",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
    )
    given = parser.parse_args(arguments)
    try:
        return Flags(
            master=master_url(given.master),
            host=given.host,
            port=given.port,
            data=Path(given.data).absolute(),
            resources=given.resources,
            attributes=given.attributes,
            hostname=given.hostname,
            executor_environment_variables=_environment(given.executor_environment_variables),
            fetcher_cache_size_mib=max(0, given.fetcher_cache_size_mib),
            gc_delay=_duration("--gc-delay", given.gc_delay),
            log_level=given.log_level,
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def _environment(text: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise ValueError(f"--executor-environment-variables: not a JSON object of texts: {error}") from None


def _duration(flag: str, text: str) -> float:
    """Seconds of ``10mins``, ``1.5hrs`` or a plain number of seconds. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", text.strip())
    unit = _UNITS.get(match[2] or "secs") if match else None
    if match is None or unit is None:
        raise ValueError(f"{flag}: {text!r} is no duration; give seconds, or a number with {', '.join(_UNITS)}")
    return float(match[1]) * unit
