"""How keys and values become znodes."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernel.store.znodes import (
    Policy,
    Reference,
    apart,
    divide,
    entry,
    entry_apart,
    operation,
    reference_in,
    value_in,
)

POLICY = Policy(limit=2000)
PATH = "/a/b"


@given(st.binary(max_size=300), st.sampled_from([None, 0, 100]))
def test_an_entry_says_its_value(value: bytes, pack_above: int | None) -> None:
    policy = Policy(pack_above=pack_above)
    content = entry(value, policy)
    assert value_in(content) == value
    assert reference_in(content) is None
    reference = Reference("1-2-3", len(policy.divided(content[1:])))
    there = entry_apart(content, reference)
    assert reference_in(there) == reference
    assert value_in(there, content[1:]) == value


@pytest.mark.parametrize("content", [b"", b"\xac\xed", b"@{", b"#\xff", b"~not packed"])
def test_what_is_not_ours_is_no_entry(content: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        assert reference_in(content) or value_in(content)


def test_compressing_is_for_what_gets_smaller() -> None:
    assert entry(b"a" * 101, Policy(pack_above=100))[:1] == b"~"
    assert entry(b"a" * 100, Policy(pack_above=100))[:1] == b"="
    assert entry(bytes(range(200)), Policy(pack_above=100))[:1] == b"="


@given(st.dictionaries(st.text(max_size=20), st.none() | st.integers(0, 5000).map(lambda size: b"=" + b"v" * size)))
def test_each_lot_fits_into_a_transaction(entries: dict[str, bytes | None]) -> None:
    lots = divide(entries, PATH, POLICY)
    assert [key for lot in lots for key in lot] == list(entries), "each once, in order"
    for lot in lots:
        some = {key: entries[key] for key in lot}
        away = apart(some, PATH, POLICY)
        size = sum(operation(key, PATH) + (200 if key in away else len(some[key] or b"")) for key in some)
        assert size <= POLICY.limit or len(lot) == 1
        assert not away or sum(operation(k, PATH) + len(v or b"") for k, v in some.items()) > POLICY.limit


def test_values_are_divided() -> None:
    assert [len(part) for part in POLICY.divided(b"x" * 4001)] == [2000, 2000, 1]
    assert POLICY.divided(b"") == [b""]
