"""What one Flink cluster is: everything that follows from its options and its environment.

``resolve`` reads them once, at start; what it returns does not change while the cluster lives.
Raises UserError for whatever the user has to put right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from headrace.flink import memory, options, reading, requirements
from headrace.flink.high_availability import slot_name
from headrace.flink.listener import Listener, listener
from headrace.flink.memory import MIB, JobManagerMemory
from headrace.flink.options import FlinkOptions
from headrace.flink.task_options import TaskOptions, task_options
from headrace.kernel.daemon import UserError
from headrace.mesos.messages.common import Capability, FrameworkInfo, Label, Labels

ON_STOP, ASK = "headrace.appmaster.on-stop", "ask"
_STOPS = (ASK, "destroy", "suspend", "restart")
CAPABILITIES = ("PARTITION_AWARE", "MULTI_ROLE", "RESERVATION_REFINEMENT")

DEFAULTS: FlinkOptions = {
    "heartbeat.interval": "3 s",
    "heartbeat.timeout": "20 s",
    "taskmanager.registration.timeout": "120 s",  # a TaskManager without its JobManager goes after this
    "resourcemanager.taskmanager-registration.timeout": "5 min",  # would follow the one above if not set
    "resourcemanager.taskmanager-timeout": "30 s",
    "taskmanager.jvm-exit-on-oom": "true",
    "web.refresh-interval": "500",
}
"""Flink's options where our default differs from Flink's, or must not follow another one."""

_LEGACY = ("jobmanager.heap.", "taskmanager.heap.", "rest.port")
_JOB_MANAGER_ONLY = (
    "rest.", "web.", "headrace.", "jobmanager.memory.", "jobmanager.bind-host", "slotmanager.",
    "containerized.master.", "env.java.opts.jobmanager",
)  # fmt: skip


class Cluster(msgspec.Struct, frozen=True):
    """One cluster. Hosts are in lower case, sizes in bytes, port 0 means a free one."""

    master: str
    given: FlinkOptions
    cluster_id: str
    host: str
    server: Listener
    rpc_port: int
    rest_port: int
    web_ui: bool
    sql_warm_up: bool
    refuse_seconds: float
    most_failures: int | None
    """So many TaskManagers may fail; None: any number."""
    framework: FrameworkInfo
    role: str
    on_stop: str
    """What SIGTERM means."""
    task: TaskOptions
    job_manager_memory: JobManagerMemory
    job_manager_arguments: list[str]
    task_manager_arguments: list[str]
    """What the user wants the JVMs to be told."""
    flink: FlinkOptions
    """What JobManager and TaskManagers have in common."""

    @property
    def highly_available(self) -> bool:
        """Whether Flink keeps jobs and the JobManager's address where its successor finds them."""
        return _highly_available(self.flink)

    def job_manager_options(self, *, driver_url: str, token_file: str, tmp: str) -> FlinkOptions:
        """The JobManager's configuration."""
        rest = str(self.rest_port)
        own: FlinkOptions = {
            "headrace.driver.url": driver_url,
            "headrace.driver.token-file": token_file,
            "headrace.rpc.ports": str(self.rpc_port),
            "headrace.sql.warm-up": "true" if self.sql_warm_up else "false",
            "jobmanager.rpc.address": self.host,
            "rest.address": self.host,
            "rest.port": rest,
            **self.job_manager_memory.options(),
        }
        cpus = reading.number(self.given, "mesos.resourcemanager.tasks.cpus", 0.0)
        if cpus and "taskmanager.cpu.cores" not in self.flink:
            own["headrace.taskmanager.cpus"] = f"{cpus:g}"
        bind = {
            "jobmanager.bind-host": _listening(self.host),
            "rest.bind-address": self.host,
            "rest.bind-port": rest,
        }
        return {**bind, "io.tmp.dirs": tmp, "web.tmpdir": tmp, **self.flink, **own}

    def task_manager_options(self) -> FlinkOptions:
        """The configuration of all TaskManagers."""
        shared = {key: value for key, value in self.flink.items() if not key.startswith(_JOB_MANAGER_ONLY)}
        return {"io.tmp.dirs": "tmp", **shared}


