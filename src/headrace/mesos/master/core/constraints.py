"""Which agents a framework wants to be offered, and how small an offer may be for it.

``Constraints`` are those of SUBSCRIBE and UPDATE_FRAMEWORK (``offer_constraints``): for a role, groups of
constraints, one group of which an agent's attributes must meet in full. ``minimums_of`` are FrameworkInfo's
``offer_filters``. Source: Apache Mesos 1.11, scheduler.proto (OfferConstraints) and mesos.proto (OfferFilters).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from headrace.mesos.master.core.regex import Regex, RegexError
from headrace.mesos.messages.common import (
    AgentInfo,
    AttributeConstraint,
    ConstraintGroup,
    FrameworkInfo,
    OfferConstraints,
    Predicate,
    ResourceQuantities,
    RoleConstraints,
    Selector,
)
from headrace.mesos.resources import Resources, thousandths

Meets = Callable[[str | None, bool], bool]
"""Of an attribute's text (None if there is no such attribute), and whether the attribute is a text at all."""
Test = Callable[[AgentInfo], bool]


MAX_STATES = 2000
"""How many states all patterns of a framework may need together: each may be tried on every agent."""


class ConstraintError(ValueError):
    """Offer constraints or filters that make no sense; the message is Mesos's."""


class Constraints:
    """What a framework wants of agents, by role; ``given`` is how it said so."""

    def __init__(self, given: OfferConstraints, tests: Mapping[str, Test]) -> None:
        self.given = given
        self._tests = tests

    @property
    def roles(self) -> Iterable[str]:
        """Roles for which not every agent will do."""
        return self._tests.keys()

    def admits(self, role: str, agent: AgentInfo) -> bool:
        """Whether the agent may be offered in that role."""
        test = self._tests.get(role)
        return test is None or test(agent)


NONE = Constraints(OfferConstraints(), {})


def read(given: OfferConstraints | None, roles: Iterable[str]) -> Constraints:
    """Constraints of a framework that has these roles. Raises ConstraintError."""
    if given is None:
        return NONE
    by_role = given.role_constraints or {}
    known = set(roles)
    for role in by_role:
        if role not in known:
            # the missing space is Mesos's
            raise ConstraintError(
                f"Offer constraints specify `role_constraints` for a role '{role}'not contained in the set of roles"
            )
    patterns = _Patterns()
    return Constraints(given, {role: _test(role, one, patterns) for role, one in by_role.items()})


def _test(role: str, given: RoleConstraints, patterns: _Patterns) -> Test:
    if not given.groups:
        raise ConstraintError(
            f"'OfferConstraints::role_constraints' has an empty 'RoleConstraints::groups' for role {role}"
        )
    groups = [_group(role, group, patterns) for group in given.groups]
    return lambda agent: any(all(test(agent) for test in group) for group in groups)


def _group(role: str, given: ConstraintGroup, patterns: _Patterns) -> list[Test]:
    if not given.attribute_constraints:
        # the missing space is Mesos's
        raise ConstraintError(
            f"'OfferConstraints::RoleConstraints::groups' for role {role}contains an empty RoleConstraints::Group"
        )
    try:
        return [_constraint(one, patterns) for one in given.attribute_constraints]
    except ConstraintError as error:
        raise ConstraintError(f"A role {role} has an invalid 'AttributeConstraint': {error}") from None


def _constraint(given: AttributeConstraint, patterns: _Patterns) -> Test:
    select = _select(given.selector)
    predicate = _predicate(given.predicate, patterns)
    return lambda agent: predicate(*select(agent))


def _select(given: Selector) -> Callable[[AgentInfo], tuple[str | None, bool]]:
    name = given.attribute_name
    if name is not None:
        return lambda agent: _attribute(agent, name)
    match given.pseudoattribute_type:
        case "HOSTNAME":
            return lambda agent: (agent.hostname, True)
        case "REGION":
            return lambda agent: (_domain(agent, "region"), True)
        case "ZONE":
            return lambda agent: (_domain(agent, "zone"), True)
        case "UNKNOWN":
            raise ConstraintError("Unknown pseudoattribute type")
    raise ConstraintError(
        "Exactly one of 'AttributeConstraint::Selector::name' or "
        "'AttributeConstraint::Selector::pseudoattribute_type' must be set"
    )


def _attribute(agent: AgentInfo, name: str) -> tuple[str | None, bool]:
    found = next((one for one in agent.attributes or () if one.name == name), None)
    if found is None:
        return None, True
    return ("", False) if found.text is None else (found.text.value, True)


def _domain(agent: AgentInfo, field: str) -> str | None:
    fault = agent.domain.fault_domain if agent.domain is not None else None
    return str(getattr(fault, field).name) if fault is not None else None


def _predicate(given: Predicate, patterns: _Patterns) -> Meets:
    """Attributes that are no texts meet everything but ``not_exists``."""
    if given.exists is not None:
        return lambda text, _: text is not None
    if given.not_exists is not None:
        return lambda text, _: text is None
    if given.text_equals is not None:
        wanted = given.text_equals.value
        return lambda text, is_text: text is not None and (not is_text or text == wanted)
    if given.text_not_equals is not None:
        unwanted = given.text_not_equals.value
        return lambda text, is_text: not is_text or text != unwanted
    if given.text_matches is not None:
        good = patterns.get(given.text_matches.regex)
        return lambda text, is_text: text is not None and (not is_text or good.matches(text))
    if given.text_not_matches is not None:
        bad = patterns.get(given.text_not_matches.regex)
        return lambda text, is_text: text is None or not is_text or not bad.matches(text)
    raise ConstraintError("Unknown predicate type")


class _Patterns:
    """The patterns of a framework, each made once."""

    def __init__(self) -> None:
        self._made: dict[str, Regex] = {}
        self._states = 0

    def get(self, text: str) -> Regex:
        """Raises ConstraintError."""
        made = self._made.get(text)
        if made is None:
            try:
                made = self._made[text] = Regex(text)
            except RegexError as error:
                raise ConstraintError(str(error)) from None
            self._states += made.size
            if self._states > MAX_STATES:
                raise ConstraintError(
                    f"Regex '{text}' is too much: with it all patterns of the framework need more than "
                    f"the maximum of {MAX_STATES} states allowed"
                )
        return made


def minimums_of(info: FrameworkInfo) -> dict[str, tuple[Resources, ...]]:
    """By role: amounts, one of which an offer must contain; none at all: anything will do. Raises ConstraintError."""
    out: dict[str, tuple[Resources, ...]] = {}
    for role, one in (info.offer_filters or {}).items():
        if one.min_allocatable_resources is not None:
            out[role] = tuple(_quantities(q) for q in one.min_allocatable_resources.quantities or ())
    return out


def _quantities(given: ResourceQuantities) -> Resources:
    if not given.quantities:
        raise ConstraintError("Resource quantities must contain at least one quantity")
    amounts: dict[str, int] = {}
    for name, scalar in given.quantities.items():
        value = scalar.value
        if not value >= 0:
            raise ConstraintError(f"Invalid resource quantity for '{name}': Negative values not supported")
        if value >= 1e15:
            raise ConstraintError(f"Invalid resource quantity for '{name}': Infinite values not supported")
        amounts[name] = thousandths(value)
    return Resources(amounts)
