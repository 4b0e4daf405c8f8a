"""Quota and weights: orders of operators, as recorded from Mesos."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from headrace.mesos.master.core.events import OperatorRemovesQuota
from headrace.mesos.resources import Resources
from tests.unit.mesos.master.master_world import FakeFramework, World


@pytest.fixture
def world() -> World:
    world = World()
    for port in (5051, 5052):
        world.agent(port=port, cpus=8, mem=8192, disk=20480)
    return world


def scalars(**amounts: float) -> dict[str, Any]:
    return {name: {"value": value} for name, value in amounts.items()}


def config(role: str, guarantees: dict[str, float] | None = None, limits: dict[str, float] | None = None) -> Any:
    out: dict[str, Any] = {"role": role}
    if guarantees:
        out["guarantees"] = scalars(**guarantees)
    if limits:
        out["limits"] = scalars(**limits)
    return out


def update(world: World, *configs: Any, force: bool = False) -> tuple[int, str]:
    answer = world.order("UPDATE_QUOTA", update_quota={"quota_configs": list(configs), "force": force})
    return answer.status, answer.text


def request(world: World, role: str | None, *guarantee: dict[str, Any], force: bool = False) -> tuple[int, str]:
    asked = {"role": role, "guarantee": list(guarantee), "force": force}
    answer = world.order("SET_QUOTA", set_quota={"quota_request": asked})
    return answer.status, answer.text


def cpus(amount: float, **more: Any) -> dict[str, Any]:
    return {"name": "cpus", "type": "SCALAR", "scalar": {"value": amount}, **more}


def status(world: World) -> Any:
    return msgspec.to_builtins(world.core.quotas.status())


def offered(framework: FakeFramework) -> Resources:
    total = Resources()
    for offer in framework.offers.values():
        total = total + Resources.parse(offer.resources)
    return total


def test_quota_is_kept_and_listed_in_both_forms(world: World) -> None:
    assert status(world) == {}
    assert update(world, config("qr", {"cpus": 1, "mem": 512}, {"cpus": 2, "mem": 1024})) == (200, "")
    guarantee = [cpus(1.0), {"name": "mem", "type": "SCALAR", "scalar": {"value": 512.0}}]
    expected = {
        "infos": [{"role": "qr", "guarantee": guarantee}],
        "configs": [config("qr", {"cpus": 1.0, "mem": 512.0}, {"cpus": 2.0, "mem": 1024.0})],
    }
    assert status(world) == expected
    world.restart()
    assert status(world) == expected


def test_a_quota_that_is_reset_stays_listed_until_a_restart(world: World) -> None:
    update(world, config("qr", limits={"cpus": 2}))
    assert update(world, config("qr")) == (200, "")
    assert status(world) == {"infos": [{"role": "qr"}], "configs": [{"role": "qr"}]}
    assert not [key for key in world.store if key.startswith("quotas/")]
    world.restart()
    assert status(world) == {}


@pytest.mark.parametrize(
    ("configs", "text"),
    [
        (
            [config("qr", {"cpus": 5.0}, {"cpus": 2.0})],
            "Invalid QuotaConfig: 'QuotaConfig.guarantees' { cpus: 5 } is not contained within "
            "the 'QuotaConfig.limits' { cpus: 2 }",
        ),
        (
            [config("qr", {"cpus": 500.0}, {"cpus": 500.0})],
            "Invalid QuotaConfig: total quota guarantees 'cpus:500' exceed cluster capacity "
            "'cpus:16; disk:40960; mem:16384' (use 'force' flag to bypass this check)",
        ),
        ([config("a/../b", limits={"cpus": 1.0})], "Updating quota on nested role 'a/../b' is not supported yet"),
        (
            [config("parent", {"cpus": 1}, {"cpus": 1}), config("parent/child", {"cpus": 2}, {"cpus": 2})],
            "Updating quota on nested role 'parent/child' is not supported yet",
        ),
        ([{}], "Invalid QuotaConfig: 'QuotaConfig.role' must be set"),
        ([config("-x")], "Invalid QuotaConfig: Invalid 'QuotaConfig.role': Role component '-x' is invalid because"),
        (
            [config("a", limits={"cpus": -1.0})],
            "Invalid QuotaConfig: Invalid limit configuration {'cpus': -1}: Negative values not supported",
        ),
        (
            [config("a", {"mem": 2.0**41})],
            "Invalid QuotaConfig: Invalid 'QuotaConfig.guarantees': {'mem': 2199023255552} is invalid: "
            "values greater than 1 exabyte (1099511627776) are not supported",
        ),
        (
            [config("a", limits={"cpus": 1e13})],
            "Invalid QuotaConfig: Invalid 'QuotaConfig.limits': {'cpus': 10000000000000} is invalid: "
            "values greater than 1 trillion (1000000000000) are not supported",
        ),
    ],
)
def test_quota_that_can_not_be_changes_nothing(world: World, configs: Any, text: str) -> None:
    before = dict(world.store)
    code, said = update(world, *configs)
    assert code == 400
    assert said.startswith(text)
    assert world.store == before
    assert status(world) == {}


def test_force_overcommits(world: World) -> None:
    assert update(world, config("qr", {"cpus": 500.0}, {"cpus": 500.0}), force=True) == (200, "")
    code, text = update(world, config("*", limits={"cpus": 1.0}))
    assert code == 400, "as long as it is overcommitted, every further quota needs force"
    assert "total quota guarantees 'cpus:500' exceed" in text


def test_the_older_form(world: World) -> None:
    assert request(world, "old", cpus(1)) == (200, "")
    assert status(world)["configs"] == [config("old", {"cpus": 1.0}, {"cpus": 1.0})]
    assert request(world, "old", cpus(1)) == (
        400,
        "Failed to validate set quota request: Cannot set quota for role 'old' which already has quota",
    )
    assert request(world, "big", cpus(500)) == (
        409,
        "Quota guarantees overcommit the cluster (use 'force' to bypass this check): "
        "Total quota guarantees 'cpus:501' exceed cluster capacity 'cpus:16; disk:40960; mem:16384'",
    )
    assert request(world, "big", cpus(500), force=True) == (200, "")
    assert world.order("REMOVE_QUOTA", remove_quota={"role": "old"}).status == 200
    assert [info["role"] for info in status(world)["infos"]] == ["big"]
    gone = world.order("REMOVE_QUOTA", remove_quota={"role": "old"})
    assert (gone.status, gone.text) == (400, "Failed to remove quota: Role 'old' has no quota set")
    world.feed(OperatorRemovesQuota(77, "old", "/master/quota/old"))
    answer = world.answers.pop(77)
    assert answer.text == "Failed to remove quota for path '/master/quota/old': Role 'old' has no quota set"


@pytest.mark.parametrize(
    ("role", "guarantee", "text"),
    [
        (None, [cpus(1)], "QuotaInfo must specify a role"),
        ("a", [], "QuotaInfo with empty 'guarantee'"),
        ("a b", [cpus(1)], "QuotaInfo with invalid role: Role component 'a b' is invalid"),
        ("a", [cpus(1), cpus(2)], "QuotaInfo contains duplicate resource name 'cpus'"),
        ("a", [cpus(1, revocable={})], "QuotaInfo must not contain RevocableInfo"),
        ("a", [cpus(1, reservations=[{"type": "DYNAMIC", "role": "a"}])], "QuotaInfo must not contain any Res"),
        ("a", [{"name": "disk", "scalar": {"value": 1}, "disk": {}}], "QuotaInfo must not contain DiskInfo"),
        ("a", [{"name": "ports", "ranges": {"range": []}}], "QuotaInfo must not include non-scalar resources"),
        ("a", [{"name": "cpus"}], "QuotaInfo with invalid resource: "),
    ],
)
def test_what_the_older_form_does_not_take(world: World, role: str | None, guarantee: Any, text: str) -> None:
    code, said = request(world, role, *guarantee)
    assert code == 400
    assert said.startswith(f"Failed to validate set quota request: {text}")


def test_the_older_form_refuses_nested_roles(world: World) -> None:
    assert request(world, "a/b", cpus(1)) == (400, "Setting quota on nested role 'a/b' is not supported yet")


def test_a_limit_holds_and_lowering_it_takes_offers_back(world: World) -> None:
    update(world, config("ql", limits={"cpus": 0.5}))
    framework = world.framework(roles=["ql"])
    assert offered(framework).scalar("cpus") == 0.5
    assert offered(framework).scalar("mem") == 16384
    framework.take()
    assert update(world, config("ql", limits={"cpus": 0.1})) == (200, "")
    assert framework.kinds[0] == "RESCIND"
    assert framework.kinds.count("RESCIND") == 1, "the offer without cpus stays"
    assert offered(framework).scalar("cpus") <= 0.1


def test_offers_of_others_are_taken_back_for_a_new_guarantee(world: World) -> None:
    greedy = world.framework("greedy", roles=["other"])
    poor = world.framework("poor", roles=["poor"])
    assert offered(greedy).scalar("cpus") == 16
    update(world, config("poor", {"cpus": 4}, {"cpus": 8}))
    assert greedy.kinds.count("RESCIND") == 1, "as few as need be"
    assert offered(poor).scalar("cpus") == 8
    assert offered(greedy).scalar("cpus") == 8


# Weights


def weigh(world: World, *infos: dict[str, Any]) -> tuple[int, str]:
    answer = world.order("UPDATE_WEIGHTS", update_weights={"weight_infos": list(infos)})
    return answer.status, answer.text


def weights(world: World) -> Any:
    return msgspec.to_builtins(world.core.weights.infos())


def test_weights_are_kept(world: World) -> None:
    assert weights(world) == []
    assert weigh(world, {"role": "wr", "weight": 2.5}) == (200, "")
    assert weigh(world) == (200, "")
    assert weights(world) == [{"weight": 2.5, "role": "wr"}]
    assert world.books.allocator.weight("wr") == 2.5
    world.restart()
    assert weights(world) == [{"weight": 2.5, "role": "wr"}]
    assert world.books.allocator.weight("wr") == 2.5


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ({"role": "wr", "weight": 0}, " for role 'wr': Invalid weight '0': Weights must be positive"),
        ({"role": "wr", "weight": -1.5}, " for role 'wr': Invalid weight '-1.5': Weights must be positive"),
        (
            {"role": "a b", "weight": 1},
            ": Invalid role 'a b': Role component 'a b' is invalid because it contains backspace or whitespace",
        ),
        ({"weight": 1}, ": Invalid role '': Role names cannot be the empty string"),
    ],
)
def test_weights_that_can_not_be(world: World, info: Any, text: str) -> None:
    good = {"role": "good", "weight": 3}
    assert weigh(world, good, info) == (400, f"Failed to validate update weights request JSON{text}")
    assert weights(world) == []


def test_new_weights_of_a_role_with_frameworks_take_offers_back(world: World) -> None:
    framework = world.framework(roles=["a"])
    framework.take()
    weigh(world, {"role": "b", "weight": 3})
    assert framework.kinds == []
    weigh(world, {"role": "a", "weight": 3})
    assert framework.kinds[:2] == ["RESCIND", "RESCIND"]
