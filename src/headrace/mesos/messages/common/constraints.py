"""Offer constraints: of which agents a framework wants offers. Source: scheduler.proto."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from headrace.kernel.protobuf import Enum
from headrace.mesos.messages.common.values import Empty, Message

Pseudoattribute: TypeAlias = Annotated[str, Enum(UNKNOWN=0, HOSTNAME=1, REGION=2, ZONE=3)]


class Selector(Message, frozen=True):
    """The attribute that is looked at: one of an agent's own, or something else that is known of it."""

    attribute_name: Annotated[str | None, 2] = None
    pseudoattribute_type: Annotated[Pseudoattribute | None, 1] = None


class TextPredicate(Message, frozen=True):
    value: Annotated[str, 1]


class PatternPredicate(Message, frozen=True):
    regex: Annotated[str, 1]


class Predicate(Message, frozen=True):
    """What must be so; exactly one of these is set."""

    exists: Annotated[Empty | None, 1] = None
    not_exists: Annotated[Empty | None, 2] = None
    text_equals: Annotated[TextPredicate | None, 3] = None
    text_not_equals: Annotated[TextPredicate | None, 4] = None
    text_matches: Annotated[PatternPredicate | None, 5] = None
    text_not_matches: Annotated[PatternPredicate | None, 6] = None


class AttributeConstraint(Message, frozen=True):
    selector: Annotated[Selector, 1]
    predicate: Annotated[Predicate, 2]


class ConstraintGroup(Message, frozen=True):
    """An agent will do if it meets all of these."""

    attribute_constraints: Annotated[list[AttributeConstraint] | None, 1] = None


class RoleConstraints(Message, frozen=True):
    """An agent will do if it meets one of the groups."""

    groups: Annotated[list[ConstraintGroup] | None, 1] = None


class OfferConstraints(Message, frozen=True):
    role_constraints: Annotated[dict[str, RoleConstraints] | None, 1] = None
