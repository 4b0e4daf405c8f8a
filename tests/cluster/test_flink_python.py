"""A cluster for one PyFlink program. The Python that runs it has PyFlink without what only Python functions need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.flink_counting import numbers
from tests.cluster.flink_harness import FLINK
from tests.cluster.harness import Cluster, cluster
from tests.cluster.test_flink_job_cluster import Run

PROGRAM = Path(__file__).parent / "jobs" / "count.py"
PYFLINK = Path(sys.prefix) / "pyflink"
"""Where scripts/setup.sh puts it."""

pytestmark = [
    pytest.mark.skipif(bool(FLINK), reason="PyFlink is there for the default version of Flink only"),
    pytest.mark.skipif(not PYFLINK.exists(), reason="PyFlink 1.20 can't be installed for this version of Python"),
]


@pytest.fixture(scope="module")
def mesos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("python")) as it:
        yield it


def run(mesos: Cluster, sandbox: Path, arguments: str) -> Run:
    python = {"python.client.executable": sys.executable, "containerized.master.env.PYTHONPATH": PYFLINK}
    job = {"headrace.job.python": PROGRAM, "headrace.job.arguments": arguments}
    return Run(mesos, sandbox, **python, **job)


def test_a_program_that_finishes(mesos: Cluster, tmp_path: Path) -> None:
    it = run(mesos, tmp_path, f"{tmp_path}/written 100")
    assert (it.status, it.result.state) == (0, "FINISHED"), it.stderr
    assert numbers(tmp_path) == list(range(101))


def test_a_program_that_fails_says_why_in_one_line(mesos: Cluster, tmp_path: Path) -> None:
    it = run(mesos, tmp_path, f"{tmp_path}/written 100 spoon")
    assert (it.status, it.result.state) == (3, "FAILED")
    assert it.result.message == "The Python program has failed: ValueError: there is no spoon"
    assert "there is no spoon" in it.stderr.splitlines()[-1]
