"""Label selectors: ``env==prod, tier in (a, b), owner``. Pure.

Every requirement, also ``!=`` and ``notin``, wants the label to be there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from headrace.marathon.definitions.errors import Rejected

Selector = Callable[[Mapping[str, str]], bool]

_TERM = r"(?:[-A-Za-z0-9_.]|\\.)+"
_REQUIREMENT = re.compile(
    rf"\s*(?P<key>{_TERM})\s*"
    rf"(?:(?P<op>==|!=)\s*(?P<value>{_TERM})|(?P<set>in|notin)\s*\(\s*(?P<values>{_TERM}(?:\s*,\s*{_TERM})*)\s*\))?\s*"
)


def parse(text: str) -> Selector:
    """The test that a selector means. Raises Rejected 422."""
    tests: list[Selector] = []
    position = 0
    while True:
        match = _REQUIREMENT.match(text, position)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            raise Rejected(422, f"Can not parse label selector '{text}'")
        tests.append(_test(match))
        position = match.end() + 1
        if match.end() >= len(text):
            return lambda labels: all(test(labels) for test in tests)


def _test(match: re.Match[str]) -> Selector:
    key = _plain(match["key"])
    if match["op"]:
        value, equal = _plain(match["value"]), match["op"] == "=="
        return lambda labels: key in labels and (labels[key] == value) is equal
    if match["set"]:
        values = {_plain(one) for one in re.findall(_TERM, match["values"])}
        inside = match["set"] == "in"
        return lambda labels: key in labels and (labels[key] in values) is inside
    return lambda labels: key in labels


def _plain(term: str) -> str:
    return re.sub(r"\\(.)", r"\1", term)
