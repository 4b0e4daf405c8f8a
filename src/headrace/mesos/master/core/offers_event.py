"""The event OFFERS, written from parts: in JSON and in protocol buffers alike, fields may be written apart and joined.

With ten thousand agents most offers differ in little; what they share is written once.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple, get_type_hints

import msgspec

from headrace.mesos.messages.common import Message, Offer
from headrace.mesos.messages.scheduler import Event, Offers


class SplicedOffer(NamedTuple):
    """An offer as the JSON of its fields, without braces: those of its own, and those that others have as well."""

    own: bytes
    shared: bytes


class OffersEvent:
    """As ``scheduler.Event`` of the type OFFERS."""

    __slots__ = ("offers",)

    type = "OFFERS"

    def __init__(self, offers: list[SplicedOffer]) -> None:
        self.offers = offers

    def json(self) -> bytes:
        """The event in JSON."""
        return b'{"type":"OFFERS","offers":{"offers":[%b]}}' % b",".join([b"{%b,%b}" % one for one in self.offers])

    def protobuf(self) -> bytes:
        """The event in protocol buffers."""
        from headrace.kernel.protobuf.encoding import encode, member  # who speaks only JSON pays nothing

        decode = _some_fields(Offer).decode
        an_offer = member(Offers, "offers")
        known: dict[bytes, bytes] = {}
        offers: list[bytes] = []
        for own, shared in self.offers:
            rest = known.get(shared)
            if rest is None:
                rest = known[shared] = encode(decode(b"{%b}" % shared))
            offers.append(an_offer(encode(decode(b"{%b}" % own)) + rest))
        return encode(Event(self.type)) + member(Event, "offers")(b"".join(offers))


@cache
def _some_fields(kind: type[Message]) -> msgspec.json.Decoder[Any]:
    """Reads a message of which any field may be missing."""
    hints = get_type_hints(kind, include_extras=True)
    fields = [(one.name, hints[one.name], None) for one in msgspec.structs.fields(kind)]
    return msgspec.json.Decoder(msgspec.defstruct(f"Some{kind.__name__}", fields))
