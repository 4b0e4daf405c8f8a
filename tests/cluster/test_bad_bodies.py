"""Bodies that are no JSON get 400 with a message from every door, and change nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headrace.kernel.http import HttpClient
from tests.cluster.harness import Cluster, cluster, get, wait_for

BODIES = {
    "empty": b"",
    "cut": b'{"id": "/a"',
    "no object": b"[1, 2]",
    "nested": b"[" * 100_000,
    "no UTF-8": b'{"id": "\xff\xfe"}',
    "numbers": b'{"id": 5, "type": 6, "cpus": "many"}',
    "nulls": b'{"id": null, "type": null}',
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("bodies")) as it:
        it.add_marathon()
        wait_for(lambda: get(f"{it.master.url}/master/state")["slaves"], "the agent is registered")
        yield it


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("door", ["scheduler", "agent", "apps", "app"])
async def test_bad_bodies(whole: Cluster, door: str, body: bytes) -> None:
    assert whole.marathon is not None
    master, marathon = whole.master.url, whole.marathon.url
    method, url = {
        "scheduler": ("POST", f"{master}/api/v1/scheduler"),
        "agent": ("POST", f"{master}/api/v1/agent"),
        "apps": ("POST", f"{marathon}/v2/apps"),
        "app": ("PUT", f"{marathon}/v2/apps//a"),
    }[door]
    client = HttpClient()
    answer = await client.request(method, url, body=body, headers={"Content-Type": "application/json"})
    client.close()
    assert answer.status in (400, 422), answer
    assert answer.body
    assert b"Traceback" not in answer.body
    assert get(f"{marathon}/v2/apps")["apps"] == []
    assert [agent["active"] for agent in get(f"{master}/master/state")["slaves"]] == [True]
