"""Drives a whole Marathon with PyPI's client, version 0.13.0: ``python marathon_client.py URL``.

Prints the methods that it has called, as JSON. Its models refuse keys that they do not know, so they also say that
nothing surprising comes.
"""

from __future__ import annotations

import collections
import collections.abc
import json
import sys
import time
from collections.abc import Callable
from typing import Any

collections.Iterable = collections.abc.Iterable  # type: ignore[attr-defined]  # the client is from before Python 3.10

from marathon import MarathonClient, NotFoundError  # type: ignore[import-not-found]  # noqa: E402
from marathon.exceptions import ConflictError, MarathonHttpError  # type: ignore[import-not-found]  # noqa: E402
from marathon.models import MarathonApp, MarathonGroup, MarathonHealthCheck  # type: ignore[import-not-found]  # noqa: E402

COMMAND = "exec sleep 1000"
CALLED: set[str] = set()


class Driven:
    """The client; remembers what was called."""

    def __init__(self, url: str) -> None:
        self._client = MarathonClient(url, timeout=60)

    def __getattr__(self, name: str) -> Any:
        CALLED.add(name)
        return getattr(self._client, name)


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def refused(error: type[Exception], call: Callable[[], Any]) -> str:
    """The message of the refusal."""
    try:
        call()
    except error as raised:
        return str(raised)
    raise AssertionError(f"no {error.__name__}")


def main(url: str) -> None:
    client = Driven(url)
    about(client)
    apps(client)
    tasks(client)
    groups(client)
    waiting(client)
    events(client)
    print(json.dumps(sorted(CALLED)))
    assert client.delete_leader() == {"message": "Leadership abdicated"}


def about(client: Driven) -> None:
    assert client.ping() == b'"pong"'
    info = client.get_info()
    assert info.elected is True
    assert info.marathon_config.checkpoint is True
    assert tuple(map(int, info.version.split("."))) >= (1, 5)
    assert client.get_leader() == {"leader": info.leader}
    assert client.get_metrics()["version"] == "4.0.0"


def apps(client: Driven) -> None:
    checks = [MarathonHealthCheck(protocol="COMMAND", command="true", interval_seconds=1, delay_seconds=0)]
    wanted = MarathonApp(cmd=COMMAND, cpus=0.1, mem=16, instances=1, labels={"tier": "web"}, health_checks=checks)
    created = client.create_app("/team/web", wanted)
    assert (created.id, created.instances) == ("/team/web", 1)
    refused(ConflictError, lambda: client.create_app("/team/web", MarathonApp(cmd=COMMAND, cpus=0.1, mem=16)))
    refused(MarathonHttpError, lambda: client.create_app("/bad", MarathonApp(cpus=0.1, mem=16)))
    settled(client)
    until(lambda: client.get_app("/team/web").tasks_healthy == 1, "healthy")
    everything = {
        f"embed_{name}": True
        for name in (*("tasks", "counts", "deployments", "readiness", "last_task_failure"), *("failures", "task_stats"))
    }
    (listed,) = client.list_apps(label="tier==web", cmd="sleep", app_id="WEB", **everything)
    assert listed.task_stats.total_summary.stats.counts.running == 1
    assert listed.tasks[0].state == "TASK_RUNNING"
    assert client.get_app("/team/web", **everything).tasks[0].health_check_results[0].alive is True
    assert client.list_apps(app_id="nothing") == []
    (first,) = client.list_versions("/team/web")
    changed = client.get_app("/team/web")
    changed.mem = 17
    assert set(client.update_app("/team/web", changed)) == {"version", "deploymentId"}
    settled(client)
    assert client.get_version("/team/web", first).mem == 16
    assert client.list_versions("/team/web")[1] == first
    client.rollback_app("/team/web", first, force=True)
    settled(client)
    assert client.get_app("/team/web").mem == 16
    client.update_apps([MarathonApp(id="/team/web", labels={"tier": "front"})])
    settled(client)
    client.restart_app("/team/web")
    settled(client)
    client.scale_app("/team/web", delta=1)
    settled(client)
    assert len(client.list_tasks("/team/web")) == 2


