from hypothesis import given
from hypothesis import strategies as st

from headrace.kernel import sse


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b_c"]), st.text("xyz é{}", min_size=1)), max_size=10), st.integers(1, 9)
)
def test_events_survive_any_cut_into_chunks(events: list[tuple[str, str]], size: int) -> None:
    wire = b"".join(sse.encode(event, data.encode()) for event, data in events)
    decoder = sse.Decoder()
    decoded = [(e.event, e.data) for i in range(0, len(wire), size) for e in decoder.feed(wire[i : i + size])]
    assert decoded == events


def test_comments_ids_and_several_data_lines() -> None:
    decoder = sse.Decoder()
    assert decoder.feed(sse.COMMENT) == []
    assert decoder.feed(b"id: 7\r\ndata: one\r\ndata: two\r\n\r\n") == [sse.ServerSentEvent("message", "one\ntwo", "7")]
