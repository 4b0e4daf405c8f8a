"""Subscription, failover, absence, removal, changes, offers and their filters."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.mesos.master.api import calls
from headrace.mesos.master.core.books import Settings
from headrace.mesos.master.core.events import OperatorTearsDown
from headrace.mesos.messages.agent_link import ShutdownFramework
from headrace.mesos.messages.common import FrameworkID, OfferFilters
from tests.unit.mesos.master.master_world import FakeFramework, World, framework_info


@pytest.fixture
def world() -> World:
    return World()


# Subscription


def test_subscribed_is_followed_at_once_by_a_heartbeat_and_offers(world: World) -> None:
    world.agent()
    framework = world.framework()
    assert framework.kinds == ["SUBSCRIBED", "HEARTBEAT", "OFFERS"]
    subscribed = framework.events[0].subscribed
    assert subscribed is not None
    assert subscribed.framework_id.value == "m-0000"
    assert subscribed.heartbeat_interval_seconds == 15.0


def test_ids_count_up(world: World) -> None:
    assert [world.framework().id for _ in range(2)] == ["m-0000", "m-0001"]
    assert [world.agent(port=port).id for port in (1, 2)] == ["m-S0", "m-S1"]


def test_heartbeats_come_every_15_seconds(world: World) -> None:
    framework = world.framework()
    world.advance(46)
    assert framework.kinds.count("HEARTBEAT") == 4


def test_an_invalid_framework_gets_an_error_and_the_end(world: World) -> None:
    framework = FakeFramework(world, framework_info(roles=["a b"]))
    framework.subscribe()
    (event,) = framework.events
    assert event.error is not None
    assert "invalid role" in event.error.message
    assert framework.stream is None
    assert not world.books.frameworks


def test_a_framework_may_bring_its_own_id(world: World) -> None:
    framework = FakeFramework(world, framework_info())
    framework.id = "mine"
    framework.subscribe()
    assert framework.kinds[0] == "SUBSCRIBED"
    assert framework.id == "mine"


def test_an_own_id_that_is_no_id_is_an_error(world: World) -> None:
    framework = FakeFramework(world, framework_info())
    framework.id = "a/b"
    framework.subscribe()
    assert framework.kinds == ["ERROR"]


def test_suppressed_roles_get_no_offers(world: World) -> None:
    world.agent()
    framework = FakeFramework(world, framework_info(roles=["a", "b"]))
    framework.subscribe(suppressed=["a"])
    assert [offer.allocation_info.role for offer in framework.offers.values() if offer.allocation_info] == ["b"]


# Calls of strangers


def test_calls_are_refused_as_by_mesos(world: World) -> None:
    framework = world.framework()
    stream = framework.stream
    framework.stream = ""
    assert framework.call("REVIVE").text == "All non-subscribe calls should include the 'Mesos-Stream-Id' header"
    framework.stream = "other"
    answer = framework.call("REVIVE")
    assert (answer.status, answer.text) == (
        400,
        "The stream ID 'other' included in this request didn't match "
        "the stream ID currently associated with framework ID m-0000",
    )
    framework.stream = stream
    known, framework.id = framework.id, "nope"
    answer = framework.call("REVIVE")
    assert (answer.status, answer.text) == (400, "Framework cannot be found")
    framework.id = known
    framework.disconnect()
    answer = framework.call("REVIVE")
    assert (answer.status, answer.text) == (403, "Framework is not subscribed")


MISSING = {"agent_id": {"value": "x"}, "executor_id": {"value": "y"}}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("MESSAGE", {**MISSING, "data": "aGk="}),
        ("SHUTDOWN", MISSING),
        ("REQUEST", {"requests": [{"resources": []}]}),
        ("ACCEPT_INVERSE_OFFERS", {"inverse_offer_ids": [{"value": "x"}]}),
        ("DECLINE_INVERSE_OFFERS", {}),
        ("RECONCILE_OPERATIONS", {}),
        ("ACKNOWLEDGE_OPERATION_STATUS", {**MISSING, "operation_id": {"value": "o"}, "uuid": "A" * 22 + "=="}),
    ],
)
def test_calls_that_concern_nobody_are_accepted(world: World, kind: str, body: dict[str, Any]) -> None:
    framework = world.framework()
    framework.take()
    assert framework.call(kind, **{kind.lower(): body}).status == 202
    assert not framework.events


def test_an_empty_id_is_as_good_as_none(world: World) -> None:
    framework = FakeFramework(world, framework_info(id=FrameworkID("")))
    framework.subscribe()
    assert framework.id == "m-0000"
    body = msgspec.json.encode({"type": "SUBSCRIBE", "subscribe": {"framework_info": framework.info}})
    assert calls.read(body).type == "SUBSCRIBE"


def test_a_foreign_role_takes_the_effect_of_revive_and_suppress(world: World) -> None:
    world.agent()
    framework = world.framework(roles=["test", "more"])
    framework.call("SUPPRESS", suppress={"roles": ["test", "foreign"]})
    assert world.books.frameworks[framework.id].suppressed == frozenset()
    framework.call("SUPPRESS", suppress={"roles": ["test", "more"]})
    framework.call("REVIVE", revive={"roles": ["test", "foreign"]})
    assert world.books.frameworks[framework.id].suppressed == {"test", "more"}


# Failover and absence


def test_failover_ends_the_old_stream_and_keeps_the_tasks(world: World) -> None:
    agent, old = world.agent(), world.framework()
    old.accept(old.task("t1", agent), refuse=100)
    agent.update("t1", "TASK_RUNNING")
    old_stream = old.stream
    old.take()
    new = FakeFramework(world, old.info)
    new.id = old.id
    new.subscribe()
    assert [event.error.message for event in old.events if event.error] == ["Framework failed over"]
    assert old_stream in world.closed
    assert new.kinds[:2] == ["SUBSCRIBED", "HEARTBEAT"]
    assert "t1" in world.books.frameworks[new.id].tasks
    assert len(new.offers) == 1, "filters of the old scheduler are forgotten"


def test_a_call_on_the_stream_before_failover_is_refused(world: World) -> None:
    old = world.framework()
    new = FakeFramework(world, old.info)
    new.id = old.id
    stream = old.stream
    new.subscribe()
    old.stream = stream
    assert old.call("REVIVE").status == 400


def test_an_absent_framework_keeps_its_tasks_until_its_failover_timeout(world: World) -> None:
    agent, framework = world.agent(), world.framework(failover_timeout=60)
    framework.accept(framework.task("t1", agent))
    framework.disconnect()
    assert not world.books.offers
    world.advance(59)
    framework.subscribe()
    world.advance(30)
    assert "t1" in world.books.frameworks[framework.id].tasks
    framework.disconnect()
    world.advance(61)
    assert framework.id not in world.books.frameworks
    assert agent.heard(ShutdownFramework)
    ended = world.books.completed[0].completed[0]
    assert (ended.state, ended.statuses[-1].reason) == ("TASK_KILLED", "REASON_FRAMEWORK_REMOVED")
    assert world.books.frameworks == {}


def test_what_a_disconnected_framework_held_goes_to_others(world: World) -> None:
    world.agent()
    first = world.framework("first")
    second = world.framework("second")
    assert not second.offers
    first.disconnect()
    assert len(second.offers) == 1


def test_without_a_failover_timeout_a_framework_ends_with_its_stream(world: World) -> None:
    framework = world.framework(failover_timeout=0.0)
    framework.disconnect()
    assert not world.books.frameworks
    framework.subscribe()
    assert framework.events[-1].error is not None
    assert framework.events[-1].error.message == "Framework has been removed"


def test_teardown_ends_the_tasks_and_refuses_the_id(world: World) -> None:
    agent, framework = world.agent(), world.framework()
    framework.accept(framework.task("t1", agent))
    stream = framework.stream
    assert framework.call("TEARDOWN").status == 202
    assert stream in world.closed
    assert agent.heard(ShutdownFramework)
    assert framework.call("REVIVE").text == "Framework cannot be found"
    framework.take()
    framework.subscribe()
    assert framework.kinds == ["ERROR"]


def test_an_operator_may_tear_down(world: World) -> None:
    framework = world.framework()
    world.feed(OperatorTearsDown(7, framework.id))
    assert world.answers.pop(7).status == 200
    world.feed(OperatorTearsDown(8, framework.id))
    answer = world.answers.pop(8)
    assert (answer.status, answer.text) == (400, "No framework found with specified ID")


def test_completed_frameworks_are_bounded_but_their_ids_remembered(world: World) -> None:
    for _ in range(52):
        world.framework().call("TEARDOWN")
    assert len(world.books.completed) == 50
    assert len(world.books.completed_ids) == 52
    assert sum(key.startswith("completed/") for key in world.store) == 52


# Changes


def test_leaving_a_role_rescinds_its_offers(world: World) -> None:
    world.agent()
    framework = world.framework(roles=["a"])
    (offer,) = framework.offers
    changed = framework_info(roles=["b"])
    answer = framework.call("UPDATE_FRAMEWORK", update_framework={"framework_info": described(changed, framework.id)})
    assert answer.status == 200
    rescinded = [event.rescind.offer_id.value for event in framework.events if event.rescind]
    assert rescinded == [offer]
    assert [o.allocation_info.role for o in framework.offers.values() if o.allocation_info] == ["b"]


def described(info: object, framework_id: str) -> object:
    import msgspec

    return {**msgspec.to_builtins(info), "id": {"value": framework_id}}


def test_names_and_labels_may_change_and_are_stored(world: World) -> None:
    framework = world.framework()
    changed = framework_info("renamed", webui_url="http://x")
    framework.call("UPDATE_FRAMEWORK", update_framework={"framework_info": described(changed, framework.id)})
    assert world.books.frameworks[framework.id].info.webui_url == "http://x"
    assert b"renamed" in world.store[f"frameworks/{framework.id}"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"checkpoint": True},
            "FrameworkInfo update is not valid: Updating 'FrameworkInfo.checkpoint' is unsupported; "
            "attempted to update from 'false' to 'true'",
        ),
        (
            {"user": "nobody"},
            "FrameworkInfo update is not valid: Updating 'FrameworkInfo.user' is unsupported; "
            "attempted to update from 'root' to 'nobody'",
        ),
        (
            {"principal": "zz"},
            "FrameworkInfo update is not valid: Changing framework's principal is not allowed.",
        ),
        (
            {"roles": ["-x"]},
            "Supplied FrameworkInfo is not valid: 'FrameworkInfo.roles' contains invalid role: "
            "Role component '-x' is invalid because it begins with a dash",
        ),
    ],
)
def test_changes_that_are_refused(world: World, change: dict[str, object], text: str) -> None:
    framework = world.framework()
    before = world.books.frameworks[framework.id].info
    info = {**described(framework.info, framework.id), **change}  # type: ignore[dict-item]
    answer = framework.call("UPDATE_FRAMEWORK", update_framework={"framework_info": info})
    assert (answer.status, answer.text) == (400, text)
    assert world.books.frameworks[framework.id].info == before


def test_subscribing_again_changes_all_but_user_and_checkpoint(world: World) -> None:
    framework = world.framework()
    framework.disconnect()
    framework.info = framework_info("renamed", checkpoint=True)
    framework.subscribe()
    info = world.books.frameworks[framework.id].info
    assert (info.name, info.checkpoint) == ("renamed", None)


# Offers


def test_declined_resources_come_back_after_five_seconds(world: World) -> None:
    world.agent()
    framework = world.framework()
    framework.decline(*framework.offers)
    world.advance(4.9)
    assert not framework.offers
    world.advance(0.2)
    assert len(framework.offers) == 1


def test_declining_without_a_filter_does_not_make_the_master_spin(world: World) -> None:
    world.agent()
    framework = world.framework()
    framework.decline(*framework.offers, refuse=0)
    assert not framework.offers
    world.advance(0.5)
    assert len(framework.offers) == 1


def test_what_one_declines_goes_to_another_at_once(world: World) -> None:
    world.agent()
    first, second = world.framework("first"), world.framework("second")
    first.decline(*first.offers, refuse=3600)
    assert len(second.offers) == 1


def test_revive_forgets_filters_and_suppress_stops_offers(world: World) -> None:
    world.agent()
    framework = world.framework()
    framework.decline(*framework.offers, refuse=3600)
    framework.call("REVIVE")
    assert len(framework.offers) == 1
    framework.call("SUPPRESS")
    framework.decline(*framework.offers, refuse=0)
    world.advance(100)
    assert not framework.offers
    framework.call("REVIVE", revive={"roles": ["test"]})
    assert len(framework.offers) == 1


def test_reviving_a_role_that_is_not_the_frameworks_does_nothing(world: World) -> None:
    world.agent()
    framework = world.framework()
    framework.decline(*framework.offers, refuse=3600)
    assert framework.call("REVIVE", revive={"roles": ["nope"]}).status == 202
    assert framework.call("SUPPRESS", suppress={"roles": ["nope"]}).status == 202
    assert not framework.offers


def test_suppress_does_not_rescind(world: World) -> None:
    world.agent()
    framework = world.framework()
    framework.call("SUPPRESS")
    assert "RESCIND" not in framework.kinds
    assert len(world.books.offers) == 1


def test_declining_an_unknown_offer_is_no_error(world: World) -> None:
    assert world.framework().decline("nonexistent-O1").status == 202


def test_offers_time_out_if_told_to() -> None:
    world = World(Settings(offer_timeout=10))
    world.agent()
    framework = world.framework()
    (offer,) = framework.offers
    world.advance(11)
    assert [event.rescind.offer_id.value for event in framework.events if event.rescind] == [offer]


@pytest.mark.parametrize(
    ("capabilities", "roles", "resource"),
    [
        ((), None, {"role": "*"}),
        (("MULTI_ROLE",), ["test"], {"role": "*", "allocation_info": {"role": "test"}}),
        (("MULTI_ROLE", "RESERVATION_REFINEMENT"), ["test"], {"allocation_info": {"role": "test"}}),
    ],
)
def test_the_form_of_offers_follows_the_capabilities(
    world: World, capabilities: tuple[str, ...], roles: list[str] | None, resource: dict[str, object]
) -> None:
    import msgspec

    world.agent(cpus=1)
    info = msgspec.structs.replace(framework_info(roles=roles or (), capabilities=capabilities), roles=roles)
    framework = FakeFramework(world, info)
    framework.subscribe()
    (offer,) = [msgspec.to_builtins(offer) for offer in framework.offers.values()]
    assert offer["resources"] == [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 1.0}, **resource}]
    assert offer.get("allocation_info") == ({"role": "test"} if roles else None)
    assert offer["url"] == {
        "scheme": "http",
        "address": {"hostname": "h1", "ip": "10.0.0.1", "port": 5051},
        "path": "/slave(1)",
    }


def test_weights_make_shares(world: World) -> None:
    world = World(Settings(weights={"a": 3.0}))
    frameworks = [world.framework("a", roles=["a"]), world.framework("b", roles=["b"])]
    for port in range(8):
        world.agent(port=port, cpus=1)
    assert [len(framework.offers) for framework in frameworks] == [6, 2]


def least(quantities: dict[str, Any]) -> dict[str, OfferFilters]:
    given = {"test": {"min_allocatable_resources": {"quantities": [{"quantities": quantities}]}}}
    return msgspec.convert(given, dict[str, OfferFilters])


@pytest.mark.parametrize(
    ("quantities", "text"),
    [
        ({}, "Resource quantities must contain at least one quantity"),
        ({"cpus": {"value": -2}}, "Invalid resource quantity for 'cpus': Negative values not supported"),
    ],
)
def test_bad_offer_filters_are_refused(quantities: dict[str, Any], text: str) -> None:
    filters = least(quantities)
    framework = World().framework(offer_filters=filters)
    assert framework.stream is None
    error = framework.events[-1].error
    assert error is not None
    assert error.message == text


def test_a_framework_says_how_small_an_offer_may_be() -> None:
    world = World()
    filters = least({"cpus": {"value": 9}})
    framework = world.framework(offer_filters=filters)
    world.agent(cpus=8, mem=1024)
    assert not framework.offers
    world.agent(port=5052, cpus=9, mem=1024)
    assert len(framework.offers) == 1
