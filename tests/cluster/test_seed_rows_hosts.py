"""Rows of the seeds about several hosts and clusters: names, addresses, fixed ports. Each host has its own network.

The master and Marathon are on this one; one agent's host has an upper-case name, as in the seed.
"""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.flink_harness import JVM_WAIT, SCRIPT, AppMaster, end_of, flink, run_jar
from tests.cluster.harness import Daemon, get, wait_for
from tests.cluster.hosts import Host, Network, network
from tests.unit.flink.test_seed_rows import FLINK1, FLINK2, SEED_GENERAL, SEED_MARATHON

JOB_MANAGER, TASK_MANAGERS, DEBIAN = "SZV1000265118", "SZV1000265119", "debian"


class Site:
    """The network, its hosts, and the daemons on them."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.network, self.directory = network, directory
        self.a, self.b, self.debian = network.add(JOB_MANAGER, TASK_MANAGERS, DEBIAN)
        self._daemons: list[tuple[Daemon, int]] = []
        self.home = self._flink_home()
        self.master = self.start("master", "headrace.mesos.master", ["--host", network.address])
        (self.home / "conf").mkdir()
        (self.home / "conf" / "flink-conf.yaml").write_text(
            f"mesos.master: {self.master_address}\n"
            "env.java.opts.all: -XX:TieredStopAtLevel=1\n"
            "headrace.sql.warm-up: false\n"
        )

    def _flink_home(self) -> Path:
        """A Flink with the scripts of the seed in its bin/."""
        home = self.directory / "flink"
        (home / "bin").mkdir(parents=True)
        (home / "lib").symlink_to(flink().home / "lib")
        (home / "bin" / SCRIPT.name).symlink_to(SCRIPT)
        return home

    @property
    def master_address(self) -> str:
        return self.master.url.removeprefix("http://")

    def start(self, name: str, module: str, arguments: list[str], host: Host | None = None) -> Daemon:
        data = self.directory / name
        data.mkdir()
        arguments = ["--port", "0", "--data", str(data), *arguments]
        daemon = Daemon(name, module, arguments, self.directory, host.prefix if host else ()).start()
        self._daemons.append((daemon, signal.SIGUSR1 if module.endswith("agent") else signal.SIGTERM))
        return daemon

    def retire_agent(self, host: Host) -> None:
        (daemon,) = [daemon for daemon, _ in self._daemons if daemon.name == f"agent-{host.name}"]
        daemon.stop(signal.SIGUSR1)

    def start_agent(self, host: Host, resources: str) -> Daemon:
        names = ["--host", host.address, "--hostname", host.name, "--master", self.master.url]
        variables = json.dumps({"FLINK_HOME": str(self.home)})
        flags = ["--resources", resources, "--executor-environment-variables", variables]
        return self.start(f"agent-{host.name}", "headrace.mesos.agent", [*names, *flags], host)

    @property
    def state(self) -> Any:
        return get(self.master.url + "/master/state")

    def clusters(self, label: str) -> list[Any]:
        mark = {"key": "headrace.cluster", "value": label}
        return [framework for framework in self.state["frameworks"] if mark in framework.get("labels", [])]

    def dashboard(self, label: str) -> str:
        """The cluster's REST API, by its host's address."""

        def shown() -> Any:
            return [its["webui_url"] for its in self.clusters(label) if its.get("webui_url")]

        (url,) = wait_for(shown, f"a dashboard; see {self.directory}", JVM_WAIT)
        return self.network.url(url)

    def close(self) -> None:
        for daemon, how in reversed(self._daemons):
            daemon.stop(how)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    with network(directory) as net:
        it = Site(net, directory)
        try:
            yield it
        finally:
            it.close()


def create(marathon: Daemon, definition: str) -> None:
    """As the guide says, by curl."""
    body = ["-X", "POST", "-H", "Content-Type: application/json", "-d", "@-"]
    curl(*body, marathon.url + "/v2/apps", given=definition)


def curl(*arguments: str, given: str = "") -> None:
    subprocess.run(["curl", "-sS", "--fail", *arguments], input=given.encode(), check=True, capture_output=True)


@pytest.fixture(scope="module")
def app(site: Site) -> Any:
    """The seed's definition as Marathon has it, once its task runs on the first host; the second comes after that."""
    site.start_agent(site.a, "cpus:1;mem:1024;disk:4096;ports:[31000-31099]")
    names = ["--master", site.master.url, "--host", site.network.address]
    marathon = site.start("marathon", "headrace.marathon", names)
    create(marathon, SEED_MARATHON)
    wait_for(lambda: get(marathon.url + "/v2/apps//flink")["app"]["tasksRunning"] == 1, "the app runs")
    site.start_agent(site.b, "cpus:12;mem:14336;disk:8192;ports:[31000-31099]")
    return marathon