def tasks(client: Driven) -> None:
    first, second = sorted(one.id for one in client.list_tasks())
    endpoints = client.list_endpoints()
    assert {one.task_id for one in endpoints} == {first, second}
    assert all(one.service_port for one in endpoints)
    assert client.kill_task("/team/web", first).id == first
    until(lambda: first not in running(client) and len(running(client)) == 2, "one is replaced")
    wiped = client.kill_tasks("/team/web", wipe=True)
    assert len(wiped) == 2
    until(lambda: not running(client) & {one.id for one in wiped} and len(running(client)) == 2, "all are replaced")
    assert client.kill_tasks("/team/web", host="nowhere") == []
    assert client.kill_given_tasks([running(client).pop()], scale=True, force=True) is True
    settled(client)
    assert client.get_app("/team/web").instances == 1
    assert "deploymentId" in client.kill_tasks("/team/web", scale=True)
    settled(client)
    assert client.get_app("/team/web").instances == 0
    refused(NotFoundError, lambda: client.kill_task("/team/web", first))
    client.delete_app("/team/web")
    settled(client)
    refused(NotFoundError, lambda: client.get_app("/team/web"))


def groups(client: Driven) -> None:
    member = MarathonApp(id="one", cmd=COMMAND, cpus=0.1, mem=16, instances=1)
    client.create_group(MarathonGroup(id="/shop", apps=[member]))
    settled(client)
    before = client.get_group("/shop")
    assert [one.id for one in before.apps] == ["/shop/one"]
    assert [one.id for one in client.list_groups()] == ["/shop"]
    client.scale_group("/shop", 2)
    settled(client)
    assert client.get_app("/shop/one").instances == 2
    second = MarathonApp(id="two", cmd=COMMAND, cpus=0.1, mem=16, instances=0)
    client.update_group("/shop", MarathonGroup(apps=[member, second]))
    settled(client)
    assert [one.id for one in client.list_groups(id="/shop")[0].apps] == ["/shop/one", "/shop/two"]
    client.rollback_group("/shop", before.version)
    settled(client)
    assert [(one.id, one.instances) for one in client.get_group("/shop").apps] == [("/shop/one", 1)]
    client.delete_group("/shop", force=True)
    settled(client)
    refused(NotFoundError, lambda: client.get_group("/shop"))


def waiting(client: Driven) -> None:
    nowhere = [["hostname", "LIKE", "nowhere"]]
    client.create_app("/w", MarathonApp(cmd=COMMAND, cpus=0.1, mem=16, constraints=nowhere))
    item = until(lambda: client.list_queue(embed_last_unused_offers=True), "it waits")[0]
    assert (item.app.id, item.count, item.delay.overdue) == ("/w", 1, True)
    client.reset_delay("/w")
    (deployment,) = client.list_deployments()
    assert deployment.affected_apps == ["/w"]
    message = refused(ConflictError, lambda: client.restart_app("/w"))
    assert "locked" in message
    assert client.delete_deployment(deployment.id, force=True) == {}
    client.restart_app("/w", force=True)
    (deployment,) = client.list_deployments()
    client.delete_deployment(deployment.id)
    client.delete_app("/w", force=True)
    settled(client)


def events(client: Driven) -> None:
    stream = client.event_stream(event_types=["event_stream_attached", "group_change_success", "app_terminated_event"])
    assert next(stream).event_type == "event_stream_attached"
    client.create_app("/e", MarathonApp(cmd=COMMAND, cpus=0.1, mem=16, instances=0))
    told = next(stream)
    assert (told.event_type, told.group_id) == ("group_change_success", "/")
    settled(client)
    raw = client.event_stream(raw=True)
    assert json.loads(next(raw))["eventType"] == "event_stream_attached"
    client.delete_app("/e")
    kinds = [json.loads(next(raw))["eventType"] for _ in range(6)]
    assert kinds[0] == "group_change_success", kinds
    assert {"deployment_info", "api_post_event", "app_terminated_event", "deployment_success"} <= set(kinds), kinds
    followed = [next(stream) for _ in range(3)]  # the second reader came first
    assert [one.event_type for one in followed] == [
        "event_stream_attached",
        "group_change_success",
        "app_terminated_event",
    ]
    assert followed[2].app_id == "/e"


def running(client: Driven) -> set[str]:
    return {one.id for one in client.list_tasks("/team/web") if one.state == "TASK_RUNNING"}


def settled(client: Driven) -> None:
    until(lambda: not client.list_deployments(), "no deployments")


if __name__ == "__main__":
    main(sys.argv[1])
