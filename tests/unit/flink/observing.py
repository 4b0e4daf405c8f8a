"""Everything that a cluster's options may change, put together without starting a process."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec

from headrace.flink import overlays
from headrace.flink.appmaster import assembly, credentials
from headrace.flink.appmaster.artifacts import ArtifactServer
from headrace.flink.appmaster.core import ApplicationMaster
from headrace.flink.appmaster.placement import place
from headrace.flink.appmaster.records import Recovered
from headrace.flink.appmaster.tasks import task_info
from headrace.flink.cluster import Cluster, resolve
from headrace.flink.conf import read_options
from headrace.flink.distribution import Distribution, Jar
from headrace.flink.options import FlinkOptions
from headrace.kernel.http import HttpClient
from headrace.mesos.credentials import CredentialClient
from headrace.mesos.messages.common import Attribute, Resource, Scalar, TaskInfo, Text
from tests.unit.flink.appmaster_helpers import offer, worker

MASTER = "-Dmesos.master=m:5050"


def flink_home(root: Path) -> Distribution:
    """A tiny Flink: jars without content."""
    lib = root / "flink" / "lib"
    lib.mkdir(parents=True, exist_ok=True)
    for name in ("flink-csv.jar", "flink-dist-1.20.5.jar"):
        (lib / name).touch()
    jars = tuple(Jar(lib / name, name) for name in ("flink-csv.jar", "flink-dist-1.20.5.jar"))
    return Distribution(root / "flink", "1.20.5", jars)


class Built:
    """What comes of options: the cluster, what is shipped, one TaskManager's task on a rich agent."""

    def __init__(self, arguments: list[str], root: Path, environment: dict[str, str] | None = None) -> None:
        self.environment = environment or {}
        self.cluster: Cluster = resolve(read_options([MASTER, *arguments], self.environment), self.environment, "me")
        self.flink = flink_home(root)
        self.shipment = overlays.collect(assembly.ground(self.cluster, self.flink, self.environment, "me"))
        listener = self.cluster.server
        self.uris = assembly.uris(
            ArtifactServer(listener.url(listener.port), "key"), self.shipment.artifacts, self.cluster
        )
        self.template = assembly.task_template(self.cluster, self.flink, self.shipment, self.uris)
        self.terms = assembly.terms(self.cluster)

    @property
    def task_manager_options(self) -> FlinkOptions:
        return assembly.task_manager_options(self.cluster, self.shipment)

    @property
    def job_manager_options(self) -> FlinkOptions:
        return self.cluster.job_manager_options(driver_url="http://am/driver/v1", token_file="/t", tmp="/t/tmp")

    @property
    def job_manager_command(self) -> list[str]:
        java, conf, log = Path("/java"), Path("/conf"), Path("/log")
        return assembly.job_manager_command(self.cluster, self.flink, self.shipment, java=java, conf_dir=conf, log=log)

    def task(self) -> TaskInfo:
        """The task of one TaskManager where there is enough of everything."""
        (seat,) = place([worker(1)], [rich_offer()], {}, self.terms).seats
        return task_info(self.template, seat)

    def words(self) -> list[str]:
        """The words of the task's command."""
        command = self.task().command
        assert command is not None
        return command.arguments or shlex.split(command.value or "")

    def core(self) -> ApplicationMaster:
        return ApplicationMaster(
            Recovered(framework_id="fw"),
            self.template,
            terms=self.terms,
            refuse_seconds=self.cluster.refuse_seconds,
            most_failures=self.cluster.most_failures,
            keep_workers=self.cluster.highly_available,
            show_web_ui=self.cluster.web_ui,
        )

    def observed(self) -> dict[str, Any]:
        """What others see, as plain data."""
        cluster = self.cluster
        return {
            "master": cluster.master,
            "framework": msgspec.to_builtins(cluster.framework),
            "login": _login(credentials.client_for(cluster.given)),
            "server": (cluster.server.bind, cluster.server.port, cluster.server.url(1)),
            "certificate": cluster.server.key,
            "terms": self.terms,
            "task": msgspec.to_builtins(self.task()),
            "task manager": self.task_manager_options,
            "job manager": self.job_manager_options,
            "job manager's command": self.job_manager_command,
            "job manager's environment": self.shipment.master_environment,
            "ports": (cluster.rpc_port, cluster.rest_port),
            "core": (cluster.refuse_seconds, cluster.most_failures, cluster.web_ui, cluster.highly_available),
            "on stop": cluster.on_stop,
        }


def rich_offer(**attributes: str) -> Any:
    plenty = offer(1)
    more = [Resource(name, "SCALAR", scalar=Scalar(100_000)) for name in ("disk", "gpus", "network", "bandwidth")]
    texts = {"rack": "a", **attributes}
    return msgspec.structs.replace(
        plenty,
        resources=[*(plenty.resources or []), *more],
        attributes=[Attribute(name, "TEXT", text=Text(value)) for name, value in texts.items()],
    )


def _login(client: HttpClient) -> object:
    return client._header if isinstance(client, CredentialClient) else None
