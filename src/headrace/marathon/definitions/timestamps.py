"""Times in requests: versions of definitions are named by them."""

from __future__ import annotations

import re
from datetime import datetime

from headrace.kernel.clock import iso8601
from headrace.marathon.definitions.errors import Rejected

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")


def check_timestamp(given: str) -> str:
    """The time as versions have it, of any form of ISO 8601. Raises Rejected 422."""
    if not _TIMESTAMP.fullmatch(given):
        raise Rejected(422, f"Invalid timestamp provided '{given}'. Expecting ISO-8601 datetime string.")
    try:
        return iso8601(datetime.fromisoformat(given).timestamp())
    except ValueError:  # such as a leap second
        return given
