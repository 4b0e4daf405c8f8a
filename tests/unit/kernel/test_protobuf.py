"""The wire format by literal bytes: what is written, what is read, what is skipped and what is refused."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from headrace.kernel.protobuf import Base64, Enum, Int32, Int64, Uint32, Uint64, Unbounded
from headrace.kernel.protobuf.decoding import MAX_FIELDS, DecodeError, decode
from headrace.kernel.protobuf.encoding import EncodeError, encode

Colour = Annotated[str, Enum(RED=0, GREEN=1, NONE=-1)]


class Inner(msgspec.Struct, frozen=True):
    name: Annotated[str, 1]
    number: Annotated[Int32 | None, 2] = None
    more: Annotated[list[str] | None, 3] = None


class Outer(msgspec.Struct, frozen=True):
    text: Annotated[str | None, 1] = None
    data: Annotated[Base64 | None, 2] = None
    flag: Annotated[bool | None, 3] = None
    share: Annotated[float | None, 4] = None
    small: Annotated[Int32 | None, 5] = None
    large: Annotated[Int64 | None, 6] = None
    port: Annotated[Uint32 | None, 7] = None
    size: Annotated[Uint64 | None, 8] = None
    colour: Annotated[Colour | None, 9] = None
    inner: Annotated[Inner | None, 10] = None
    inners: Annotated[list[Inner] | None, 11] = None
    numbers: Annotated[list[Uint32] | None, 12] = None
    colours: Annotated[list[Colour] | None, 13] = None
    map: Annotated[dict[str, Inner] | None, 14] = None
    words: Annotated[dict[str, str] | None, 15] = None
    bound: Annotated[Unbounded | None, 16] = None
    json_only: str | None = None


class Needy(msgspec.Struct, frozen=True):
    inners: Annotated[list[Inner], 1]
    inner: Annotated[Inner, 2]


BOTH: list[tuple[str, Outer]] = [
    ("", Outer()),
    ("0a02c3a9", Outer(text="é")),
    ("0a00", Outer(text="")),
    ("1203000102", Outer(data="AAEC")),
    ("1801", Outer(flag=True)),
    ("1800", Outer(flag=False)),
    ("21000000000000f83f", Outer(share=1.5)),
    ("28ffffffffffffffffff01", Outer(small=-1)),
    ("309601", Outer(large=150)),
    ("3080808080808080808001", Outer(large=-(2**63))),
    ("38ffffffff0f", Outer(port=2**32 - 1)),
    ("40ffffffffffffffff7f", Outer(size=2**63 - 1)),
    ("4801", Outer(colour="GREEN")),
    ("48ffffffffffffffffff01", Outer(colour="NONE")),
    ("52050a01611005", Outer(inner=Inner("a", 5))),
    ("5a030a01615a030a0162", Outer(inners=[Inner("a"), Inner("b")])),
    ("600160ac02", Outer(numbers=[1, 300])),
    ("68006801", Outer(colours=["RED", "GREEN"])),
    ("72080a016b12030a0161", Outer(map={"k": Inner("a")})),
    ("7a060a016b120176", Outer(words={"k": "v"})),
    ("8101000000000000f07f", Outer(bound="Infinity")),
    ("8101000000000000f0ff", Outer(bound="-Infinity")),
]


@pytest.mark.parametrize(("wire", "message"), BOTH)
def test_what_is_written_and_read(wire: str, message: Outer) -> None:
    assert encode(message).hex() == wire
    assert decode(bytes.fromhex(wire), Outer) == message


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        ("6203 01ac02", Outer(numbers=[1, 300])),  # packed
        ("6201 01 60ac02", Outer(numbers=[1, 300])),  # packed and not, mixed
        ("6a02 0001", Outer(colours=["RED", "GREEN"])),
        ("0a0161 0a0162", Outer(text="b")),  # the last of two counts
        ("5205 0a0161 1a00 5205 1007 1a0178", Outer(inner=Inner("a", 7, ["", "x"]))),  # parts of a message
        ("7208 0a016b 12030a0161 7208 0a016b 12030a0162", Outer(map={"k": Inner("b")})),
        ("7a00", Outer(words={"": ""})),  # an entry without key and value
        ("4807", Outer()),  # a colour that nobody knows
        ("6807 6801", Outer(colours=["GREEN"])),
        ("c03e00 c23e00 c13e0000000000000000 c53e00000000", Outer()),  # unknown fields of each wire type
        ("c33e c03e01 c33e c43e c43e 1801", Outer(flag=True)),  # groups in each other
        ("0801", Outer()),  # a known number in another wire type
        ("180a", Outer(flag=True)),
        ("2880808080f8ffffffff01", Outer(small=-(2**31))),
        ("3881808080f8ffffffff01", Outer(port=2**31 + 1)),  # what does not fit is cut off
        ("309680808000", Outer(large=22)),  # longer than needed
    ],
)
def test_what_others_write(wire: str, message: Outer) -> None:
    assert decode(bytes.fromhex(wire), Outer) == message


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        ("0a", "text: it ends within a number"),
        ("0a0561", "text: 5 bytes are announced, but only 1 are left"),
        ("0a01ff", "text: it is not UTF-8"),
        ("2100", "share: it ends within a number"),
        ("21000000000000f07f", "share: inf is no number that can be counted with"),
        ("8101000000000000f87f", "bound: nan is no number"),
        ("18ffffffffffffffffffff01", "flag: a number is longer than 10 bytes"),
        ("40ffffffffffffffffff01", r"size: 18446744073709551615 is more than 2\^63 - 1"),
        ("5200", "inner.name: Missing required fields"),
        ("52040a01ff00", "inner.name: it is not UTF-8"),
        ("5a030a0161 5a020a01", r"inners\[1\].name: 1 bytes are announced"),
        ("7205 0a016b 1200", "map.value.name: Missing required fields"),
        ("7203 0a016b", "map.name: Missing required fields"),
        ("620180", "numbers: it ends within a number"),
        ("ffffff", "it ends within a number"),
        ("00", "a field has the number 0"),
        ("0e", "there is no wire type 6"),
        ("0c", "a group ends that has not begun"),
        ("c33e cc3e", "a group ends that has not begun"),
        ("c33e", "it ends within a number"),
        ("c33e" * 101, "groups are nested more than 100 deep"),
        ("c53e0000", "it ends within a number"),
    ],
)
def test_what_is_refused(wire: str, why: str) -> None:
    with pytest.raises(DecodeError, match=f"^{why}"):
        decode(bytes.fromhex(wire), Outer)


def test_required_lists_may_be_empty_and_other_fields_must_be_there() -> None:
    assert decode(bytes.fromhex("12030a0161"), Needy) == Needy([], Inner("a"))
    with pytest.raises(DecodeError, match="^inner: Missing required fields$"):
        decode(b"", Needy)


def test_json_does_not_see_the_numbers() -> None:
    message = Outer(text="a", small=3, json_only="here")
    assert msgspec.json.decode(msgspec.json.encode(message), type=Outer) == message
    assert encode(message) == encode(Outer(text="a", small=3))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"port":-1}', type=Outer)


@pytest.mark.parametrize(
    ("message", "where"),
    [
        (Outer(data="?"), "^data: "),
        (Outer(inner=Inner(5)), "^inner.name: "),  # type: ignore[arg-type]
        (Outer(text="\ud800"), "^text: "),
        (Outer(inners=[Inner("a", 2.5)]), "^inners.number: "),  # type: ignore[arg-type]
    ],
)
def test_what_can_not_be_written(message: Outer, where: str) -> None:
    with pytest.raises(EncodeError, match=where):
        encode(message)


def test_what_has_no_form_here_is_an_error_of_the_declaration() -> None:
    class Bare(msgspec.Struct):
        number: Annotated[int, 1]

    class Twice(msgspec.Struct):
        a: Annotated[str, 1]
        b: Annotated[str, 1]

    with pytest.raises(TypeError, match=r"Bare\.number has a type that"):
        encode(Bare(1))
    with pytest.raises(TypeError, match="Twice gives a number to two fields"):
        encode(Twice("a", "b"))


def test_many_parts_of_one_message_cost_no_more_than_they_are_long() -> None:
    parts = bytes.fromhex("52050a01611000") + bytes.fromhex("52021005") * 40_000
    assert decode(parts, Outer) == Outer(inner=Inner("a", 5))


MANY = [
    ("known", b"\x18\x01" * 10),
    ("unknown", b"\xf8\x7f\x01" * 10),
    ("packed", b"\x62\x09" + b"\x01" * 9),
    ("in an unknown group", b"\xa3\x06" + b"\x08\x01" * 8 + b"\xa4\x06"),
    ("messages", b"\x5a\x02\x0a\x00" * 5),
    ("a message in parts", b"\x52\x02\x0a\x00" * 5),
]


@pytest.mark.parametrize(("what", "data"), MANY)
def test_fields_are_counted_wherever_they_are(what: str, data: bytes) -> None:
    assert decode(data, Outer, 10), what
    with pytest.raises(DecodeError, match="the message has more than 9 fields"):
        decode(data, Outer, 9)


def test_entries_of_maps_are_counted() -> None:
    data = b"\x7a\x02\x0a\x00" * 5
    assert decode(data, Outer, 10) == Outer(words={"": ""})
    with pytest.raises(DecodeError, match="words: the message has more than 9 fields"):
        decode(data, Outer, 9)


def test_small_messages_do_not_become_large_ones() -> None:
    with pytest.raises(DecodeError, match=f"more than {MAX_FIELDS} fields"):
        decode(b"\x62\x00" * (MAX_FIELDS + 1), Outer)