def test_s0_39_and_s0_22_marathons_definition_comes_up(site: Site, app: Daemon) -> None:
    """Verbatim: mesos.master stands in $FLINK_HOME/conf, and the agent knows $FLINK_HOME."""
    assert wait_for(lambda: site.clusters("/flink"), "its framework is registered", JVM_WAIT)
    assert site.dashboard("/flink") == f"http://{site.a.address}:8081"
    assert site.clusters("/flink")[0]["hostname"] == JOB_MANAGER.lower()


def test_s0_40_the_job_manager_fits_into_1024_mb(site: Site, app: Daemon) -> None:
    web = site.dashboard("/flink")
    sizes = {entry["key"]: entry["value"] for entry in get(web + "/jobmanager/config")}
    heap = int(sizes["jobmanager.memory.heap.size"].removesuffix("b")) >> 20
    assert 256 < heap < 1024
    assert get(app.url + "/v2/apps//flink")["app"].get("lastTaskFailure") is None


def test_s0_41_and_s2_15_task_managers_of_another_host_find_it_by_its_name(site: Site, app: Daemon, jobs: Path) -> None:
    web = site.dashboard("/flink")
    assert end_of(web, run_jar(web, jobs / "count.jar", "100")) == "FINISHED"
    agents = {agent["id"]: agent["hostname"] for agent in site.state["slaves"]}
    (framework,) = site.clusters("/flink")
    (task,) = framework["tasks"]
    assert agents[task["slave_id"]] == TASK_MANAGERS
    (marathon,) = [it for it in site.state["frameworks"] if it["name"] == "marathon"]
    assert [agents[task["slave_id"]] for task in marathon["tasks"]] == [JOB_MANAGER]
    (manager,) = get(web + "/taskmanagers")["taskmanagers"]
    assert f"@{TASK_MANAGERS.lower()}:" in manager["path"]
    assert (task["resources"]["cpus"], task["resources"]["mem"], manager["slotsNumber"]) == (1, 1024, 2)


class HostMaster(AppMaster):
    """The seed's command line, word for word but for the master, by hand on a host."""

    def __init__(self, site: Site, host: Host, sandbox: Path) -> None:
        self.prefix = [*host.prefix, "env", f"FLINK_HOME={site.home}"]
        self.script = site.home / "bin" / SCRIPT.name
        words = SEED_GENERAL.split()
        assert len(words) == 8
        super().__init__(sandbox, site.master_address, **dict(word[2:].split("=") for word in words[1:]))


@contextmanager
def by_hand(site: Site) -> Iterator[HostMaster]:
    it = HostMaster(site, site.b, site.directory / "by-hand")
    try:
        yield it
    finally:
        it.stop()


def test_s0_37_and_s2_12_the_guides_command_line(site: Site, app: Daemon, jobs: Path, tmp_path: Path) -> None:
    """A second one on the same host says at once that the port is taken."""
    with by_hand(site) as it:
        assert end_of(it.web, run_jar(it.web, jobs / "count.jar", "100")) == "FINISHED"
        (framework,) = site.clusters("flink")
        assert framework["webui_url"] == f"http://{site.b.address}:8081"
        with socket.create_connection((site.b.address, 6123), timeout=30):
            pass
        (task,) = framework["tasks"]
        asked = task["resources"]
        assert (asked["cpus"], asked["mem"]) == (2, 4096)
        first, last = asked["ports"].strip("[]").split("-")
        assert int(last) - int(first) == 1
        (manager,) = get(it.web + "/taskmanagers")["taskmanagers"]
        assert manager["slotsNumber"] == 2
        again = site.b.run(
            tmp_path, [str(SCRIPT), *SEED_GENERAL.replace("master.foobar.org:5050", site.master_address).split()]
        )
        assert again.returncode == 2
        assert (
            f"jobmanager.rpc.port 6123: can't listen on {site.b.address}:6123: Address already in use" in again.stderr
        )


