"""The deploy tool's reading: lists of machines, environments, what ssh is given; and processes told apart."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.deploy import layout, processes, running
from headrace.deploy.command import main
from headrace.deploy.layout import AGENT, MASTER, TEMPLATES, parse_hosts
from headrace.deploy.processes import Noted
from headrace.deploy.remote import Way
from headrace.deploy.report import Report, decode, encode
from headrace.deploy.settings import settings
from headrace.deploy.sourcing import sourced
from headrace.kernel import listeners
from headrace.kernel.daemon import UserError

WORK = {"MESOS_work_dir": "/var/lib/mesos"}
AGENTS = {**WORK, "MESOS_master": "m1:5050"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\nb\n", ["a", "b"]),
        ("# all\n\na\r\n\r\n  b  \r\n#c\n", ["a", "b"]),
        ("\ufeff10.0.0.1\nroot@node-1.example", ["10.0.0.1", "root@node-1.example"]),
    ],
)
def test_s0_17_one_machine_per_line(text: str, found: list[str]) -> None:
    assert parse_hosts(text, "masters") == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb # the second\n", "masters, line 2: 'b # the second' is not one machine; comments have lines"),
        ("a\n#x\na\n", "masters, line 3: a is named a second time"),
        ("-oProxyCommand=evil\n", "line 1: '-oProxyCommand=evil' is no name of a machine"),
        ("a;reboot\n", "is no name of a machine"),
        ("$(reboot)\n", "is no name of a machine"),
        ("# none\n", "masters names no machine"),
    ],
)
def test_s0_17_lines_that_are_no_machine_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError) as raised:
        parse_hosts(text, "masters")
    assert said in str(raised.value)


def test_s0_17_lists_are_slaves_or_agents(tmp_path: Path) -> None:
    directory = layout.directory(tmp_path)
    directory.mkdir(parents=True)
    with pytest.raises(UserError, match="Failed to find .*/etc/mesos/slaves"):
        layout.hosts(tmp_path, AGENT)
    (directory / "slaves").write_text("a\n")
    assert layout.hosts(tmp_path, AGENT) == ["a"]
    (directory / "agents").write_text("b\n")
    with pytest.raises(UserError, match="agents and slaves name different machines"):
        layout.hosts(tmp_path, AGENT)


def test_s0_18_master_needs_a_work_dir() -> None:
    with pytest.raises(UserError, match="env.sh sets no MESOS_work_dir"):
        settings(MASTER, {}, machine="m1", source="env.sh")
    with pytest.raises(UserError, match="MESOS_work_dir is 'mesos', which depends on who starts it"):
        settings(MASTER, {"MESOS_work_dir": "mesos"}, machine="m1", source="env.sh")
    with pytest.raises(UserError, match="MESOS_WORK_DIR and MESOS_work_dir say different things"):
        settings(MASTER, {**WORK, "MESOS_WORK_DIR": "/other"}, machine="m1", source="env.sh")


def test_s0_18_log_goes_to_the_log_dir_and_is_no_flag_of_the_daemon() -> None:
    daemon = settings(MASTER, {**WORK, "MESOS_log_dir": "/var/log/mesos"}, machine="m1", source="env.sh")
    assert daemon.log == "/var/log/mesos/mesos-master.log"
    assert "MESOS_log_dir" not in daemon.environment
    assert settings(MASTER, WORK, machine="m1", source="env.sh").log == "/var/lib/mesos/mesos-master.log"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (WORK, "sets no MESOS_master"),
        ({**WORK, "MESOS_master": "unknown-machine:5050"}, "as the template has it; write where the master is"),
        ({"MESOS_master": "m1:5050"}, "sets no MESOS_work_dir"),
        ({**AGENTS, "MESOS_port": "x"}, "MESOS_port is 'x'"),
    ],
)
def test_s0_19_agent_needs_a_master_that_is_not_the_templates(environment: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        settings(AGENT, environment, machine="a1", source="env.sh")


def test_s0_19_templates_are_refused_until_they_are_filled_in(tmp_path: Path) -> None:
    template = TEMPLATES / "mesos-agent-env.sh.template"
    environment = sourced(template, {"PATH": os.environ["PATH"]})
    with pytest.raises(UserError, match="sets no MESOS_work_dir"):
        settings(AGENT, environment, machine="a1", source=template.name)
    filled = tmp_path / "env.sh"
    filled.write_text(template.read_text().replace("# export MESOS_work_dir", "export MESOS_work_dir"))
    with pytest.raises(UserError, match="unknown-machine:5050, as the template has it"):
        settings(AGENT, sourced(filled, {"PATH": os.environ["PATH"]}), machine="a1", source=template.name)


def test_machine_listens_under_the_name_of_the_list() -> None:
    daemon = settings(MASTER, WORK, machine="ops@m1.example", source="env.sh")
    assert (daemon.ip, daemon.port, daemon.environment["MESOS_ip"]) == ("m1.example", 5050, "m1.example")
    assert settings(MASTER, WORK, machine="localhost", source="env.sh").ip == "127.0.0.1"
    given = settings(AGENT, {**AGENTS, "MESOS_IP": "0.0.0.0"}, machine="a1", source="env.sh")
    assert (given.ip, "MESOS_ip" in given.environment) == ("0.0.0.0", False)


def test_s2_16_names_under_which_others_reach_nobody_are_refused() -> None:
    with pytest.raises(UserError, match="this machine is called localhost in the list"):
        settings(MASTER, WORK, machine="localhost", source="env.sh", several=True)
    given = {**WORK, "MESOS_ip": "10.0.0.1"}
    assert settings(MASTER, given, machine="localhost", source="env.sh", several=True).ip == "10.0.0.1"
    assert "the name localhost is 127.0.0.1 on this machine" in running.loopback_name("localhost")
    assert running.loopback_name("127.0.0.1") == ""
    with pytest.raises(UserError, match="does not know the address of its own name no-such-name.invalid"):
        running.address_of("no-such-name.invalid")


def test_several_masters_need_a_zookeeper() -> None:
    with pytest.raises(UserError, match="2 masters without a ZooKeeper would be 2 clusters"):
        settings(MASTER, WORK, machine="m1", source="env.sh", masters=2)
    assert settings(MASTER, {**WORK, "MESOS_zk": "zk://z/mesos"}, machine="m1", source="env.sh", masters=2)


def test_ssh_gets_words_and_its_options() -> None:
    way = Way.of({"SSH_OPTS": "-o 'ProxyCommand=ssh gate -W %h:%p' -p 2222", "DEPLOY_WITH_SUDO": "1"})
    command = way.command("m1", ["-m", "headrace.deploy.host", "--home", "/a b/$(x)"], here=False)
    assert command[:7] == ["ssh", "-o", "ProxyCommand=ssh gate -W %h:%p", "-p", "2222", "--", "m1"]
    assert shlex.split(command[7]) == [
        "sudo",
        "-n",
        sys.executable,
        "-m",
        "headrace.deploy.host",
        "--home",
        "/a b/$(x)",
    ]
    assert "'/a b/$(x)'" in command[7]
    assert way.command("localhost", ["x"], here=True)[0] == "sudo"
    with pytest.raises(UserError, match="SSH_OPTS"):
        Way.of({"SSH_OPTS": "'"})


def test_sourcing_tells_what_is_exported_and_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "env.sh"
    file.write_text('echo to be ignored\nexport MESOS_a="1 2\n3"\nMESOS_b=not-exported\n')
    found = sourced(file, {"HOME": "/root"})
    assert found == {"HOME": "/root", "MESOS_a": "1 2\n3"}
    file.write_text("exit 3\n")
    with pytest.raises(UserError, match=r"env.sh can't be sourced: status 3"):
        sourced(file, {})
    file.write_text("fi\n")
    with pytest.raises(UserError, match="can't be sourced: .*unexpected"):
        sourced(file, {})


def test_process_is_told_from_another_with_its_id(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        identity = processes.identify(process.pid)
        assert identity is not None
        path = tmp_path / "x.pid"
        processes.write_pid_file(path, Noted(identity, 7))
        assert processes.read_pid_file(path) == Noted(identity, 7)
        other = type(identity)(identity.pid, identity.start - 1, identity.boot)
        assert processes.end(other, signal.SIGKILL, 0.1)
        assert process.poll() is None
        processes.write_pid_file(path, Noted(other))
        assert processes.read_pid_file(path) is None
        assert processes.end(identity, signal.SIGTERM, 60)
        assert process.wait() == -signal.SIGTERM
        assert processes.identify(process.pid) is None


def test_process_that_ignores_sigterm_is_killed_and_that_is_told() -> None:
    script = "import signal,sys,time; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        identity = processes.identify(process.pid)
        assert identity is not None
        assert not processes.end(identity, signal.SIGTERM, 0.1)


def test_owner_of_a_port_is_found_by_address() -> None:
    with socket.create_server(("127.0.0.5", 0)) as server:
        port = server.getsockname()[1]
        assert listeners.owner(port) == os.getpid()
        assert listeners.owner(port, "127.0.0.5") == os.getpid()
        assert listeners.owner(port, "127.0.0.6") is None
        assert listeners.taken(port, "0.0.0.0")
    assert not listeners.taken(port)


def test_report_is_found_among_other_lines() -> None:
    report = Report("started", 7, "http://m1:5050", notes=["a"])
    assert decode(f"Welcome!\n{encode(report)}\nbye\n") == report
    assert decode("Welcome!\n") is None


def test_init_writes_templates_over_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--home", str(tmp_path)]) == 0
    written = capsys.readouterr().out.splitlines()
    assert [Path(line).name for line in written] == [
        "mesos-agent-env.sh.template",
        "mesos-deploy-env.sh.template",
        "mesos-master-env.sh.template",
    ]
    assert main(["init", "--home", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_mistakes_are_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start", "--home", str(tmp_path)]) == 2
    assert "etc/mesos is missing" in capsys.readouterr().err
    assert main(["start", "--watch", "-1"]) == 2
    assert main(["nonsense"]) == 2
