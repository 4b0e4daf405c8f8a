"""Bounds of what Marathon does not know."""

MAX_PRE_STOP = 3600
"""Seconds that a task may take to prepare for its end."""

MAX_DEADLINE = 30 * 86_400
"""Seconds that a deployment may be given."""
