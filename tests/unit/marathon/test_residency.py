"""Instances that keep volumes: made once, found again, kept while stopped, gone when nobody needs them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from headrace.marathon.core.events import CreatePod, DeletePod, KillTasks, UpdatePod
from headrace.marathon.core.records import Condition, Goal, Instance
from headrace.marathon.core.settings import Settings
from headrace.marathon.core.shapes import task_view
from headrace.mesos.messages import scheduler
from headrace.mesos.resources import PLAIN, Resources, Tag

from .simulation import ORIGIN, ROOM, Cluster

ROLE = "data"
VOLUME = {"containerPath": "data", "mode": "RW", "persistent": {"size": 100}}
CONTAINER = {"type": "MESOS", "volumes": [VOLUME]}


def start(**settings: Any) -> Cluster:
    return Cluster(Settings(role=ROLE, min_revive_offers_interval=0.0, **settings))


def resident(it: Cluster, instances: int = 1, **fields: Any) -> list[Instance]:
    answer = it.create("/db", container=CONTAINER, instances=instances, **fields)
    assert answer.status == 201, answer.body
    it.settle()
    return it.instances("/db")


def volumes(it: Cluster, host: str = "host-1") -> set[str]:
    """The volumes on an agent."""
    parts = it.reserved[host].parts if host in it.reserved else {}
    return {tag.volume for tag in parts if tag.volume is not None}


def operations(it: Cluster) -> list[str | None]:
    """Those of the last ACCEPT."""
    accept = next(call.accept for call in reversed(it.calls) if call.accept is not None)
    return [one.type for one in accept.operations or ()]


def ids(of: Instance) -> set[str]:
    return {one.id for one in of.volumes}


def wipe(it: Cluster, task_id: str) -> Any:
    return it.ask(
        lambda to: KillTasks(
            to, None, [task_id], None, scale=False, wipe=True, single=False, force=False, origin=ORIGIN
        )
    )


def test_the_first_launch_makes_a_volume_in_one_call() -> None:
    it = start()
    (instance,) = resident(it)
    assert operations(it) == ["RESERVE", "CREATE", "LAUNCH"]
    assert volumes(it) == ids(instance)
    (tag,) = [tag for tag in it.reserved["host-1"].parts if tag.volume is None]
    labels = dict(tag.reservations[0].labels)
    assert (labels["marathon_framework_id"], labels["marathon_task_id"]) == ("framework-1", instance.id)
    assert tag.role == ROLE
    (shown,) = task_view(instance, it.core.books.apps["/db"])["localVolumes"]
    assert shown["persistenceId"] == f"db#data#{shown['uuid']}"
    assert (shown["runSpecId"], shown["containerPath"]) == ("/db", "data")


@pytest.mark.parametrize("end", ["TASK_FAILED", "TASK_KILLED", "TASK_FINISHED", "TASK_GONE"])
def test_a_task_comes_back_to_its_volume(end: str) -> None:
    it = start()
    (instance,) = resident(it)
    before, ports = ids(instance), instance.ports
    it.status(instance.task_id, end)
    it.settle()
    assert operations(it) == ["LAUNCH"]
    (again,) = it.instances("/db")
    assert (again.id, again.incarnation, ids(again), again.ports) == (instance.id, 2, before, ports)
    assert again.task_id in it.alive()


def test_only_an_offer_with_the_volume_will_do() -> None:
    it = start()
    (instance,) = resident(it)
    it.status(instance.task_id, "TASK_KILLED")
    it.offer("host-2")
    assert it.calls[-1].type == "DECLINE"
    attempt = it.core.queue.attempts["/db"]
    assert attempt.refusals == {"NoCorrespondingReservationFound": 1}
    it.offer("host-1", Resources())
    assert instance.task_id in it.alive()


def test_what_is_reserved_for_one_is_for_no_other() -> None:
    it = start()
    (instance,) = resident(it)
    it.status(instance.task_id, "TASK_KILLED")
    it.create("/other")
    it.offer("host-1", Resources())
    assert instance.task_id in it.alive()
    assert it.core.queue.attempts["/other"].refusals["InsufficientCpus"] == 1


@pytest.mark.parametrize("end", ["TASK_ERROR", "TASK_DROPPED", "TASK_GONE", "TASK_UNKNOWN"])
def test_a_volume_that_was_never_made_is_made_anew(end: str) -> None:
    it = start()
    it.create("/db", container=CONTAINER)
    it.loses_accepts = True
    it.offer()
    (instance,) = it.instances("/db")
    first = ids(instance)
    assert volumes(it) == set()
    it.loses_accepts = False
    it.status(instance.task_id, end)
    it.advance(60)
    it.settle()
    (again,) = it.instances("/db")
    assert again.id == instance.id
    assert ids(again).isdisjoint(first)
    assert volumes(it) == ids(again)
    assert not it.core.books.leftovers.all


def test_a_volume_that_a_task_has_failed_on_is_there() -> None:
    it = start()
    it.create("/db", container=CONTAINER)
    it.offer()
    (instance,) = it.instances("/db")
    made = ids(instance)
    for end in ("TASK_FAILED", "TASK_DROPPED", "TASK_ERROR"):
        it.status(instance.task_id, end)
        it.advance(10)
        it.offer()
        assert ids(instance) == made
    assert instance.task_id in it.alive()


def test_what_was_made_for_a_failed_launch_is_undone() -> None:
    it = start()
    it.create("/db", container=CONTAINER)
    it.offer()
    (instance,) = it.instances("/db")
    lost = ids(instance)
    it.status(instance.task_id, "TASK_ERROR")
    it.settle()
    assert volumes(it).isdisjoint(lost)
    assert volumes(it) == ids(it.instances("/db")[0])


def test_scaling_down_keeps_volumes_and_scaling_up_uses_them() -> None:
    it = start()
    resident(it, 2)
    kept = volumes(it)
    it.update("/db", instances=0)
    it.settle()
    assert not it.core.deployments.running
    assert [one.goal for one in it.instances("/db")] == [Goal.STOPPED] * 2
    assert not it.alive()
    assert not it.wants_offers
    assert {task_view(one, None)["state"] for one in it.instances("/db")} == {"TASK_KILLED"}
    it.crash()
    it.update("/db", instances=3)
    it.settle()
    assert len(it.alive()) == 3
    assert kept < volumes(it)
    assert [one.incarnation for one in it.instances("/db")] == [2, 2, 1]


def test_a_stopped_instance_that_is_wanted_again_before_its_end() -> None:
    it = start()
    (instance,) = resident(it)
    it.update("/db", instances=0)
    it.update("/db", instances=1, force=True)
    it.settle()
    assert [one.id for one in it.instances("/db")] == [instance.id]
    assert it.alive() == {instance.task_id}


def test_removing_an_app_leaves_nothing_reserved() -> None:
    it = start()
    resident(it, 2)
    it.update("/db", instances=1)
    it.settle()
    it.delete("/db")
    it.end_killed()
    assert volumes(it)
    it.crash()
    it.settle()
    assert not it.reserved["host-1"]
    assert not it.wants_offers
    assert not [key for key in it.store if key.startswith(("leftover/", "instance/"))]


def test_a_wipe_ends_the_volume_and_a_new_instance_comes() -> None:
    it = start()
    (instance,) = resident(it)
    old = ids(instance)
    wipe(it, instance.task_id)
    it.settle()
    (new,) = it.instances("/db")
    assert new.id != instance.id
    assert volumes(it) == ids(new) != old


def test_a_stopped_instance_can_be_wiped() -> None:
    it = start()
    (instance,) = resident(it)
    it.update("/db", instances=0)
    it.settle()
    wipe(it, instance.task_id)
    it.settle()
    assert it.instances("/db") == []
    assert not it.reserved["host-1"]


def test_reservations_of_nobody_are_undone() -> None:
    it = start()
    (instance,) = resident(it)
    it.delete("/db")
    it.end_killed()
    for lease in list(it.core.books.leftovers.all):
        it.core.books.leftovers.drop(lease)  # as if it had been forgotten
    it.create("/other")
    it.settle()
    assert not it.reserved["host-1"]
    assert instance.id not in it.core.books.instances


def test_reservations_of_others_are_left_alone() -> None:
    """Another Marathon's in the same role, and one that some other program has labelled so."""
    it = start()
    (instance,) = resident(it)
    (tag,) = [tag for tag in it.reserved["host-1"].parts if tag.volume is None]
    (ours,) = tag.reservations
    labels = dict(ours.labels)
    strange: list[dict[str, str | None]] = [
        {**labels, "marathon_framework_id": "framework-9", "marathon_reservation_id": "x"},
        {"marathon_framework_id": "framework-1", "marathon_task_id": "db.instance-old"},
    ]
    tags = [Tag((msgspec.structs.replace(ours, labels=tuple(one.items())),)) for one in strange]
    for one in tags:
        it.reserved["host-1"] += Resources.of(cpus=1).tagged(one)
    it.delete("/db")
    it.create("/other", cpus=8.5, mem=16)
    it.settle()
    assert it.reserved["host-1"].parts.keys() == set(tags)
    assert not it.alive()
    assert instance.id not in it.core.books.instances


