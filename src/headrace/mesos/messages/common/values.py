"""The smallest parts of the v1 API: ids, values, labels, times, secrets.

The number in a field's ``Annotated`` is that of the field in protocol buffers; see ``headrace.kernel.protobuf``.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from headrace.kernel.protobuf import Base64, Enum, Uint64
from headrace.kernel.protobuf import Int64 as Int64  # what other languages' clients have room for


class Message(msgspec.Struct, omit_defaults=True, frozen=True):
    """The base of all messages: fields at their default are left out."""


class Empty(Message, frozen=True):
    """A message without fields: that it is there says all."""


class Identifier(Message, frozen=True):
    """Any Mesos id: framework, agent, offer, task, executor, operation, resource provider."""

    value: Annotated[str, 1]


FrameworkID: TypeAlias = Identifier
AgentID: TypeAlias = Identifier
OfferID: TypeAlias = Identifier
TaskID: TypeAlias = Identifier
ExecutorID: TypeAlias = Identifier
OperationID: TypeAlias = Identifier

ValueType: TypeAlias = Annotated[str, Enum(SCALAR=0, RANGES=1, SET=2, TEXT=3)]


class Scalar(Message, frozen=True):
    value: Annotated[float, 1]


class Range(Message, frozen=True):
    """Both ends belong to the range."""

    begin: Annotated[Uint64, 1]
    end: Annotated[Uint64, 2]


class Ranges(Message, frozen=True):
    range: Annotated[list[Range] | None, 1] = None


class Set(Message, frozen=True):
    item: Annotated[list[str] | None, 1] = None


class Text(Message, frozen=True):
    value: Annotated[str, 1]


class Attribute(Message, frozen=True):
    name: Annotated[str, 1]
    type: Annotated[ValueType | None, 2] = None
    scalar: Annotated[Scalar | None, 3] = None
    ranges: Annotated[Ranges | None, 4] = None
    set: Annotated[Set | None, 6] = None
    text: Annotated[Text | None, 5] = None


class Label(Message, frozen=True):
    key: Annotated[str, 1]
    value: Annotated[str | None, 2] = None


class Labels(Message, frozen=True):
    labels: Annotated[list[Label] | None, 1] = None


class DurationInfo(Message, frozen=True):
    nanoseconds: Annotated[Int64, 1]


class TimeInfo(Message, frozen=True):
    nanoseconds: Annotated[Int64, 1]


class Parameter(Message, frozen=True):
    key: Annotated[str, 1]
    value: Annotated[str, 2]


class Parameters(Message, frozen=True):
    parameter: Annotated[list[Parameter] | None, 1] = None


SecretType: TypeAlias = Annotated[str, Enum(UNKNOWN=0, REFERENCE=1, VALUE=2)]


class SecretReference(Message, frozen=True):
    """Where a store has the secret."""

    name: Annotated[str, 1]
    key: Annotated[str | None, 2] = None


class SecretValue(Message, frozen=True):
    data: Annotated[Base64, 1]


class Secret(Message, frozen=True):
    type: Annotated[SecretType | None, 1] = None
    reference: Annotated[SecretReference | None, 2] = None
    value: Annotated[SecretValue | None, 3] = None
