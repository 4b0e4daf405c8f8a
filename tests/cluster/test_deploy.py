"""Clusters started and stopped as by ``mesos-start-cluster.sh``: real daemons, and an ``ssh`` that stays here.

Machines are addresses of the loopback network, each with its own MESOS_HOME, which the stand-in for ssh puts into
the command that it is given. The scripts are run as they are installed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from headrace.deploy import processes
from headrace.kernel import listeners
from tests.cluster.harness import Daemon, get, wait_for

SCRIPTS = Path(__file__).parents[2] / "scripts"
FRAMEWORK = Path(__file__).parents[2] / "examples" / "framework.py"
MASTER, ONE, TWO, DOWN = "127.0.1.1", "127.0.1.2", "127.0.1.3", "down.example"

SSH = """#!{python}
import json, os, sys
words = sys.argv[1:]
with open({calls!r}, "a") as file:
    file.write(json.dumps(words) + "\\n")
machine, command = words[words.index("--") + 1 :]
if machine == {down!r}:
    sys.stderr.write("Warning: something before\\nssh: connect to host %s port 22: No route to host\\n" % machine)
    sys.exit(255)
command = command.replace({home!r}, {machines!r} + "/" + machine)
os.execv("/bin/sh", ["sh", "-c", command])
"""
SYSTEMCTL = """#!{python}
import os, sys
operation, unit = sys.argv[1:]
state = {units!r} + "/" + unit
if operation == "stop":
    with open(state + ".stopped", "w"):
        pass
    if os.path.exists(state):
        os.kill(int(open(state).read()), 15)
    sys.exit()
known = os.path.exists(state)
stopped = os.path.exists(state + ".stopped")
if operation == "is-active":
    print("active" if known and not stopped else "inactive")
if operation == "is-enabled":
    print("enabled" if known else "disabled")
"""
SERVICE = """#!/bin/sh
# Like a unit with Restart=always: brings its daemon back until it is told to stop.
trap 'kill $child 2>/dev/null; exit 0' TERM
while :; do {python} {daemon} {port} & child=$!; wait $child; sleep 0.2; done
"""
DAEMON = """
import socket, sys, time
with socket.create_server(("127.0.1.1", int(sys.argv[1]))):
    time.sleep(600)
