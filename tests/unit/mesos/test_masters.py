"""The forms in which users say where the master is, and what masters in ZooKeeper say of themselves."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.detection import url_of
from headrace.mesos.masters import leading_master, master_address, master_hosts, masters, shown
from headrace.mesos.messages.common import Address, MasterInfo

LOOPBACK = 16777343


def test_where_it_is_may_be_said_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "master"
    file.write_text("zk://user:s3cret@a:1,b:2/mesos\n")
    assert master_address(f"file://{file}") == "zk://user:s3cret@a:1,b:2/mesos"
    assert master_hosts(master_address(f"file://{file}")) == ["a", "b"]
    file.write_text("h:5050")
    assert master_address(f"file://{file}") == "http://h:5050"
    with pytest.raises(UserError, match="master file:///no/where: can't be read"):
        masters("file:///no/where")


@pytest.mark.parametrize("text", ["zk://h:1", "zk://:1/x", "zk://u@h:1/x"])
def test_an_address_in_zookeeper_is_checked_at_once(text: str) -> None:
    for read in (masters, master_address):
        with pytest.raises(UserError, match="master zk://"):
            read(text)


def test_hosts_and_what_is_shown() -> None:
    assert master_hosts("http://[::1]:5050") == ["::1"]
    assert master_hosts("h:5050") == ["h"]
    assert shown("zk://u:p@h:1/mesos") == "zk://***@h:1/mesos"
    assert shown("http://h:1") == "http://h:1"
    with pytest.raises(UserError) as error:
        master_address("http://u:s3cret@h")
    assert "s3cret" not in str(error.value)


async def test_a_master_that_is_named_leads() -> None:
    assert await leading_master("h:5050") == "http://h:5050"


@pytest.mark.parametrize(
    ("info", "url"),
    [
        (MasterInfo("m", LOOPBACK, 5050), "http://127.0.0.1:5050"),
        (MasterInfo("m", LOOPBACK, 5050, hostname="m.example"), "http://m.example:5050"),
        (MasterInfo("m", 0, 1, hostname="a", address=Address("m.example", "10.0.0.7", 5051)), "http://10.0.0.7:5051"),
        (MasterInfo("m", 0, 1, hostname="a", address=Address("m.example")), "http://m.example:1"),
        (MasterInfo("m", 0, 1, address=Address(ip="fe80::1", port=5050)), "http://[fe80::1]:5050"),
    ],
)
def test_address_of_a_master_by_its_info(info: MasterInfo, url: str) -> None:
    assert url_of(msgspec.json.encode(info)) == url


@pytest.mark.parametrize("data", [b"", b"{}", b"\x0a\x24bin", b"[]", b'{"id": "m", "ip": 1}'])
def test_what_can_not_be_read_is_no_master(data: bytes) -> None:
    assert url_of(data) is None
