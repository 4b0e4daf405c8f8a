"""Names of this machine and of the master, and where the artifact server is."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest

from headrace.flink import address
from headrace.flink.appmaster import core, daemon, own_address
from headrace.flink.appmaster.starter import JobManagerStarter
from headrace.flink.listener import Listener, listener
from headrace.kernel.daemon import UserError
from tests.unit.flink.observing import Built

NAMES = {
    "here": ["10.0.0.1"],
    "debian": ["127.0.1.1"],
    "localhost": ["::1", "127.0.0.1"],
    "there": ["10.0.0.9"],
    "master": ["10.0.0.2"],
    "nat": ["192.0.2.1"],
    "0.0.0.0": ["0.0.0.0"],
}
LOCAL = {"10.0.0.1", "127.0.0.1", "127.0.1.1", "::1"}


def check(host: str, master: str, bind: str = "") -> None:
    address.check(host, f"{master}:5050", bind, resolve=lambda name: NAMES.get(name, []), local=LOCAL.__contains__)


@pytest.mark.parametrize(
    ("host", "master", "bind"),
    [
        ("here", "master", ""),
        ("here", "here", ""),
        ("localhost", "here", ""),
        ("debian", "localhost", ""),
        ("here", "unknown", ""),
        ("nat", "master", "0.0.0.0"),
        ("nat", "master", "here"),
    ],
)
def test_addresses_that_do(host: str, master: str, bind: str) -> None:
    check(host, master, bind)


@pytest.mark.parametrize(
    ("host", "master", "bind", "words"),
    [
        ("debian", "master", "", ("127.0.1.1", "loopback", "master:5050")),
        ("localhost", "master", "", ("loopback",)),
        ("unknown", "master", "", ("unknown", "does not resolve")),
        ("there", "master", "", ("10.0.0.9", "no address of this machine", "jobmanager.bind-host")),
        ("here", "master", "localhost", ("jobmanager.bind-host is localhost",)),
    ],
)
def test_addresses_that_do_not(host: str, master: str, bind: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        check(host, master, bind)
    assert all(word in str(error.value) for word in (*words, "jobmanager."))


def test_own_address_is_the_one_on_the_way_to_the_master() -> None:
    assert address.local_address("127.0.0.1:5050") == "127.0.0.1"
    with pytest.raises(UserError, match=r"h\.invalid does not resolve.*jobmanager\.rpc\.address"):
        address.local_address("h.invalid:5050", lambda name: [])


def test_trouble_with_names_is_no_end_of_a_cluster_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(master: str) -> str:
        raise UserError("no name server")

    monkeypatch.setattr(address, "local_address", fails)
    own = own_address.OwnAddress()
    own.check(ran_before=False)
    assert own.find("m:1") == "127.0.0.1"  # until all options have been checked
    with pytest.raises(SystemExit) as ended:
        own.check(ran_before=True)
    assert ended.value.code == own_address.EXIT_TRY_AGAIN
    with pytest.raises(UserError, match="no name server"):
        own.check(ran_before=False)


def test_a_taken_port_that_was_given_to_the_task_is_tried_again_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        async def started(*_: object) -> None:
            address.check_port_free("$PORT0", "127.0.0.1", port)

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(daemon, "_main", started)
        with pytest.raises(SystemExit) as ended:
            asyncio.run(daemon.main(asyncio.Event(), []))
    assert ended.value.code == core.EXIT_JOB_MANAGER  # with 75 the script would try the same port again
    assert f"$PORT0 {port}, the port that this task was given" in caplog.text
    assert "leave" not in caplog.text


@pytest.mark.parametrize(("given", "option"), [({}, r"\$PORT0"), ({"rest.port": "PORT"}, r"rest\.port")])
def test_a_taken_port_is_named_as_it_was_given(tmp_path: Path, given: dict[str, str], option: str) -> None:
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = str(other.getsockname()[1])
        options = [f"-D{key}={port}" for key in given]
        built = Built(options, tmp_path, {"PORT0": port} if not given else {})
        plan = SimpleNamespace(cluster=built.cluster, job=None)
        maker = JobManagerStarter.__new__(JobManagerStarter)
        maker._plan, maker._private = plan, tmp_path  # type: ignore[assignment]
        with pytest.raises(UserError, match=option):
            maker._prepare(1, "http://127.0.0.1:1")


def test_local_addresses() -> None:
    assert address.is_local("127.0.0.1")
    assert not address.is_local("192.0.2.1")


def test_master_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("h:5050\n")
    assert address.read_master(f"file://{tmp_path}/m") == "h:5050"
    assert address.read_master("h:5050") == "h:5050"
    with pytest.raises(UserError, match=r"mesos\.master file:///no/where"):
        address.read_master("file:///no/where")


A = "headrace.artifactserver."


@pytest.mark.parametrize(
    ("options", "expected", "url"),
    [
        ({}, Listener("h", 0, "h"), "http://h:9"),
        ({A + "address": "nat.example"}, Listener("h", 0, "nat.example"), "http://nat.example:9"),
        ({A + "address": "nat:70"}, Listener("h", 0, "nat", 70), "http://nat:70"),
        ({A + "address": "[::2]:70"}, Listener("h", 0, "::2", 70), "http://[::2]:70"),
        ({A + "address": "::2"}, Listener("h", 0, "::2"), "http://[::2]:9"),
        ({A + "bind-host": "0.0.0.0"}, Listener("0.0.0.0", 0, "h"), "http://h:9"),
        ({"mesos.resourcemanager.artifactserver.port": "9"}, Listener("h", 9, "h"), "http://h:9"),
        (
            {A + "ssl.certificate": "/c", A + "ssl.key": "/k"},
            Listener("h", 0, "h", certificate="/c", key="/k"),
            "https://h:9",
        ),
        (
            {A + "ssl.certificate": "/c", "mesos.resourcemanager.artifactserver.ssl.enabled": "false"},
            Listener("h", 0, "h"),
            "http://h:9",
        ),
        (
            {"security.ssl.rest.enabled": "true", "mesos.resourcemanager.artifactserver.ssl.enabled": "false"},
            Listener("h", 0, "h"),
            "http://h:9",
        ),
    ],
)
def test_listeners(options: dict[str, str], expected: Listener, url: str) -> None:
    assert listener(options, "h") == expected
    assert expected.url(9) == url


def test_near_processes_do_not_ask_everywhere() -> None:
    assert Listener("0.0.0.0").near == "127.0.0.1"
    assert Listener("here").near == "here"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({A + "address": "h:x"}, "write host or host:port"),
        ({A + "address": ":70"}, "write host or host:port"),
        ({A + "address": "h:70000"}, "write host or host:port"),
        ({A + "ssl.key": "/k"}, "needs headrace.artifactserver.ssl.certificate"),
        ({"security.ssl.rest.enabled": "true"}, "ssl.enabled=false"),
        ({"mesos.resourcemanager.artifactserver.port": "70000"}, "artifactserver.port"),
    ],
)
def test_mistakes(options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        listener(options, "h")
    assert message in str(error.value)
