"""Protocol buffers (proto2) for msgspec Structs, from the declaration that JSON uses too.

A field's number is the integer in its ``Annotated``; its type says how it is written::

    class Agent(Message, frozen=True):
        id: Annotated[str, 1]
        state: Annotated[AgentState | None, 2] = None  # AgentState = Annotated[str, Enum(UP=1, DOWN=2)]

str is string, bool is bool, float is double, Int32, Int64, Uint32 and Uint64 are what they say, Base64 (a str) is
bytes, a str with an Enum is an enum, a Struct is a message, a list is repeated, a dict with str keys is a map.
A field without a number is not written. Names, not numbers, are in memory; unset is None, for a list without a
default it is an empty one. ``encoding.encode`` writes a Struct and ``decoding.decode`` reads one; both are compiled for
a Struct when it is first used, and not even imported here, so that who speaks only JSON pays nothing. Sans-IO.
Source: the protocol buffers documentation, "Encoding" and "Language Guide (proto 2)".
"""

from __future__ import annotations

from headrace.kernel.protobuf.declared import Base64, Enum, Int32, Int64, Uint32, Uint64, Unbounded

__all__ = ["Base64", "Enum", "Int32", "Int64", "Uint32", "Uint64", "Unbounded"]