def test_the_principal_is_that_of_reservation_and_volume() -> None:
    it = start(principal="marathon")
    resident(it)
    tags = list(it.reserved["host-1"].parts)
    assert {tag.reservations[0].principal for tag in tags} == {"marathon"}
    assert [tag.owner for tag in tags if tag.volume is not None] == ["marathon"]


def test_a_pod_that_keeps_volumes_can_not_change_what_it_takes() -> None:
    it = start()
    it.ask(lambda to: CreatePod(to, POD, False, ORIGIN))
    it.settle()
    grown = json.loads(json.dumps(POD))
    grown["containers"][0]["resources"]["cpus"] = 0.2
    other = {**POD, "volumes": [{"name": "data", "persistent": {"size": 51}}]}
    for body, text in ((grown, "may not change resource"), (other, "Persistent volumes can not be changed!")):
        answer = it.ask(lambda to, body=body: UpdatePod(to, "/pod", body, False, ORIGIN))
        assert answer.status == 422
        assert text in str(answer.body)


def test_a_restart_replaces_in_place_one_at_a_time() -> None:
    it = start()
    before = {one.id: ids(one) for one in resident(it, 3, upgradeStrategy=None)}
    strategy = {"minimumHealthCapacity": 1, "maximumOverCapacity": 0}
    it.update("/db", upgradeStrategy=strategy, env={"A": "b"})
    least = 3
    for _ in range(20):
        for role in it.wanted_roles.copy():
            it.offer(role=role)
        least = min(least, len([one for one, state in it.tasks.items() if state == "TASK_RUNNING"]))
        it.run_all()
        it.end_killed()
        it.advance(1)
    assert least == 2
    assert not it.core.deployments.running
    assert {one.id: ids(one) for one in it.instances("/db")} == before
    assert {one.incarnation for one in it.instances("/db")} == {2}
    assert {one.version for one in it.instances("/db")} == {it.core.books.apps["/db"].version}


