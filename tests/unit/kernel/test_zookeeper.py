"""Addresses of znodes and who leads a contest; the sessions themselves are tested with a real server."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernel.daemon import UserError
from headrace.kernel.election.contest import CANDIDATE_LABEL, MESOS_LABEL, Standing, candidates, leading, standing
from headrace.kernel.store.znodes import key_of, znode
from headrace.kernel.zookeeper import ZooKeeperAddress, parse


@pytest.mark.parametrize(
    ("text", "hosts", "path", "credentials"),
    [
        ("zk://h:2181/mesos", ("h:2181",), "/mesos", ""),
        (" zk://a:1,b:2/x/y/ ", ("a:1", "b:2"), "/x/y", ""),
        ("zk://10.0.0.1:2181, h-2.example/x", ("10.0.0.1:2181", "h-2.example:2181"), "/x", ""),
        ("zk://[::1]:2181/x", ("[::1]:2181",), "/x", ""),
        ("zk://user:p@ss:word@h:1/x", ("h:1",), "/x", "user:p@ss:word"),
        ("zk://h:1/app of é", ("h:1",), "/app of é", ""),
    ],
)
def test_forms_of_an_address(text: str, hosts: tuple[str, ...], path: str, credentials: str) -> None:
    assert parse(text, "--zk") == ZooKeeperAddress(hosts, path, credentials)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("h:1/x", "is not understood"),
        ("zk://@h:1/x", "is not understood"),
        ("zk://user@h:1/x", "is not understood"),
        ("zk://user:@h:1/x", "is not understood"),
        ("zk://h:1", "names no znode"),
        ("zk://h:1/", "names no znode"),
        ("zk:///x", "is no host:port"),
        ("zk://h:0/x", "is no host:port"),
        ("zk://h:99999/x", "is no host:port"),
        ("zk://h,/x", "is no host:port"),
        ("zk://h:1/a/../b", "does not take the path"),
        ("zk://h:1/a\x00b", "does not take the path"),
    ],
)
def test_an_address_that_makes_no_sense_is_the_users_mistake(text: str, why: str) -> None:
    with pytest.raises(UserError, match=f"^--zk .*{why}"):
        parse(text, "--zk")


def test_no_word_of_a_password_is_shown() -> None:
    address = parse("zk://user:s3cret@h:1/x", "--zk")
    assert (str(address), f"{address!r}", f"{[address]}") == (
        "zk://user:***@h:1/x",
        "ZooKeeperAddress('zk://user:***@h:1/x')",
        "[ZooKeeperAddress('zk://user:***@h:1/x')]",
    )
    assert address.at("/y").credentials == "user:s3cret"
    for text in ("zk://user:s3cret@h:1", "zk://user:s3cret@h:x/x", "xx://user:s3cret@h:1/x"):
        with pytest.raises(UserError) as error:
            parse(text, "--zk")
        assert "s3cret" not in str(error.value)


CHILDREN = ["json.info_0000000012", "log_replicas", "json.info_0000000003", "info_0000000001", "json.info_x"]


def test_the_lowest_number_leads_among_its_kind() -> None:
    assert candidates(CHILDREN, MESOS_LABEL) == ["json.info_0000000003", "json.info_0000000012"]
    assert leading(CHILDREN, MESOS_LABEL) == "json.info_0000000003"
    assert leading(["log_replicas"], MESOS_LABEL) == ""


@given(st.sets(st.integers(0, 2**31), min_size=1))
def test_everybody_waits_for_the_one_before_and_one_leads(numbers: set[int]) -> None:
    children = [f"{CANDIDATE_LABEL}{number:010}" for number in numbers]
    order = [f"{CANDIDATE_LABEL}{number:010}" for number in sorted(numbers)]
    for before, own in zip(["", *order], order, strict=False):
        place = standing(children, CANDIDATE_LABEL, own)
        assert place == Standing(order[0], before)
        assert place.leads == (own == order[0])


@given(st.text())
def test_every_key_has_a_znode(key: str) -> None:
    name = znode(key)
    assert key_of(name) == key
    assert name.isascii()
    assert "/" not in name
    assert name not in ("", ".", "..")
