"""Starts the JobManager: writes its configuration, and makes its process.

Its files, below ``.headrace`` in the sandbox: ``conf`` and ``tmp``; see ``jvm_process`` for the process's own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from headrace.flink import address, conf, java_errors, jvm
from headrace.flink.appmaster import assembly
from headrace.flink.appmaster.jvm_process import JobManagerProcess
from headrace.flink.appmaster.plan import Plan
from headrace.kernel.daemon import UserError

log = logging.getLogger(__name__)


class JobManagerStarter:
    """Starts, finds again and signals the JobManager of one cluster.

    ``on_end`` gets the run, how it ended, and the user's mistake if that is why.
    """

    def __init__(
        self,
        plan: Plan,
        sandbox: Path,
        environment: Mapping[str, str],
        on_end: Callable[[int, str, str], None],
    ) -> None:
        self._plan = plan
        self._sandbox = sandbox
        self._private = sandbox / ".headrace"
        self._on_end = on_end
        self._process = JobManagerProcess(
            self._private, sandbox, self._environment(environment), on_end, hide=self._without_secrets
        )
        self.find = self._process.find
        self.signal = self._process.signal
        self.last_words = self._process.last_words

    def start(self, run: int, driver_url: str) -> None:
        """Start run number ``run``; its driver finds us at ``driver_url``.

        A failed start counts as an end. Raises UserError if the port of the very first one is taken.
        """
        log.info("starting the JobManager, run %d, Flink %s, %s", run, self._plan.flink.version, self._plan.java)
        try:
            self._process.start(run, self._prepare(run, driver_url))
        except (OSError, UserError) as error:
            if run == 1 and isinstance(error, UserError):
                raise
            self._on_end(run, f"could not be started: {error}", "")

    def _without_secrets(self, text: str) -> str:
        """``text`` of a log without the values of options that are called secrets."""
        return java_errors.without_secrets(text, {**self._plan.cluster.given, **self._plan.cluster.flink})

    def _environment(self, environment: Mapping[str, str]) -> dict[str, str]:
        home = self._plan.flink.home
        return {
            **environment,
            **self._plan.shipment.master_environment,
            "FLINK_CONF_DIR": str(self._private / "conf"),
            "FLINK_LIB_DIR": str(home / "lib"),
            "FLINK_PLUGINS_DIR": str(home / "plugins"),
            "FLINK_OPT_DIR": str(home / "opt"),
        }

    def _prepare(self, run: int, driver_url: str) -> list[str]:
        """Write what it reads; returns its command line. Raises UserError, OSError."""
        cluster, job, directory, tmp = self._plan.cluster, self._plan.job, self._private / "conf", self._private / "tmp"
        for path in (directory, tmp):
            path.mkdir(mode=0o700, exist_ok=True)
        rest = "rest.port" if "rest.port" in cluster.given else "$PORT0"
        for name, port in (("jobmanager.rpc.port", cluster.rpc_port), (rest, cluster.rest_port)):
            address.check_port_free(name, cluster.host, port)
        token = str(self._private / "driver-token")
        options = cluster.job_manager_options(driver_url=driver_url, token_file=token, tmp=str(tmp))
        if job is not None:
            options |= job.job_manager_options(self._private)
        if run > 1:
            options["headrace.sql.warm-up"] = "false"  # it would take time from jobs that come back
        conf.write_private(directory / "config.yaml", conf.render(options))
        conf.write_private(directory / "log4j.properties", conf.LOG4J)
        return assembly.job_manager_command(
            cluster,
            self._plan.flink,
            self._plan.shipment,
            java=self._plan.java,
            conf_dir=directory,
            log=self._sandbox / "jobmanager.log",
            main=job.main if job else jvm.JOB_MANAGER_MAIN,
            archives=self._plan.archives,
        )
