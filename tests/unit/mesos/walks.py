"""How far the state machines of the cores walk: some steps every day, many in CI.

``HEADRACE_MACHINE_STEPS`` says how many steps each takes at the least; ``make machines`` sets it.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test

ASKED = int(os.environ.get("HEADRACE_MACHINE_STEPS", "0"))


class Walker(RuleBasedStateMachine):
    """A state machine that counts its steps, over all of its runs."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).steps -= 1  # invariants are looked at once before the first step

    @invariant()
    def count(self) -> None:
        type(self).steps += 1


def walk(machine: type[Walker], least: int, at_a_time: int) -> None:
    """Run ``machine`` until it has taken as many steps as are asked for, or ``least``; it begins anew now and then."""
    machine.steps = 0
    wanted = ASKED or least
    while machine.steps < wanted:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=max(1, (wanted - machine.steps) // at_a_time),
                stateful_step_count=at_a_time,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