def resolve(
    given: FlinkOptions,
    environment: Mapping[str, str],
    user: str,
    find_address: Callable[[str], str] = lambda master: "127.0.0.1",
    slot: int = 1,
) -> Cluster:
    """Read options and environment.

    ``user`` is who runs this process; ``find_address`` tells from which of our addresses a master is reached.
    ``slot`` tells the clusters of one app from each other.
    """
    options.check_names(given)
    given = options.with_present_names(given)
    requirements.check(given)
    master = given.get("mesos.master", "").strip()
    if not master:
        raise UserError("mesos.master must be configured: give -Dmesos.master=host:port, or set HEADRACE_MASTER")
    host = (given.get("jobmanager.rpc.address") or environment.get("HOST") or find_address(master)).strip().lower()
    app_id, named = environment.get("MARATHON_APP_ID"), given.get("high-availability.cluster-id")
    rest_port, web_ui = _rest(given, environment)
    role = given.get("mesos.resourcemanager.framework.role", "*").strip() or "*"
    slots = reading.integer(given, "taskmanager.numberOfTaskSlots", 1, at_least=1)
    initial = reading.integer(given, "mesos.initial-tasks", 0)
    task = task_options(given)
    _check_cpus(given)
    limit = environment.get("MARATHON_APP_RESOURCE_MEM")
    flink = {key: value for key, value in given.items() if not key.startswith(("mesos.", "headrace.", *_LEGACY))}
    flink = {**_defaults(flink), **flink, **memory.task_manager(given)}
    name = slot_name(app_id, slot) if app_id else named or "flink"
    if app_id or named:
        flink["high-availability.cluster-id"] = named or app_id or ""
    if initial:
        flink.setdefault("slotmanager.number-of-slots.min", str(initial * slots))
    refuse = "mesos.resourcemanager.declined-offer-refuse-duration"
    failures = reading.integer(given, "mesos.maximum-failed-tasks", -1, at_least=-1)
    cluster = Cluster(
        master=master,
        given=given,
        cluster_id=name,
        host=host,
        server=listener(given, host),
        rpc_port=reading.integer(given, "jobmanager.rpc.port", 0, at_most=65535),
        rest_port=rest_port,
        web_ui=web_ui,
        sql_warm_up=reading.flag(given, "headrace.sql.warm-up"),
        refuse_seconds=reading.integer(given, refuse, 120_000) / 1000,
        most_failures=failures if failures >= 0 else None,
        framework=_framework(given, host, role, name, user, slot, "gpus" in task.scalars, _highly_available(flink)),
        role=role,
        on_stop=_on_stop(given),
        task=task,
        job_manager_memory=memory.job_manager(given, None if limit is None else _limit(limit)),
        job_manager_arguments=reading.jvm_arguments(given, "jobmanager"),
        task_manager_arguments=reading.jvm_arguments(given, "taskmanager"),
        flink=flink,
    )
    if cluster.highly_available and "high-availability.cluster-id" not in flink:
        raise UserError(
            "high-availability.type needs a name for the cluster, or two clusters would take each other's jobs: "
            "give high-availability.cluster-id (an app of Marathon has its id)"
        )
    return cluster


def _on_stop(given: FlinkOptions) -> str:
    value = given.get(ON_STOP, ASK).strip().lower()
    if value not in _STOPS:
        raise UserError(f"option {ON_STOP} is {value!r}; it must be one of {', '.join(_STOPS)}")
    return value


def _highly_available(flink: FlinkOptions) -> bool:
    kind = flink.get("high-availability.type") or flink.get("high-availability") or "NONE"
    return kind.upper() != "NONE"


def _defaults(flink: FlinkOptions) -> FlinkOptions:
    """A TaskManager that no later JobManager could use need not wait for one for long."""
    return DEFAULTS if _highly_available(flink) else {**DEFAULTS, "taskmanager.registration.timeout": "60 s"}


def _listening(host: str) -> str:
    """Where the JobManager listens: a job that is submitted by REST reaches its blob server as localhost."""
    return host if host in ("localhost", "127.0.0.1") else "0.0.0.0"  # noqa: S104


def _check_cpus(given: FlinkOptions) -> None:
    """Both options for a TaskManager's CPUs may be given, but must agree."""
    ours, flinks = "mesos.resourcemanager.tasks.cpus", "taskmanager.cpu.cores"
    cpus, cores = reading.number(given, ours, 0.0), reading.number(given, flinks, 0.0)
    if cpus and cores and cpus != cores:
        raise UserError(f"{ours} is {cpus:g}, but {flinks} is {cores:g}; both mean a TaskManager's CPUs: give one")


def _rest(given: FlinkOptions, environment: Mapping[str, str]) -> tuple[int, bool]:
    """Port of REST, and whether the dashboard is to be shown in Mesos."""
    if "rest.port" in given:
        port = reading.integer(given, "rest.port", 0, at_least=-1, at_most=65535)
        return max(port, 0), port >= 0
    return reading.integer(environment, "PORT0", 0, at_most=65535), True


def _limit(text: str) -> int:
    try:
        return int(float(text) * MIB)
    except (ValueError, OverflowError):
        raise UserError(f"environment variable MARATHON_APP_RESOURCE_MEM is {text!r}; it must be a number") from None


def _framework(
    given: FlinkOptions,
    host: str,
    role: str,
    cluster_id: str,
    user: str,
    slot: int,
    gpus: bool,
    highly_available: bool,
) -> FrameworkInfo:
    return FrameworkInfo(
        user=given.get("mesos.resourcemanager.framework.user") or user,
        name=slot_name(given.get("mesos.resourcemanager.framework.name") or "Flink", slot),
        failover_timeout=reading.number(given, "mesos.failover-timeout", 300.0 if highly_available else 60.0),
        checkpoint=True,
        roles=[role],
        hostname=host,
        principal=given.get("mesos.resourcemanager.framework.principal") or None,
        capabilities=[Capability(name) for name in (*CAPABILITIES, *(["GPU_RESOURCES"] if gpus else []))],
        labels=Labels([Label("headrace.cluster", cluster_id)]),
    )
