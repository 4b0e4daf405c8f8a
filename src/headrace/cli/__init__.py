"""The ``headrace`` command, what ``headrace up`` runs, and the demo behind ``make run``."""
