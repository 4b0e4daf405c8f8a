"""Puts together what is started from what was read: the tasks of TaskManagers, the JobManager's command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from headrace.flink import conf, jvm
from headrace.flink.appmaster.artifacts import ArtifactServer
from headrace.flink.appmaster.placement import Terms
from headrace.flink.appmaster.tasks import ARCHIVE, CONF_DIR, TaskTemplate
from headrace.flink.archives import NO_ARCHIVES, Archive, Archives, keep
from headrace.flink.cluster import Cluster
from headrace.flink.distribution import DRIVER_JAR, Distribution
from headrace.flink.high_availability import ships_driver
from headrace.flink.options import FlinkOptions
from headrace.flink.overlays.shipment import Artifact, Ground, Shipment
from headrace.mesos.messages.common import CommandUri, FrameworkInfo, Label, Labels


def ground(cluster: Cluster, flink: Distribution, environment: dict[str, str], user: str) -> Ground:
    """What overlays look at."""
    task = cluster.task
    return Ground(cluster.given, environment, flink, user, task.flink_home, bool(task.command))


def terms(cluster: Cluster) -> Terms:
    """What each worker needs of an agent, beside what Flink asks for."""
    task = cluster.task
    return Terms(cluster.role, task.scalars, len(task.port_keys), task.constraints)


def task_manager_options(cluster: Cluster, shipment: Shipment) -> FlinkOptions:
    """The configuration of TaskManagers, with the paths that shipped files have there."""
    return {**cluster.task_manager_options(), **shipment.options}


def configuration(directory: Path, options: FlinkOptions) -> list[Artifact]:
    """Write TaskManagers' configuration, to be shipped privately."""
    directory.mkdir(mode=0o700, exist_ok=True)
    files = {"config.yaml": conf.render(options), "log4j.properties": conf.LOG4J}
    for name, content in files.items():
        conf.write_private(directory / name, content)
    driver = [Artifact(DRIVER_JAR, f"{CONF_DIR}/{DRIVER_JAR.name}")] if ships_driver(options) else []
    return [*(Artifact(directory / name, f"{CONF_DIR}/{name}") for name in files), *driver]


def uris(server: ArtifactServer, artifacts: Iterable[Artifact], cluster: Cluster) -> list[CommandUri]:
    """What tasks fetch: our files, then the user's URIs, of which Mesos unpacks archives."""
    return [*map(server.add, artifacts), *map(CommandUri, cluster.task.uris)]


def archive_artifacts(archive: Archive, private: Path) -> list[Artifact]:
    """The archive as files for sandboxes, kept in ``private`` while the cluster lives. Raises OSError."""
    parts = zip(archive.parts, ARCHIVE, strict=True)
    return [Artifact(keep(part, private / "archives"), target, part.sha256) for part, target in parts]


def task_template(
    cluster: Cluster,
    flink: Distribution,
    shipment: Shipment,
    fetched: list[CommandUri],
    archive: Archive | None = None,
) -> TaskTemplate:
    """What all tasks of TaskManagers have in common; ``archive`` is among what is fetched."""
    return TaskTemplate(
        cluster_id=cluster.cluster_id,
        framework_name=cluster.framework.name,
        uris=fetched,
        flink_dist=flink.jars[-1].path.name,
        options=cluster.task,
        java_home=cluster.given.get("env.java.home", ""),
        jvm_arguments=[*cluster.task_manager_arguments, *shipment.jvm_arguments],
        environment=shipment.environment,
        archive_runtime=archive.runtime if archive is not None else "",
    )


def reachable(framework: FrameworkInfo, state_url: str, task_id: str) -> FrameworkInfo:
    """The framework with labels by which commands find this process and, if it is one, its task."""
    named = {"headrace.appmaster": state_url, "headrace.task": task_id}
    labels = framework.labels.labels or [] if framework.labels is not None else []
    added = [Label(key, value) for key, value in named.items() if value]
    return msgspec.structs.replace(framework, labels=Labels([*labels, *added]))


def job_manager_class_path(flink: Distribution) -> list[str]:
    """The driver, then Flink."""
    return [str(path) for path in (DRIVER_JAR, *flink.class_path)]


def job_manager_command(
    cluster: Cluster,
    flink: Distribution,
    shipment: Shipment,
    *,
    java: Path,
    conf_dir: Path,
    log: Path,
    main: str = jvm.JOB_MANAGER_MAIN,
    archives: Archives = NO_ARCHIVES,
) -> list[str]:
    """The JobManager's command line."""
    class_path = job_manager_class_path(flink)
    archive = archives.of_job_manager(class_path)
    return jvm.job_manager(
        java=str(java),
        sizes=cluster.job_manager_memory.jvm_arguments(),
        user=[*cluster.job_manager_arguments, *shipment.master_jvm_arguments],
        class_path=class_path,
        conf_dir=str(conf_dir),
        log=str(log),
        main=main,
        archive=archive.paths if archive is not None else (),
    )
