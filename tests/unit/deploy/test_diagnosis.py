"""What the doctor makes of what it sees."""

from __future__ import annotations

import socket

import pytest

from headrace.deploy.diagnosis import (
    Endpoint,
    Outcome,
    Probe,
    of_flink,
    of_master,
    openings,
    problems,
    shared_ports,
    skew,
)
from headrace.deploy.diagnosis import endpoint as endpoint_of
from headrace.deploy.doctor import probe
from headrace.gateway.overview import AgentState, FrameworkState, LabelState, MasterState

STATE = MasterState(
    slaves=[
        AgentState("a1", "n1", "slave(1)@10.0.0.2:5051", resources={"ports": "[31000-33000]"}),
        AgentState("a2", "n2", "slave(1)@10.0.0.3:5051", active=False),
    ],
    frameworks=[
        FrameworkState("f1", "marathon", webui_url="http://10.0.0.1:8080"),
        FrameworkState(
            "f2",
            "Flink",
            webui_url="http://n1:8081",
            labels=[LabelState("headrace.cluster", "/flink"), LabelState("headrace.appmaster", "http://n1:31007/x")],
        ),
        FrameworkState("f3", "gone", active=False, webui_url="http://n9:1"),
    ],
)


def test_s2_20_the_master_tells_what_is_to_be_reached() -> None:
    assert of_master(STATE) == [
        Endpoint("agent n1", "10.0.0.2", 5051),
        Endpoint("framework marathon", "10.0.0.1", 8080),
        Endpoint("JobManager's REST of Flink cluster /flink", "n1", 8081),
        Endpoint("artifact server of Flink cluster /flink", "n1", 31007),
    ]


def test_s2_20_flink_tells_of_its_own_ports() -> None:
    config = [{"key": "jobmanager.rpc.address", "value": "n1"}, {"key": "jobmanager.rpc.port", "value": "6123"}]
    managers = [{"id": "tm-1", "path": "pekko.tcp://flink@n2:41000/user/rpc/taskmanager_0", "dataPort": 41001}]
    assert of_flink("/flink", config, managers) == [
        Endpoint("JobManager's RPC of Flink cluster /flink", "n1", 6123),
        Endpoint("RPC of TaskManager tm-1", "n2", 41000),
        Endpoint("data port of TaskManager tm-1", "n2", 41001),
    ]
    assert of_flink("/flink", [], [{"path": "?"}]) == []


def seen(what: str, port: int, outcome: Outcome, host: str = "n1", said: str = "") -> Probe:
    return Probe(Endpoint(what, host, port), outcome, ["10.0.0.2"], said)


def test_s2_20_refused_silent_and_rejected_are_told_apart() -> None:
    probes = [
        seen("master", 5050, Outcome.OPEN),
        seen("agent", 5051, Outcome.SILENT),
        seen("Marathon", 8080, Outcome.REJECTED, said="No route to host"),
        seen("RPC", 6123, Outcome.REFUSED),
        seen("agent", 5051, Outcome.SILENT, "n2"),
    ]
    silent, rejected, refused, down = problems(probes)
    assert (
        silent
        == "agent at n1:5051: no answer, while other ports of n1 answer: a firewall drops what comes to this port"
    )
    assert "rejected (No route to host), while other ports of n1 answer: a firewall rejects this port" in rejected
    assert refused.startswith("RPC at n1:6123: refused: nobody listens there")
    assert down.endswith("a firewall drops what comes to it, or the machine is down")
    assert openings(probes) == [
        "on n1, as root, by the firewall that it has:",
        "  firewall-cmd --permanent --add-port=5051/tcp --add-port=8080/tcp && firewall-cmd --reload",
        "  ufw allow 5051/tcp && ufw allow 8080/tcp",
        "  nft add rule inet filter input tcp dport { 5051, 8080 } accept",
        "  iptables -I INPUT -p tcp -m multiport --dports 5051,8080 -j ACCEPT",
        "on n2, as root, by the firewall that it has:",
        "  firewall-cmd --permanent --add-port=5051/tcp && firewall-cmd --reload",
        "  ufw allow 5051/tcp",
        "  nft add rule inet filter input tcp dport { 5051 } accept",
        "  iptables -I INPUT -p tcp -m multiport --dports 5051 -j ACCEPT",
    ]


def test_s2_16_names_that_lead_nowhere_or_home_are_told() -> None:
    probes = [
        Probe(Endpoint("master", "n1", 5050), Outcome.OPEN, ["127.0.1.1"]),
        Probe(Endpoint("agent", "n2", 5051), Outcome.OPEN, ["10.0.0.3"]),
        Probe(Endpoint("agent", "n3", 5051), Outcome.UNKNOWN),
    ]
    unknown, loopback = problems(probes)
    assert "the name n3 is not known here" in unknown
    assert loopback.startswith("n1 is 127.0.1.1 here, a loopback address, in a cluster of several machines")
    assert problems(probes[:1]) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("http://n1", Endpoint("x", "n1", 80)),
        ("slave(1)@[::1]:5051", Endpoint("x", "::1", 5051)),
        ("n1:70000", None),
        ("", None),
    ],
)
def test_endpoints_of_texts(text: str, found: Endpoint | None) -> None:
    assert endpoint_of("x", text) == found


def test_clocks_and_ports_that_kernels_give_away() -> None:
    assert skew("agent n1", 100.0, 102.0) == ""
    assert skew("agent n1", 100.0, 160.0) == "the clock of agent n1 is 60 s behind this machine's; let NTP set both"
    (line,) = shared_ports(STATE, (32768, 60999))
    assert "agent n1 offers ports 31000-33000" in line
    assert shared_ports(STATE, (40000, 60999)) == []


async def test_probe_of_real_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as nobodys:
        port = server.getsockname()[1]
        assert (await probe(Endpoint("x", "127.0.0.1", port), 60)).outcome is Outcome.OPEN
        nobodys.bind(("127.0.0.1", 0))
        port = nobodys.getsockname()[1]
        assert (await probe(Endpoint("x", "127.0.0.1", port), 60)).outcome is Outcome.REFUSED
    assert (await probe(Endpoint("x", "no-such-name.invalid", 1), 60)).outcome is Outcome.UNKNOWN
