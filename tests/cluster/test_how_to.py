"""The tasks of docs/how-to, run by the examples as the pages say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.harness import Cluster, cluster

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
        timeout=30,
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
