"""The command line itself: usage, errors, laziness."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from headrace.cli.api import CommandError
from headrace.cli.commands.app import deployment_of, read_definition
from headrace.cli.flink_apps import session_app
from headrace.cli.flink_upload import check_jar
from headrace.cli.main import main
from headrace.cli.tasks import find_task
from headrace.gateway.overview import AgentState, FrameworkState, MasterState, TaskState

NOWHERE = "http://127.0.0.1:9"
HEADRACE = str(Path(sys.executable).with_name("headrace"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["up", "--agents", "0"],
        ["up", "--master-port", "70000"],
        ["up", "--agent-port", "65535", "--agents", "2"],
        ["up", "--agent-flag", "isolation"],
        ["up", "--agent-flag", "port=1"],
        ["app", "scale", "/x", "-1"],
        ["app", "create", "/no/such/file"],
        ["flink", "sql"],
        ["flink", "session", "-D", "novalue"],
    ],
)
def test_wrong_use_is_status_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output


@pytest.mark.parametrize("number", ["-1", "abc", "1.5"])
def test_what_is_no_number_of_instances_is_named(number: str) -> None:
    result = CliRunner().invoke(main, ["app", "scale", "/x", number])
    assert (result.exit_code, f"'{number}' is no number of instances: give 0 or more" in result.output) == (2, True)


@pytest.mark.parametrize("arguments", [["app", "list", "--marathon", NOWHERE], ["task", "list", "--master", NOWHERE]])
def test_no_answer_is_one_line_and_status_1(arguments: list[str]) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "does not answer" in result.output
    assert "Traceback" not in result.output


def test_status_says_what_does_not_answer_as_json() -> None:
    result = CliRunner().invoke(main, ["status", "--json", "--master", NOWHERE, "--marathon", NOWHERE])
    assert result.exit_code == 1
    assert all("error" in component for component in json.loads(result.output)["components"])


def test_help_lists_all_commands() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert all(
        f"  {name} " in output
        for name in ("up", "demo", "status", "app", "task", "master", "agent", "marathon", "flink")
    )


def test_the_command_imports_nothing_heavy_before_it_must() -> None:
    code = "import sys, headrace.cli.main; print('rich' in sys.modules, 'headrace.flink' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False False"


def test_the_process_that_stays_knows_neither_click_nor_rich() -> None:
    code = "import sys, headrace.cli.up.__main__; print([m for m in sys.modules if m in ('rich', 'click')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_a_definition_that_is_no_object_names_its_file() -> None:
    with pytest.raises(CommandError, match=r"a\.json does not hold a JSON object"):
        read_definition(b"[]", "a.json")


@pytest.mark.parametrize(
    ("answer", "deployment"),
    [({"deploymentId": "d"}, "d"), ({"deployments": [{"id": "e"}]}, "e"), ({"deployments": []}, ""), (None, "")],
)
def test_the_deployment_of_an_answer(answer: object, deployment: str) -> None:
    assert deployment_of(answer) == deployment


def test_a_sessions_options_are_quoted_for_the_shell() -> None:
    app = session_app(
        "/f", "http://m:1", ("k=a b",), initial_tasks=2, task_cpus=1, task_mem=900, slots=2, cpus=0.5, mem=1024
    )
    assert app["cmd"] == (
        "mesos-appmaster.sh -Dmesos.master=m:1 -Dmesos.initial-tasks=2 -Dmesos.resourcemanager.tasks.cpus=1 "
        "-Dmesos.resourcemanager.tasks.mem=900 -Dtaskmanager.numberOfTaskSlots=2 '-Dk=a b'"
    )


def state(*ids: str, slave: str = "s") -> MasterState:
    tasks = [TaskState(id=task, framework_id="f", slave_id=slave) for task in ids]
    return MasterState(
        slaves=[AgentState(id="s", pid="slave(1)@h:1")], frameworks=[FrameworkState(id="f", tasks=tasks)]
    )


def test_a_task_is_found_by_a_beginning_that_only_it_has() -> None:
    task, agent = find_task(state("web.1", "web.12", "db.1"), "db")
    assert (task.sandbox, agent.url) == ("/frameworks/f/executors/db.1/runs/latest", "http://h:1")
    assert find_task(state("web.1", "web.12"), "web.1")[0].id == "web.1"


@pytest.mark.parametrize(
    ("known", "wanted", "error"),
    [
        (state("a"), "b", "no task b"),
        (state("a1", "a2"), "a", "may mean 2 tasks"),
        (state("a", slave="gone"), "a", "not connected"),
    ],
)
def test_a_task_that_is_not_found(known: MasterState, wanted: str, error: str) -> None:
    with pytest.raises(CommandError, match=error):
        find_task(known, wanted)


def test_a_jar_that_is_none_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read"):
        check_jar(tmp_path / "no.jar")
    (tmp_path / "x.jar").write_text("text")
    with pytest.raises(CommandError, match="is not a jar"):
        check_jar(tmp_path / "x.jar")


@pytest.mark.parametrize(("daemon", "mistake"), [("master", 2), ("agent", 2), ("marathon", 112)])
def test_a_daemon_gets_its_flags_as_they_are(daemon: str, mistake: int) -> None:
    done = subprocess.run([HEADRACE, daemon, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: headrace {daemon} ")
    wrong = subprocess.run([HEADRACE, daemon, "--nonsense"], capture_output=True, text=True)
    assert wrong.returncode == mistake
    assert "Traceback" not in wrong.stderr
