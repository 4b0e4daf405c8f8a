"""Why workers wait: what is kept of refusals, how it is told, and that it stays small."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from headrace.flink.appmaster import assembly, events
from headrace.flink.appmaster.core import ApplicationMaster
from headrace.flink.appmaster.events import OffersReceived, Worker, WorkerReleased, WorkerRequested
from headrace.flink.appmaster.launch import GATHER_TIMER
from headrace.flink.appmaster.placement import Terms, place
from headrace.flink.appmaster.waiting import KEPT_AGENTS, Failure, Waiting, WaitingBook
from headrace.flink.constraints import constraints
from headrace.kernel.core import Reply, TimerFired
from headrace.mesos.messages.common import FrameworkInfo, Label, Labels, Offer
from tests.unit.flink.appmaster_helpers import drive, of, offer, running, status, worker


def after(offers: Sequence[Offer], *workers: Worker, terms: Terms | None = None, now: float = 1.0) -> WaitingBook:
    """The book after one round."""
    book = WaitingBook(terms or Terms())
    book.connected()
    for it in workers:
        book.wanted(it, 0.0)
    book.placed(place(workers, offers, {}, terms or Terms()), workers, len(offers), now)
    return book


def test_needs_and_what_each_agent_lacks() -> None:
    waits = worker(1, cpus=2, mem=4096)
    (row,) = after([offer(1, cpus=1.5, mem=2048)], waits).shown([waits])
    assert (row.needs, row.role, row.count, row.workers) == ({"cpus": 2, "mem": 4096, "ports": 2}, "*", 1, [waits.id])
    assert (row.since, row.offers, row.last_offer) == (0.0, 1, 1.0)
    (agent,) = row.agents
    assert (agent.hostname, agent.at, agent.why) == ("host-1", 1.0, "cpus 1.5 of 2, mem 2048 of 4096")
    assert agent.free == {"cpus": 1.5, "mem": 2048, "ports": 10}
    assert agent.short == {"cpus": 0.5, "mem": 2048}


def test_the_closest_agent_comes_first_and_one_that_is_not_allowed_last() -> None:
    terms = Terms(constraints=constraints({"mesos.constraints.hard.hostattribute": "HOSTNAME:nowhere"}))
    offers = [offer(1, agent=1, cpus=0.5), offer(2, agent=2, cpus=1.9), offer(3, agent=3, cpus=1, mem=10)]
    waits = worker(1, cpus=2)
    (row,) = after(offers, waits).shown([waits])
    assert [agent.hostname for agent in row.agents] == ["host-2", "host-1", "host-3"]
    assert row.why.startswith("host-2: cpus 1.9 of 2; host-1: cpus 0.5 of 2")
    (barred,) = after(offers[:1], waits, terms=terms).shown([waits])
    assert barred.agents[0].why == "is not host nowhere"


def test_the_newest_refusal_of_an_agent_counts() -> None:
    waits = worker(1, cpus=2)
    book = after([offer(1, cpus=0.5)], waits)
    book.placed(place([waits], [offer(2, cpus=1.5)], {}), [waits], 1, 9.0)
    (row,) = book.shown([waits])
    assert [(agent.at, agent.why) for agent in row.agents] == [(9.0, "cpus 1.5 of 2")]
    assert (row.offers, row.last_offer, row.since) == (2, 9.0, 0.0)


def test_only_the_closest_agents_are_kept() -> None:
    offers = [offer(n, agent=n, cpus=n / 1000) for n in range(1, 4 * KEPT_AGENTS)]
    waits = worker(1)
    (row,) = after(offers, waits).shown([waits])
    assert len(row.agents) == KEPT_AGENTS
    assert row.agents[0].hostname == f"host-{4 * KEPT_AGENTS - 1}"
    assert row.why.endswith(f"; and {KEPT_AGENTS - 3} more")


def test_workers_of_one_size_wait_together() -> None:
    workers = [*(worker(n, cpus=8) for n in range(30)), worker(90, cpus=9)]
    book = after([offer(1)], *workers)
    assert [(row.count, len(row.workers)) for row in book.shown(workers)] == [(30, 20), (1, 1)]
    assert [row.needs["cpus"] for row in book.shown(workers[-1:])] == [9]


@pytest.mark.parametrize(
    ("connect", "why"),
    [(True, "no offers for role *"), (False, "there is no connection to the master yet")],
)
def test_without_offers(connect: bool, why: str) -> None:
    book = WaitingBook(Terms())
    if connect:
        book.connected()
    book.wanted(worker(1), 5.0)
    (row,) = book.shown([worker(1)])
    assert (row.why, row.offers, row.last_offer, row.since) == (why, 0, None, 5.0)


def test_what_agents_had_is_forgotten_with_the_connection() -> None:
    waits = worker(1, cpus=8)
    book = after([offer(1)], waits)
    book.disconnected("it is gone")
    (row,) = book.shown([waits])
    assert (row.why, row.agents) == ("not connected to the master: it is gone", [])
    book.connected()
    assert book.shown([waits])[0].why == "no offers at the moment"


def state(core: ApplicationMaster, now: float = 0.0) -> dict[str, object]:
    (reply,) = of(core.handle(events.StateAsked(1), now), Reply)
    assert isinstance(reply.value, dict)
    return reply.value


def rows(core: ApplicationMaster) -> list[Waiting]:
    found = state(core)["waiting"]
    assert isinstance(found, list)
    return found


def test_the_core_says_why_a_worker_waits_until_it_does_not() -> None:
    core = running()
    drive(core, WorkerRequested(1, worker(1, cpus=8)))
    assert [row.why for row in rows(core)] == ["no offers for role *"]
    drive(core, TimerFired(GATHER_TIMER), OffersReceived([offer(1)]))
    assert [row.why for row in rows(core)] == ["host-1: cpus 4 of 8"]
    assert core.stories.of(worker(1).id)[-1].why == "host-1: cpus 4 of 8"
    drive(core, OffersReceived([offer(2, cpus=16)]))
    assert rows(core) == []
    drive(core, WorkerRequested(2, worker(2, cpus=8)), WorkerReleased(3, worker(2).id))
    assert rows(core) == []


def test_the_latest_failure_is_told() -> None:
    core = running()
    assert state(core)["last_failure"] is None
    drive(core, WorkerRequested(1, worker(1)), TimerFired(GATHER_TIMER), OffersReceived([offer(1)]))
    drive(core, events.StatusReceived(status(worker(1).id, "TASK_FAILED")), now=7.0)
    assert state(core)["last_failure"] == Failure(worker(1).id, 7.0, "TASK_FAILED")


def test_commands_find_the_application_master_by_labels() -> None:
    framework = FrameworkInfo("u", "Flink", labels=Labels([Label("headrace.cluster", "/f")]))
    named = assembly.reachable(framework, "http://h:1", "task-1").labels
    assert named == Labels(
        [Label("headrace.cluster", "/f"), Label("headrace.appmaster", "http://h:1"), Label("headrace.task", "task-1")]
    )
    assert assembly.reachable(framework, "", "") == framework
