"""Apps with an instance on every agent: agents come and go, upgrades go from one to the next, nobody scales them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.marathon.api.views import apps as views
from headrace.marathon.api.views.embeds import Embeds
from headrace.marathon.core.events import ChangeGroup, KillTasks
from headrace.mesos.resources import Resources

from .simulation import ORIGIN, Cluster

STEPS = ("offer", "fail", "lost", "run", "crash", "change", "end", "wait")
HOSTS = ("host-1", "host-2", "host-3")


def on(it: Cluster, app_id: str = "/d") -> list[str]:
    """Where tasks of the app are alive."""
    alive = it.alive()
    return sorted(one.host for one in it.instances(app_id) if one.task_id in alive)


def around(it: Cluster, *hosts: str, rounds: int = 6) -> None:
    """A willing world with these agents."""
    for _ in range(rounds):
        for host in hosts if it.wants_offers else ():
            it.offer(host)
        it.run_all()
        it.end_killed()
        it.answer_probes()
        it.advance(1)


def daemon(*hosts: str, **fields: Any) -> Cluster:
    it = Cluster()
    assert it.create("/d", instancesPer="agent", **fields).status == 201
    around(it, *hosts)
    return it


def shown(it: Cluster) -> dict[str, Any]:
    return dict(views.app(it.core, it.now, "/d", Embeds()).body["app"])


def test_a_change_waits_for_its_turn() -> None:
    """What is there stays what it was, a new agent gets that too; a new app waits."""
    it = daemon("host-1")
    new = {"id": "/new", "cmd": "x", "cpus": 0.1, "mem": 16, "instancesPer": "agent", "dependencies": ["/c"]}
    changed = {**new, "id": "/d", "cmd": "new"}
    body = {"apps": [changed, new, {"id": "/c", "cmd": "x", "cpus": 100, "mem": 16}]}
    it.ask(lambda to: ChangeGroup(to, "/", body, create=False, dry_run=False, force=False, origin=ORIGIN))
    it.status(min(it.alive()), "TASK_FAILED")
    it.advance(10)
    around(it, "host-1", "host-2")
    assert on(it) == ["host-1", "host-2"]
    assert it.commands("/d") == ["sleep 1000"] * 2
    assert not on(it, "/new")
    it.update("/c", cpus=0.1, force=True)
    around(it, "host-1", "host-2", rounds=20)
    assert on(it, "/new") == on(it) == ["host-1", "host-2"]
    assert it.commands("/d") == ["new"] * 2


def test_every_agent_has_one_and_a_new_one_gets_one() -> None:
    it = daemon("host-1", "host-2")
    assert on(it) == ["host-1", "host-2"]
    assert not it.core.deployments.running
    assert (shown(it)["instances"], shown(it)["instancesPer"]) == (2, "agent")
    around(it, "host-1", "host-2", "host-2", "host-3")
    assert on(it) == list(HOSTS)
    it.crash()
    around(it, *HOSTS)
    assert on(it) == list(HOSTS)


def test_agents_that_do_not_suit_have_none() -> None:
    it = daemon("host-1", constraints=[["hostname", "UNLIKE", "host-2"]])
    around(it, "host-2")
    it.offer("host-3", Resources.of(cpus=0.01, mem=1))
    assert on(it) == ["host-1"]


def test_it_waits_for_the_first_agent_and_says_so() -> None:
    it = daemon()
    it.offer("host-1", Resources.of(cpus=0.01, mem=1000))
    (deployment,) = it.core.deployments.running.values()
    _, why = it.core.explainer.deployment(deployment, deployment.actions()[0], it.now)
    assert why.text.startswith("needs 0.1 cpus on one agent; the largest free is 0.01 on host-1")


def test_one_that_ends_comes_back_where_it_was() -> None:
    it = daemon("host-1", "host-2", backoffSeconds=0)
    (first, _) = it.instances("/d")
    it.status(first.task_id, "TASK_FAILED")
    assert it.wants_offers
    around(it, "host-2")
    assert on(it) == ["host-2"], "it waits for its own agent"
    around(it, "host-1")
    assert on(it) == ["host-1", "host-2"]
    assert it.instances("/d")[0].task_id == f"{first.id}._app.2"


def test_an_agent_that_is_gone_takes_its_instance_along() -> None:
    it = daemon(*HOSTS)
    one, two, _ = it.instances("/d")
    it.status(one.task_id, "TASK_GONE_BY_OPERATOR")
    assert len(it.instances("/d")) == 2
    it.status(two.task_id, "TASK_UNREACHABLE")
    it.advance(100)
    assert [three.host for three in it.instances("/d")] == ["host-3"]
    around(it, *HOSTS)
    assert on(it) == list(HOSTS)


def test_one_that_waits_in_vain_is_given_up() -> None:
    it = daemon("host-1", "host-2")
    it.status(it.instances("/d")[0].task_id, "TASK_FAILED")
    it.advance(400)
    it.crash()
    it.advance(601)
    assert [one.host for one in it.instances("/d")] == ["host-2"]
    assert shown(it)["instances"] == 1


def test_an_upgrade_goes_from_agent_to_agent() -> None:
    it = daemon(*HOSTS)
    assert it.update("/d", cmd="sleep 2000").status == 200
    for step in range(3):
        assert len(it.killed) == 1
        assert len(on(it)) == 3
        it.crash()  # whatever happens: the same one is ended
        assert len(set(it.killed)) == 1
        it.end_killed()
        assert len(on(it)) == 2
        assert it.killed == []
        for host in HOSTS:
            it.offer(host)
        assert it.killed == [], "not before the new one runs"
        assert len(it.core.deployments.running) == 1, step
        it.run_all()
    assert not it.core.deployments.running
    assert on(it) == list(HOSTS)
    assert {one.config_version for one in it.instances("/d")} == {it.core.books.apps["/d"].config_version}


def test_it_can_not_be_scaled() -> None:
    it = daemon("host-1")
    answer = it.update("/d", instances=3)
    assert answer.status == 422
    assert answer.body["details"][0]["path"] == "/instances"
    (task,) = it.alive()
    kill = it.ask(
        lambda to: KillTasks(to, "/d", [task], None, scale=True, wipe=False, single=True, force=False, origin=ORIGIN)
    )
    assert kill.status == 422
    before = it.core.books.apps["/d"]
    body = shown(it)
    whole = {name: body[name] for name in ("cmd", "cpus", "mem", "instances", "instancesPer", "env") if name in body}
    assert it.update("/d", partial=False, **whole).status == 200, "what was shown can be sent back"
    assert it.core.books.apps["/d"] == before
    assert it.update("/d", instancesPer=None).status == 422
    it.create("/plain")
    assert it.update("/plain", force=True, instancesPer="agent").status == 422


def test_it_is_removed_everywhere() -> None:
    it = daemon(*HOSTS)
    it.delete("/d")
    it.end_killed()
    assert it.alive() == set()
    assert not it.wants_offers
    assert not it.core.deployments.running


def test_others_are_served_beside_it() -> None:
    it = daemon("host-1")
    it.create("/a", instances=3)
    around(it, *HOSTS)
    assert len(it.instances("/a")) == 3
    assert on(it) == list(HOSTS)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2))))
def test_never_two_on_one_agent(steps: list[tuple[str, int]]) -> None:
    it = daemon(*HOSTS[:1])
    for number, (step, which) in enumerate(steps):
        alive = sorted(it.alive())
        match step:
            case "offer" if it.wants_offers:
                it.offer(HOSTS[which])
            case "fail" | "lost" if alive:
                state = "TASK_FAILED" if step == "fail" else "TASK_UNREACHABLE"
                it.status(alive[which % len(alive)], state)
            case "run":
                it.run_all()
            case "end":
                it.end_killed()
            case "crash":
                it.crash()
            case "wait":
                it.advance(100.0 * which)
            case "change":
                it.update("/d", force=True, cmd=f"sleep {number}")
        assert len(on(it)) == len(set(on(it)))
    for _ in range(5):
        it.advance(400)
        around(it, *HOSTS)
    assert on(it) == list(HOSTS)
    assert not it.core.deployments.running
