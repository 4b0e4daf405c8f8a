"""The tasks of docs/how-to, run by the examples as the pages say, and the calls of docs/api/operator.md."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, cluster, get, wait_for

ROOT = Path(__file__).parents[2]
RESOURCES = "cpus:2;mem:2000;disk:2000;ports:[31900-31999]"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("how-to"), resources=RESOURCES) as it:
        yield it


def block(page: str, name: str) -> Any:
    """The JSON on a page that holds ``name``, a task's or an operation's id."""
    found = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "how-to" / page).read_text(), re.DOTALL)
    return next(json.loads(one) for one in found if f'{{"value": "{name}"}}' in one)


def run(one: Cluster, content: Any, *arguments: str) -> list[list[str]]:
    """What the example framework tells, in words."""
    master = one.master.url.removeprefix("http://")
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "framework.py", "--master", master, *arguments, "-"],
        input=json.dumps(content),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [re.split(" {1,2}", line, maxsplit=2) for line in done.stdout.splitlines()]


def output(one: Cluster, executor: str) -> list[str]:
    """The lines that each run of ``executor`` has left, the longest last."""
    found = one.directory.glob(f"**/executors/{executor}/runs/latest/stdout")
    return sorted((file.read_text() for file in found), key=len)


def test_a_task_by_hand(one: Cluster) -> None:
    assert [words[:2] for words in run(one, block("tasks.md", "hello"))] == [
        ["hello", "TASK_STARTING"],
        ["hello", "TASK_RUNNING"],
        ["hello", "TASK_FINISHED"],
    ]
    assert output(one, "hello") == ["hello\n"]


def test_a_custom_executor(one: Cluster) -> None:
    task = block("tasks.md", "nap")
    task["data"] = "MC4x"  # 0.1 s
    task["executor"]["command"]["value"] = f"exec {sys.executable} {ROOT / 'examples' / 'executor.py'}"
    assert run(one, task) == [["nap", "TASK_RUNNING", "sleeping 0.1 s"], ["nap", "TASK_FINISHED", "awake"]]


def test_a_persistent_volume(one: Cluster) -> None:
    operations = run(one, block("sharing.md", "create"), "--role", "db")
    assert [words[:2] for words in operations] == [["reserve", "OPERATION_FINISHED"], ["create", "OPERATION_FINISHED"]]
    for _ in range(2):
        assert run(one, block("sharing.md", "count"), "--role", "db")[-1][1] == "TASK_FINISHED"
    assert [len(text.splitlines()) for text in output(one, "count")] == [1, 2]


def test_a_group_ends_with_the_first_that_fails(one: Cluster) -> None:
    group = block("tasks.md", "ask")
    web, ask = group["tasks"]
    web["command"]["value"] = "sleep 100"  # the port may be in use here
    del web["health_check"]
    ask["command"]["value"] = "exit 1"
    assert {words[0]: words[1] for words in run(one, group)} == {"ask": "TASK_FAILED", "web": "TASK_KILLED"}


# docs/api/operator.md

STUBBORN = {
    "task_id": {"value": "stubborn"},
    "kill_policy": {"grace_period": {"nanoseconds": 300_000_000_000}},
    "resources": [
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 32}},
    ],
}


def shell_examples(page: str) -> list[tuple[str, str]]:
    """The commands on a page, each with what it prints there; a line that ends within quotes goes on."""
    found: list[tuple[str, str]] = []
    printing = False
    for line in (ROOT / "docs" / page).read_text().splitlines():
        text = line.removeprefix("    ")
        if text != line and text.startswith("$ "):
            found.append((text[2:], ""))
            printing = True
        elif found and found[-1][0].count("'") % 2:
            found[-1] = (f"{found[-1][0]}\n{text}", "")
        elif text == line:
            printing = False
        elif printing:
            found[-1] = (found[-1][0], found[-1][1] + text)
    return found


@contextmanager
def stubborn_task(it: Cluster, directory: Path) -> Iterator[None]:
    """A task runs that ends after this context, not when it is asked to."""
    wanted = directory / "wanted"
    wanted.touch()
    command = {"value": f"trap '' TERM; while [ -e {wanted} ]; do sleep 0.1; done"}
    with (directory / "task.json").open("x+") as task, (directory / "out").open("x") as out:
        json.dump({**STUBBORN, "command": command}, task)
        task.seek(0)
        program = [sys.executable, str(ROOT / "examples" / "framework.py"), "--master", it.master.url[7:], "-"]
        with subprocess.Popen(program, stdin=task, stdout=out, stderr=out) as framework:
            try:
                wait_for(lambda: "TASK_RUNNING" in (directory / "out").read_text(), "the task runs", 60)
                yield
            finally:
                wanted.unlink()
                framework.kill()


def test_the_operator_examples_answer_as_the_page_says(tmp_path: Path) -> None:
    """What prints nothing or JSON there is done, and what prints a sentence is refused so."""
    with ExitStack() as ends:
        it = ends.enter_context(cluster(tmp_path / "cluster", resources=RESOURCES))
        agents = f"{it.master.url}/slaves"
        wait_for(lambda: get(agents)["slaves"], "the agent is there", 60)
        variables = ""
        for line, said in shell_examples("api/operator.md"):
            command = line.replace("http://127.0.0.1:5050", it.master.url)
            if command.startswith("AGENT="):
                script = f'{command}; echo "$AGENT"'
                done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=True)
                assert done.stdout.strip() == get(agents)["slaves"][0]["id"]
                continue
            if not command.startswith("curl "):
                variables += f"{command}\n"
                continue
            if "SUBSCRIBE" in command:
                continue  # which goes on
            names = ""
            if "$AGENT" in command:  # after `/machine/up` it comes back with another id
                (agent,) = wait_for(lambda: get(agents)["slaves"], "the agent is there again", 60)
                names = f"{variables}AGENT={agent['id']}\n"
            if '"DRAIN_AGENT"' in command:
                ends.enter_context(stubborn_task(it, tmp_path))
            script = names + command.replace("curl ", "curl -s -m 60 -w '\\n%{http_code}' ", 1)
            done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=120, check=True)
            body, _, status = done.stdout.rpartition("\n")
            refused = re.match("[A-Z]", said) is not None
            assert status in (("400", "409") if refused else ("200", "202")), (command, done.stdout)
            assert not said or "".join(body.split()) == "".join(said.split()), (command, body)