FLINKS = {"/flink/flink1": FLINK1, "/flink/flink2": FLINK2}


@pytest.fixture(scope="module")
def flinks(site: Site, app: Daemon) -> dict[str, Any]:
    """The tasks of flink1's and flink2's TaskManagers, three each; only path and address differ from the guide's."""
    curl("-X", "DELETE", app.url + "/v2/apps//flink")  # whose id can't be that of a group
    wait_for(lambda: get(app.url + "/v2/groups")["apps"] == [] and not site.clusters("/flink"), "it is gone")
    site.retire_agent(site.a)
    for definition in FLINKS.values():
        text = definition.replace("/home/flink-1.2.0/bin", f"{site.home}/bin")
        create(app, text.replace("10.120.177.85:5050", site.master_address))
    return {label: wait_for(lambda label=label: three(site, label), f"{label} is up", JVM_WAIT) for label in FLINKS}  # type: ignore[misc]


def three(site: Site, label: str) -> Any:
    tasks = [task for it in site.clusters(label) for task in it["tasks"] if task["state"] == "TASK_RUNNING"]
    return len(tasks) == 3 and sorted(tasks, key=lambda task: str(task["id"]))


@pytest.mark.parametrize("label", FLINKS)
def test_s2_6_and_s2_10_three_task_managers_of_1_cpu_and_1024_mb(
    site: Site, app: Daemon, flinks: dict[str, Any], label: str
) -> None:
    """The JSON was submitted by curl; web.port=-1 hides the dashboard."""
    assert {(task["resources"]["cpus"], task["resources"]["mem"]) for task in flinks[label]} == {(1, 1024)}
    assert not site.clusters(label)[0]["webui_url"]
    its = get(f"{app.url}/v2/apps/{label}")["app"]
    assert (its["tasksRunning"], its["cpus"], its["mem"], its["disk"]) == (1, 1, 1024, 2048)
    assert "lastTaskFailure" not in its


def test_s2_12_and_s2_13_both_run_on_one_node(site: Site, flinks: dict[str, Any]) -> None:
    """All TaskManagers are registered; flink2's JobManager has the port that it was given, flink1's a free one."""
    tasks = [task for its in flinks.values() for task in its]
    assert len({task["slave_id"] for task in tasks}) == 1
    assert [task["id"].rpartition("-")[2] for task in tasks] == ["00001", "00002", "00003"] * 2
    assert len({task["id"] for task in tasks}) == 6
    with socket.create_connection((site.b.address, 6124), timeout=30):
        pass
    for web in [hidden_dashboard(site, label) for label in flinks]:
        wait_for(lambda web=web: get(web + "/overview")["taskmanagers"] == 3, "they are registered", JVM_WAIT)  # type: ignore[misc]


def hidden_dashboard(site: Site, label: str) -> str:
    """What Mesos does not show: the address is in the JobManager's own log."""
    pattern = f"{label.replace('/', '_').strip('_')}*/runs/*/jobmanager.log"
    (log,) = wait_for(lambda: {path.resolve() for path in site.directory.rglob(pattern)}, "there is its log")
    listens = wait_for(
        lambda: re.search(r"Rest endpoint listening at (\S+)", log.read_text()), f"REST: {log}", JVM_WAIT
    )
    return site.network.url(f"http://{listens[1]}")


def test_s2_16_a_name_that_leads_nowhere_gets_advice(site: Site, tmp_path: Path) -> None:
    """Debian's own name is 127.0.1.1 to itself."""
    refused = site.debian.run(tmp_path, [str(SCRIPT), f"-Dmesos.master={site.master_address}"], HOST=DEBIAN)
    assert refused.returncode == 2
    (line,) = refused.stderr.splitlines()
    assert "127.0.1.1, a loopback address" in line
    assert "-Djobmanager.rpc.address=" in line
