"""The agent's flags about executors: how long they may take. Mesos's names and defaults."""

from __future__ import annotations

import argparse

from headrace.mesos.agent.core.executors import Timeouts
from headrace.mesos.agent.flags.units import duration, exact_duration

_FLAGS = (
    ("executor_registration_timeout", "1mins", "an executor that has not subscribed by then is ended"),
    ("executor_reregistration_timeout", "2secs", "the same, after a restart of the agent"),
    ("executor_shutdown_grace_period", "5secs", "how long an executor may take to shut down"),
    ("recovery_timeout", "15mins", "how long executors are told to wait for an agent that is away"),
)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Make the parser know them."""
    for name, default, explanation in _FLAGS:
        text = f"{explanation} (default {default})"
        parser.add_argument(f"--{name}", f"--{name.replace('_', '-')}", default=default, help=text)


def read(given: argparse.Namespace) -> Timeouts:
    """What was given. Raises ValueError."""
    return Timeouts(*(duration(f"--{name}", getattr(given, name)) for name, _, _ in _FLAGS))


def shown(timeouts: Timeouts) -> dict[str, str]:
    """As /flags tells them."""
    values = (timeouts.registration, timeouts.reregistration, timeouts.shutdown, timeouts.recovery)
    return {name: exact_duration(value) for (name, _, _), value in zip(_FLAGS, values, strict=True)}
