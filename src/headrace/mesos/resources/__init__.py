"""Resources: amounts by name, whose they are, and how Mesos writes them.

``value`` is the arithmetic, ``tags`` what is special about resources, ``text`` the forms for others.
"""

from headrace.mesos.resources.spans import Spans, merge, without
from headrace.mesos.resources.tags import MILLI, PLAIN, Reservation, Tag, tag_of, thousandths
from headrace.mesos.resources.text import describe, old_form
from headrace.mesos.resources.value import EMPTY, InvalidResourceError, Resources, is_plain

__all__ = [
    "EMPTY",
    "MILLI",
    "PLAIN",
    "InvalidResourceError",
    "Reservation",
    "Resources",
    "Spans",
    "Tag",
    "describe",
    "is_plain",
    "merge",
    "old_form",
    "tag_of",
    "thousandths",
    "without",
]
