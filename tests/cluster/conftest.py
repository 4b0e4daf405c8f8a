"""What several modules of cluster tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.flink_harness import flink, make_count
from tests.cluster.harness import PORTS

# Agents that are not told what to offer: tests that run side by side have ports of their own.
os.environ["MESOS_RESOURCES"] = f"ports:{PORTS}"


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with ``count.jar`` and ``count.graph``, made by the Flink that runs them."""
    return make_count(tmp_path_factory.mktemp("count"), flink().home / "lib")