def test_a_restart_that_marathon_does_not_live_through() -> None:
    it = start()
    before = {one.id: ids(one) for one in resident(it, 2)}
    it.restart("/db")
    it.crash()
    it.end_killed()
    it.crash()
    it.settle()
    assert not it.core.deployments.running
    assert {one.id: ids(one) for one in it.instances("/db")} == before


def test_an_agent_that_is_gone_for_good() -> None:
    it = start()
    (instance,) = resident(it)
    it.status(instance.task_id, "TASK_GONE_BY_OPERATOR")
    it.advance(2)
    it.offer("host-2")
    (again,) = it.instances("/db")
    assert (again.id, again.incarnation, again.home) == (instance.id, 2, "agent-host-2")
    assert not it.core.books.leftovers.all


def test_an_unreachable_instance_is_waited_for() -> None:
    it = start()
    (instance,) = resident(it)
    it.status(instance.task_id, "TASK_UNREACHABLE")
    it.advance(100_000)
    assert [one.condition for one in it.instances("/db")] == [Condition.UNREACHABLE]
    it.update("/db", instances=0)
    it.settle()
    assert not it.core.deployments.running
    it.status(instance.task_id, "TASK_RUNNING")
    assert instance.task_id in it.killed
    it.settle()
    assert [one.goal for one in it.instances("/db")] == [Goal.STOPPED]


def test_a_new_framework_id_finds_the_volumes() -> None:
    it = start()
    (instance,) = resident(it)
    it.connect("framework-2")
    it.tasks[f"{instance.id}._app.1"] = "TASK_GONE"
    it.settle()
    assert instance.task_id in it.alive()
    assert volumes(it) == ids(instance)


def test_unique_counts_those_that_are_away() -> None:
    it = start()
    it.create("/db", container=CONTAINER, instances=1, constraints=[["hostname", "UNIQUE"]])
    it.settle()
    it.update("/db", instances=0)
    it.settle()
    it.update("/db", instances=2)
    it.settle(5)
    assert len(it.alive()) == 1
    assert it.core.queue.attempts["/db"].refusals["UnfulfilledConstraint"]


PATH = Tag(source=b'{"path":{"root":"/mnt/fast"},"type":"PATH"}')
MOUNT = Tag(source=b'{"mount":{"root":"/mnt/big"},"type":"MOUNT"}')


