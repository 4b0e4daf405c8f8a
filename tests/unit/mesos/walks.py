"""How far the state machines of the cores walk: some steps every day, many in CI.

``HEADRACE_MACHINE_STEPS`` says how many steps each takes at the least; ``make machines`` sets it. They walk the same
way each time; ``HEADRACE_SEED``, a number, leads them another one.
"""

from __future__ import annotations

import itertools
import os

from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test

ASKED = int(os.environ.get("HEADRACE_MACHINE_STEPS", "0"))
SEED = int(os.environ.get("HEADRACE_SEED", "0"))


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
    for walks in itertools.count():
        if machine.steps >= wanted:
            return
        seed(SEED * 1000 + walks)(machine)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=max(1, (wanted - machine.steps) // at_a_time),
                stateful_step_count=at_a_time,
                deadline=None,
                derandomize=False,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
