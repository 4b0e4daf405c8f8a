"""A request's body as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from headrace.marathon.definitions.errors import Rejected

MAX_DEPTH = 64
"""No definition needs deeper nesting, and what works through one recursively must not run out of stack."""


def parse(body: bytes) -> Any:
    """A request body as JSON. Raises Rejected 400 with the parser's words."""
    if not body.strip():
        raise Rejected(
            400,
            "Please specify data in JSON format",
            details="No content to map due to end-of-input",
        )
    try:
        value = msgspec.json.decode(body)
    except RecursionError as error:
        raise _too_deep() from error
    except UnicodeDecodeError as error:
        raise Rejected(400, "Invalid JSON", details=f"not UTF-8: {error}") from error
    except msgspec.DecodeError as error:
        text = str(error)
        if "truncated" in text:
            text = f"Unexpected end-of-input: {text}"
        raise Rejected(400, "Invalid JSON", details=text) from error
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for one in level for child in _children(one)]
        if not level:
            return value
    raise _too_deep()


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _too_deep() -> Rejected:
    return Rejected(400, "Invalid JSON", details=f"Objects and arrays are nested more than {MAX_DEPTH} deep")
