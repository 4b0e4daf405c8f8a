"""The agent's command line. Mesos's names are accepted with underscores or hyphens."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from headrace.kernel.daemon import UserError
from headrace.kernel.flags import Parser, not_empty, port
from headrace.kernel.log import LEVELS
from headrace.mesos.agent.core.executors import Timeouts
from headrace.mesos.agent.docker import flags as docker_flags
from headrace.mesos.agent.docker.flags import DockerFlags
from headrace.mesos.agent.flags import executors as executor_flags
from headrace.mesos.agent.flags import sandboxes as sandbox_flags
from headrace.mesos.agent.flags.sandboxes import SandboxFlags
from headrace.mesos.agent.flags.units import duration as _duration
from headrace.mesos.agent.isolation import flags as isolation_flags
from headrace.mesos.agent.isolation.flags import IsolationFlags
from headrace.mesos.agent.offered import ANYBODY, check_role, contents
from headrace.mesos.flags import completed, domain_flag, hostname
from headrace.mesos.masters import master_address, shown
from headrace.mesos.messages.common import DomainInfo


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
    gc_delay: float
    log_level: str
    default_role: str = ANYBODY
    domain: DomainInfo | None = None
    executors: Timeouts = Timeouts()
    sandboxes: SandboxFlags = SandboxFlags()
    isolation: IsolationFlags = IsolationFlags()
    docker: DockerFlags = DockerFlags()

    @property
    def fetcher_cache_dir(self) -> Path:
        return self.sandboxes.fetcher_cache_dir or self.data / "fetch-cache"

    def shown(self) -> dict[str, str]:
        """As /flags tells them: without the values of variables, which may be secret."""
        names = ", ".join(sorted(self.executor_environment_variables))
        return {
            "master": shown(self.master),
            "ip": self.host,
            "port": str(self.port),
            "work_dir": str(self.data),
            "resources": self.resources,
            "attributes": self.attributes,
            "hostname": self.hostname,
            "executor_environment_variables": names,
            "fetcher_cache_dir": str(self.fetcher_cache_dir),
            "gc_delay": f"{self.gc_delay:g}secs",
            "logging_level": self.log_level,
            "default_role": self.default_role,
            "domain": "" if self.domain is None else msgspec.json.encode(self.domain).decode(),
            **executor_flags.shown(self.executors),
            **self.sandboxes.shown(),
            **self.isolation.shown(),
            **self.docker.shown(),
        }


def parser() -> Parser:
    """What reads the command line."""
    parser = Parser(
        "headrace agent",
        "Offers this machine's resources to a Mesos master and runs tasks for it. "
        "MESOS_<FLAG> in the environment is read as well.",
    )
    add = parser.add_argument
    add("--master", required=True, help="host:port, http://host:port, zk://host:port,…/mesos, or file:///path")
    add("--host", "--ip", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--port", default="5051", help="port to listen on, 0 for a free one (default 5051)")
    add("--data", "--work-dir", "--work_dir", required=True, help="directory for state and sandboxes")
    add("--resources", default="", help="such as cpus:8;mem:8192;ports:[31000-32000]; the rest is detected")
    add("--attributes", default="", help="such as rack:r1;zone:z")
    add("--hostname", help="what offers name (default: the address)")
    add("--executor-environment-variables", "--executor_environment_variables", default="{}", help="a JSON object")
    add("--default-role", "--default_role", default=ANYBODY, help="whose resources are that name no role")
    add("--domain", default="", help="where it is, as JSON or a file of it: a fault domain of region and zone")
    executor_flags.add_to(parser)
    sandbox_flags.add_to(parser)
    isolation_flags.add_to(parser)
    docker_flags.add_to(parser)
    add("--gc-delay", "--gc_delay", default="1weeks", help="how long sandboxes of ended tasks stay: 10mins, 1weeks, 30")
    add(
        "--log-level",
        "--logging-level",
        "--logging_level",
        default="INFO",
        type=str.upper,
        choices=LEVELS,
        help="what is logged (default INFO)",
    )
    return parser


def parse(arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> Flags:
    """Read the command line, and MESOS_… of the environment for what it lacks. Raises UserError."""
    reader = parser()
    with completed(reader, arguments, environment) as words:
        return _parsed(reader.parse_args(words))


def _parsed(given: argparse.Namespace) -> Flags:
    not_empty(given, ("master", "host", "port", "data", "hostname"))
    try:
        return Flags(
            master=master_address(given.master),
            host=given.host,
            port=port("--port", given.port),
            data=Path(given.data).absolute(),
            resources=given.resources,
            attributes=given.attributes,
            hostname=hostname(given.hostname),
            executor_environment_variables=_environment(given.executor_environment_variables),
            gc_delay=_duration("--gc-delay", given.gc_delay),
            log_level=given.log_level,
            default_role=_role(given.default_role),
            domain=domain_flag(given.domain),
            executors=executor_flags.read(given),
            sandboxes=sandbox_flags.read(given),
            isolation=isolation_flags.read(given),
            docker=docker_flags.read(given),
        )
    except ValueError as error:
        raise UserError(str(error)) from None


def _role(name: str) -> str:
    try:
        check_role(name)
    except ValueError as error:
        raise ValueError(f"--default_role: {error}") from None
    return name


def _environment(text: str) -> dict[str, str]:
    text = contents("--executor-environment-variables", text)
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise ValueError(f"--executor-environment-variables: not a JSON object of texts: {error}") from None