"""


@contextmanager
def started(*command: str | Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end, if it still runs."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


class Machines:
    """A MESOS_HOME here, and one for each machine; what a run of a script wrote."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.calls = directory / "ssh-calls"
        self.bin = directory / "bin"
        self.units = directory / "units"
        for path in (self.home / "etc" / "mesos", self.bin, self.units):
            path.mkdir(parents=True)
        self.calls.touch()
        self._held = socket.socket()  # nobody is given the port meanwhile, and who asks for it may listen there
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind((MASTER, 0))
        self.port = int(self._held.getsockname()[1])
        self.lists(masters=[MASTER], slaves=[ONE, TWO])
        names = {"python": sys.executable, "units": str(self.units)}
        self.program(
            "ssh", SSH.format(home=str(self.home), machines=str(directory), down=DOWN, calls=str(self.calls), **names)
        )
        self.program("systemctl", SYSTEMCTL.format(**names))
        self.environment(MASTER, "mesos-master-env.sh", f"MESOS_port={self.port}")
        for machine in (ONE, TWO):
            self.environment(machine, "mesos-agent-env.sh", f"MESOS_master={MASTER}:{self.port}", "MESOS_port=0")

    def lists(self, **machines: list[str]) -> None:
        for name, lines in machines.items():
            (self.home / "etc" / "mesos" / name).write_text("# machines\r\n\r\n" + "\r\n".join(lines) + "\r\n")

    def environment(self, machine: str, name: str, *variables: str, work_dir: bool = True) -> None:
        path = self.directory / machine / "etc" / "mesos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        more = [f"MESOS_work_dir={self.work_dir(machine)}", f"MESOS_log_dir={self.work_dir(machine)}/log"]
        resources = "MESOS_resources='cpus:1;mem:512;disk:512;ports:[31000-31009]'"
        lines = [*variables, *(more if work_dir else []), *([resources] if "agent" in name else [])]
        path.write_text("".join(f"export {line}\n" for line in lines))

    def work_dir(self, machine: str) -> Path:
        return self.directory / machine / "work"

    def program(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{self.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MESOS_HOME": str(self.home),
            "HEADRACE_PYTHON": sys.executable,
        }
        return subprocess.run(
            [SCRIPTS / script, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    def start(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("mesos-start-cluster.sh", "--timeout", "100", *arguments)

    def stop(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run("mesos-stop-cluster.sh", "--timeout", "100", *arguments)

    def close(self) -> None:
        for pid in self.daemons():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._held.close()

    @property
    def master_url(self) -> str:
        return f"http://{MASTER}:{self.port}"

    def daemons(self) -> list[int]:
        """All processes whose working directory is below ours: daemons and tasks."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if path.readlink().is_relative_to(self.directory):
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return [pid for pid in found if processes.identify(pid) is not None]

    def sleeping(self) -> list[int]:
        """The tasks."""
        return [pid for pid in self.daemons() if listeners.command(pid) == "sleep 600"]


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    it = Machines(tmp_path)
    try:
        yield it
    finally:
        it.close()


def test_s0_17_s0_21_cluster_starts_by_ssh_and_stops_leaving_no_process(machines: Machines) -> None:
    done = machines.start("--watch", "0.5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Everything's started!")
    agents = get(machines.master_url + "/master/slaves")["slaves"]
    assert sorted(agent["hostname"] for agent in agents) == [ONE, TWO]
    assert (machines.work_dir(ONE) / "log" / "mesos-agent.log").stat().st_size > 0

    calls = [json.loads(line) for line in machines.calls.read_text().splitlines()]
    assert [call[call.index("--") + 1] for call in calls[:1]] == [MASTER]
    assert sorted(call[call.index("--") + 1] for call in calls[1:3]) == [ONE, TWO]
    assert calls[0][:4] == ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
    assert shlex.split(calls[0][-1])[:4] == [sys.executable, "-m", "headrace.deploy.host", "start"]

    pid = int(re.findall(r"mesos-master on \S+: started, process (\d+)", done.stdout)[0])
    assert listeners.owner(machines.port, MASTER) == pid
    again = machines.start()
    assert again.returncode == 0, again.stderr
    assert "it ran already" in again.stdout
    assert listeners.owner(machines.port, MASTER) == pid

    done = machines.stop("--watch", "0.5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("Everything's stopped!")
    assert machines.daemons() == []
    assert not list(machines.directory.glob("*/work/*.pid"))


def test_s0_21_a_machine_that_is_down_is_named_with_what_ssh_says(machines: Machines) -> None:
    machines.lists(slaves=[ONE, DOWN])
    done = machines.start()
    assert done.returncode == 1
    assert f"mesos-agent on {DOWN}: ssh: connect to host {DOWN} port 22: No route to host" in done.stderr
    assert "Everything's" not in done.stdout
    assert f"mesos-agent on {ONE}: started" in done.stdout
    machines.lists(slaves=[ONE])
    assert machines.stop().returncode == 0
    assert machines.daemons() == []


def test_s0_18_s0_19_settings_that_are_missing_are_told_and_nothing_runs(machines: Machines) -> None:
    machines.environment(MASTER, "mesos-master-env.sh", work_dir=False)
    done = machines.start()
    assert done.returncode == 1
    assert "sets no MESOS_work_dir" in done.stderr
    assert "agents are not started, because there is no master" in done.stderr

    machines.environment(MASTER, "mesos-master-env.sh", f"MESOS_port={machines.port}")
    machines.environment(ONE, "mesos-agent-env.sh", "MESOS_master=unknown-machine:5050")
    machines.environment(TWO, "mesos-agent-env.sh", f"MESOS_master={MASTER}:{machines.port}", "MESOS_quorum=1")
    done = machines.start()
    assert done.returncode == 1
    assert f"mesos-agent on {ONE}: " in done.stderr
    assert "MESOS_master is unknown-machine:5050, as the template has it" in done.stderr
    assert "MESOS_quorum is a flag of Mesos that is not supported" in done.stderr  # the daemon's own last words
    assert not (machines.work_dir(TWO) / "mesos-agent.pid").exists()
    (machines.directory / MASTER / "etc" / "mesos" / "mesos-master-env.sh").unlink()
    assert "mesos-master-env.sh is missing on this machine" in machines.start().stderr
    machines.environment(MASTER, "mesos-master-env.sh", f"MESOS_port={machines.port}")
    for machine in (ONE, TWO):
        machines.environment(machine, "mesos-agent-env.sh", f"MESOS_master={MASTER}:{machines.port}", "MESOS_port=0")
    assert machines.stop().returncode == 0
    assert machines.daemons() == []


def test_s0_21_tasks_end_with_the_cluster_unless_they_are_kept(machines: Machines) -> None:
    machines.lists(slaves=[ONE])
    assert machines.start().returncode == 0
    task = {
        "task_id": {"value": "t"},
        "command": {"value": "exec sleep 600"},
        "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}}],
    }
    file = machines.directory / "task.json"
    file.write_text(json.dumps(task))
    command = [sys.executable, str(FRAMEWORK), "--master", f"{MASTER}:{machines.port}", str(file)]
    with started(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        wait_for(machines.sleeping, "the task runs")
        (task_pid,) = machines.sleeping()
        assert machines.stop("--keep-tasks").returncode == 0
        assert machines.sleeping() == [task_pid]
        done = machines.stop()
        assert done.returncode == 0, done.stderr
        assert "processes of tasks were ended" in done.stdout
        assert machines.daemons() == []


def test_s2_18_s2_19_units_that_bring_daemons_back_are_refused_and_taken_over(machines: Machines) -> None:
    machines.lists(slaves=[ONE])
    daemon = machines.program("mesos-master", DAEMON)
    service = machines.program("service", SERVICE.format(python=sys.executable, daemon=daemon, port=machines.port))
    with started(service, cwd=machines.directory, start_new_session=True) as unit:
        (machines.units / "mesos-master").write_text(str(unit.pid))
        foreign = wait_for(lambda: listeners.owner(machines.port, MASTER), "the unit's daemon listens")

        done = machines.start()
        assert done.returncode == 1
        assert "systemd's unit mesos-master (active) would bring another daemon back; --takeover" in done.stderr
        assert listeners.owner(machines.port, MASTER) == foreign

        done = machines.stop("--watch", "0.3")
        assert done.returncode == 1
        assert f"process {foreign} (" in done.stderr
        assert "systemctl disable --now mesos-master" in done.stderr

        done = machines.start("--takeover", "--watch", "1")
        assert done.returncode == 0, done.stderr
        assert "systemd's unit mesos-master was stopped" in done.stdout
        assert "to change that: systemctl disable mesos-master" in done.stdout
        owner = listeners.owner(machines.port, MASTER)
        assert owner is not None
        assert processes.kind(owner) == "mesos-master"
        assert "headrace" in listeners.command(owner)
        assert unit.wait(60) == 0
    assert machines.stop("--watch", "1").returncode == 0
    assert machines.daemons() == []


def test_s2_19_a_foreign_daemon_without_a_unit_is_named_and_ended_by_its_id(machines: Machines) -> None:
    machines.lists(slaves=[ONE])
    program = machines.program("mesos-master", DAEMON)
    with started(sys.executable, program, str(machines.port), cwd=machines.directory) as foreign:
        wait_for(lambda: listeners.owner(machines.port, MASTER), "it listens")
        done = machines.start()
        assert done.returncode == 1
        assert f"port {machines.port} is taken by process {foreign.pid} (" in done.stderr
        assert "--takeover ends that process" in done.stderr
        done = machines.start("--takeover")
        assert done.returncode == 0, done.stderr
        assert f"process {foreign.pid} (" in done.stdout
        assert foreign.wait(60) == -signal.SIGTERM
    assert machines.stop().returncode == 0


def test_s2_18_a_process_that_is_no_mesos_daemon_is_never_ended(machines: Machines) -> None:
    program = machines.program("database", DAEMON)
    with started(sys.executable, program, str(machines.port), cwd=machines.directory) as other:
        wait_for(lambda: listeners.owner(machines.port, MASTER), "it listens")
        done = machines.start("--takeover")
        assert done.returncode == 1
        assert "which is no Mesos daemon: stop it" in done.stderr
        assert other.poll() is None


@contextmanager
def network() -> Iterator[list[str]]:
    """A network of its own with the machine 10.77.0.1 in it; yields what runs a command there."""
    script = "ip link set lo up && ip address add 10.77.0.1/32 dev lo && echo up && exec sleep 600"
    with subprocess.Popen(["unshare", "-n", "sh", "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "up\n"
        try:
            yield ["nsenter", "-t", str(holder.pid), "-n"]
        finally:
            holder.kill()


def test_s2_20_doctor_names_the_port_that_a_firewall_blocks(tmp_path: Path) -> None:
    if reason := no_firewall():
        pytest.skip(reason)
    with network() as inside, ExitStack() as ends:
        master = Inside("master", "headrace.mesos.master", arguments(tmp_path / "master"), tmp_path, inside).start()
        ends.callback(master.stop)
        agent = Inside(
            "agent", "headrace.mesos.agent", arguments(tmp_path / "agent", "--master", master.url), tmp_path, inside
        ).start()
        ends.callback(agent.stop, signal.SIGUSR1)
        doctor = [*inside, sys.executable, "-m", "headrace.deploy", "doctor", "--master", master.url]

        def examined(*more: str, patience: str = "60") -> tuple[int, str]:
            command = [*doctor, "--timeout", patience, *more]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            return done.returncode, done.stdout

        def registered() -> bool:
            return f"ok   agent 10.77.0.1 at {agent.url.removeprefix('http://')}" in examined()[1]

        wait_for(registered, "the agent is registered")
        assert examined()[0] == 0

        def firewall(port: str, *target: str) -> None:
            rule = ["-A", "INPUT", "-p", "tcp", "--syn", "--dport", port, "-j", *target]
            subprocess.run([*inside, "iptables", *rule], check=True, capture_output=True)

        port = agent.url.rpartition(":")[2]
        firewall(port, "DROP")
        firewall("9", "REJECT", "--reject-with", "icmp-host-prohibited")
        status, output = examined("--port", "10.77.0.1:9", "--port", "10.77.0.1:10", patience="3")
        assert status == 1
        assert f"agent 10.77.0.1 at 10.77.0.1:{port}: no answer, while other ports of 10.77.0.1 answer" in output
        assert "given at 10.77.0.1:9: rejected (No route to host), while other ports" in output
        assert "given at 10.77.0.1:10: refused: nobody listens there" in output
        assert f"firewall-cmd --permanent --add-port=9/tcp --add-port={port}/tcp && firewall-cmd --reload" in output


def no_firewall() -> str:
    """Why ports can't be blocked here; empty if they can."""
    if os.geteuid() != 0:
        return "a network of its own needs root"
    if shutil.which("iptables") is None:
        return "there is no iptables to block ports with"
    done = subprocess.run(["unshare", "-n", "iptables", "-S"], capture_output=True, text=True, check=False)
    return f"no network of its own, or no firewall in it: {done.stderr.strip()}" if done.returncode else ""


class Inside(Daemon):
    """A daemon in another network."""

    def __init__(self, name: str, module: str, arguments: list[str], log_dir: Path, inside: list[str]) -> None:
        super().__init__(name, module, arguments, log_dir)
        self._command = [*inside, *self._command]


def arguments(data: Path, *more: str) -> list[str]:
    data.mkdir()
    return ["--host", "10.77.0.1", "--port", "0", "--data", str(data), *more]