@pytest.mark.parametrize(
    ("persistent", "size"),
    [
        ({"size": 100, "type": "path"}, 100),
        ({"size": 100, "type": "mount"}, 500),
        ({"size": 100, "type": "mount", "maxSize": 499}, None),
        ({"size": 501, "type": "mount"}, None),
        ({"size": 100, "type": "path", "constraints": [["path", "LIKE", "/mnt/fa.*"]]}, 100),
        ({"size": 100, "type": "path", "constraints": [["path", "UNLIKE", "/mnt/fa.*"]]}, None),
        ({"size": 100, "type": "path", "profileName": "ssd"}, None),
    ],
)
def test_volumes_on_other_disks(persistent: dict[str, Any], size: int | None) -> None:
    it = start()
    container = {"type": "MESOS", "volumes": [{**VOLUME, "persistent": persistent}]}
    assert it.create("/db", container=container).status == 201
    it.offer(room=ROOM + Resources.of(disk=500).tagged(PATH) + Resources.of(disk=500).tagged(MOUNT))
    if size is None:
        assert it.core.queue.attempts["/db"].refusals == {"InsufficientDisk": 1}
        return
    (part,) = [part for tag, part in it.reserved["host-1"].parts.items() if tag.volume is not None]
    assert part.scalar("disk") == size
    it.settle()
    (instance,) = it.instances("/db")
    it.status(instance.task_id, "TASK_FAILED")
    it.settle()
    assert instance.task_id in it.alive()
    it.delete("/db")
    it.settle()
    assert not it.reserved["host-1"].where(lambda tag: bool(tag.reservations))


POD: dict[str, Any] = {
    "id": "/pod",
    "containers": [
        {
            "name": name,
            "resources": {"cpus": 0.1, "mem": 32},
            "exec": {"command": {"shell": "sleep 1000"}},
            "volumeMounts": [{"name": "data", "mountPath": "here"}],
        }
        for name in ("one", "two")
    ],
    "volumes": [{"name": "data", "persistent": {"size": 50}}],
}


def test_the_volumes_of_a_pod_are_its_executors() -> None:
    it = start()
    assert it.ask(lambda to: CreatePod(to, POD, False, ORIGIN)).status == 201
    it.settle()
    assert operations(it) == ["RESERVE", "CREATE", "LAUNCH_GROUP"]
    group = _last_group(it)
    (volume,) = [tag for tag in Resources.parse(group.executor.resources).parts if tag.volume is not None]
    assert volumes(it) == {volume.volume}
    assert volume.mount == b'{"container_path":"data","mode":"RW"}'
    (instance,) = it.instances("/pod")
    for task_id in sorted(it.alive()):
        it.status(task_id, "TASK_FAILED")
    it.settle()
    assert (instance.incarnation, len(it.alive())) == (2, 2)
    assert volumes(it) == {volume.volume}
    it.ask(lambda to: DeletePod(to, "/pod", False, ORIGIN))
    it.settle()
    assert not it.reserved["host-1"]


def test_each_incarnation_of_a_pod_has_an_executor_of_its_own() -> None:
    """The one before may be about to end, and an agent drops what comes to it then."""
    it = start()
    it.ask(lambda to: CreatePod(to, POD, False, ORIGIN))
    executors = []
    for _ in range(3):
        it.settle()
        executors.append(_last_group(it).executor.executor_id.value)
        for task_id in sorted(it.alive()):
            it.status(task_id, "TASK_FAILED")
    (instance,) = it.instances("/pod")
    assert executors == [instance.id, f"{instance.id}.2", f"{instance.id}.3"]
    read = [path for reading in it.readings.values() for path in reading.paths.values()]
    assert all(any(f"/executors/{one}/" in path for path in read) for one in executors)


def _last_group(it: Cluster) -> scheduler.LaunchGroup:
    accept = next(call.accept for call in reversed(it.calls) if call.accept is not None)
    (group,) = [one.launch_group for one in accept.operations or () if one.launch_group is not None]
    return group


def test_volumes_that_changed_are_not_taken_for_others() -> None:
    """An app of the same id with other volumes gets its own."""
    it = start()
    (instance,) = resident(it)
    old = ids(instance)
    it.delete("/db")
    other = {"type": "MESOS", "volumes": [{**VOLUME, "containerPath": "other"}]}
    it.create("/db", container=other, force=True)
    it.settle()
    assert volumes(it).isdisjoint(old)
    assert {tag.volume for tag in it.reserved["host-1"].parts if tag != PLAIN and tag.volume} == ids(
        it.instances("/db")[0]
    )
