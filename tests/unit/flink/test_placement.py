"""Which worker goes where."""

from __future__ import annotations

import msgspec

from headrace.flink.appmaster.placement import place
from headrace.flink.appmaster.taking import choose_ports
from headrace.flink.appmaster.tasks import task_info
from headrace.mesos.messages.common import ReservationInfo, Resource, Scalar
from tests.unit.flink.appmaster_helpers import TEMPLATE, offer, reasons, worker


def test_first_fit_in_order() -> None:
    placement = place([worker(n) for n in range(5)], [offer(1, cpus=2), offer(2, agent=2, cpus=8)], {})
    assert [seat.agent_id for seat in placement.seats] == ["agent-1"] * 2 + ["agent-2"] * 3
    assert placement.used == {"agent-1": ["offer-1"], "agent-2": ["offer-2"]}


def test_offers_of_one_agent_count_together() -> None:
    placement = place([worker(1)], [offer(1, cpus=0.5), offer(2, cpus=0.5, mem=0, ports=0)], {})
    assert placement.used == {"agent-1": ["offer-1", "offer-2"]}


def test_agents_of_one_host_do_not() -> None:
    placement = place([worker(1)], [offer(1, host="h", cpus=0.5), offer(2, agent=2, host="h", cpus=0.5)], {})
    assert not placement.seats
    assert placement.unused == ["offer-1", "offer-2"]


def test_ports_never_clash() -> None:
    placement = place([worker(n, cpus=0.1, mem=32) for n in range(6)], [offer(1, ports=10)], {})
    ports = [port for seat in placement.seats for port in seat.ports]
    assert len(placement.seats) == 5
    assert len(set(ports)) == 10
    assert list(reasons(placement).values()) == [{"host-1": "fewer than 2 ports"}]


def test_ports_go_round() -> None:
    free = ((31000, 31001), (31005, 31006))
    assert choose_ports(free, 0) == [31000, 31001]
    assert choose_ports(free, 31000) == [31001, 31005]
    assert choose_ports(free, 31001) == [31005, 31006]
    assert choose_ports(free, 31005) == [31006, 31000]
    assert choose_ports(free, 40000) == [31000, 31001]


def test_sizes_are_turned_down_one_by_one() -> None:
    workers = [worker(1, cpus=3), worker(2, cpus=1), worker(3, cpus=3), worker(4, cpus=1)]
    placement = place(workers, [offer(1, cpus=2), offer(2, agent=2, cpus=3)], {})
    assert [(seat.worker.id[-1], seat.agent_id) for seat in placement.seats] == [
        ("1", "agent-2"),
        ("2", "agent-1"),
        ("4", "agent-1"),
    ]
    assert reasons(placement) == {worker(3).id: {"host-1": "cpus 2 of 3", "host-2": "cpus 0 of 3"}}


def test_reserved_resources_are_left_alone() -> None:
    reserved = Resource("cpus", "SCALAR", scalar=Scalar(4), reservations=[ReservationInfo("STATIC", "other")])
    tempting = offer(1, cpus=0.5)
    tempting = msgspec.structs.replace(tempting, resources=[*(tempting.resources or []), reserved])
    assert reasons(place([worker(1)], [tempting], {})) == {worker(1).id: {"host-1": "cpus 0.5 of 1"}}


def test_task() -> None:
    (seat,) = place([worker(1)], [offer(1, host="UPPER.example")], {}).seats
    task = task_info(TEMPLATE, seat)
    command = task.command
    assert command is not None
    assert command.shell is False
    assert command.arguments is not None
    arguments = command.arguments
    assert "taskmanager.host=upper.example" in arguments
    assert "taskmanager.rpc.port=31000" in arguments
    assert "flink-dist.jar" in arguments[4:9]
    assert arguments[-2:] == ["-D", "taskmanager.data.port=31001"]
    assert "-Dgreeting=a b" in arguments
    assert command.environment is not None
    assert command.environment.variables is not None
    assert command.environment.variables[0].value == "a $b"
    assert task.kill_policy is not None
    assert task.kill_policy.grace_period is not None
    assert task.kill_policy.grace_period.nanoseconds == 2_000_000_000
