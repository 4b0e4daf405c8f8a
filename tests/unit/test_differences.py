"""The page of differences says what the conformance suite and the code say."""

from __future__ import annotations

import re

from tests.conformance.differences import PAGE, page

SOURCE = PAGE.parent.parent / "src" / "headrace"
_REFUSAL = re.compile(r"`([^`\n]*(?:not supported|Failed to parse)[^`\n]*)`")


def test_rows_of_the_suite_are_on_the_page() -> None:
    text = PAGE.read_text()
    assert page(text) == text, "run python -m tests.conformance.differences"


def test_refusals_on_the_page_are_those_of_the_code() -> None:
    code = "".join(file.read_text() for file in SOURCE.rglob("*.py"))
    code = re.sub(r'"\s*\n\s*f?"', "", code)  # texts that go on in the next line
    refusals = _REFUSAL.findall(PAGE.read_text())
    assert refusals
    assert [text for text in refusals if text not in code] == []
