import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kernel import recordio


@given(st.lists(st.binary(max_size=300), max_size=20), st.integers(1, 50))
def test_records_survive_any_cut_into_chunks(records: list[bytes], size: int) -> None:
    wire = b"".join(map(recordio.encode, records))
    decoder = recordio.Decoder()
    decoded = [record for i in range(0, len(wire), size) for record in decoder.feed(wire[i : i + size])]
    assert decoded == records


@pytest.mark.parametrize("garbage", [b"abc\n", b"-1\nx", b"12x\n", b"\n", b"1" * 30])
def test_a_length_that_is_no_number_is_refused(garbage: bytes) -> None:
    with pytest.raises(recordio.RecordIOError):
        recordio.Decoder().feed(garbage)


def test_a_record_above_the_limit_is_refused_before_it_is_buffered() -> None:
    with pytest.raises(recordio.RecordIOError, match="above the limit"):
        recordio.Decoder(max_record=10).feed(b"11\n")
