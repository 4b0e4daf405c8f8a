"""The supervisor's decisions: order of start and stop, restarts, failures."""

from __future__ import annotations

from signal import SIGKILL, SIGTERM, SIGUSR1

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from headrace.cli.up.core import (
    LONGEST_DELAY,
    STABLE_AFTER,
    AllReady,
    BecameReady,
    Begin,
    Exited,
    Finish,
    Kind,
    Say,
    Signal,
    Start,
    StopAsked,
    Supervisor,
    SupervisorEvent,
    Sweep,
    Swept,
)
from headrace.kernel.core import Effect, SetTimer, TimerFired

DAEMONS = [("master", Kind.MASTER), ("agent", Kind.AGENT), ("agent-2", Kind.AGENT), ("marathon", Kind.MARATHON)]


def quiet(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, Say)]


def running() -> Supervisor:
    core = Supervisor(DAEMONS)
    core.handle(Begin(), 0)
    for name, _ in DAEMONS:
        core.handle(BecameReady(name, f"http://{name}"), 0)
    return core


def test_the_master_comes_first_and_the_others_when_it_is_ready() -> None:
    core = Supervisor(DAEMONS)
    assert core.handle(Begin(), 0) == [Start("master")]
    assert quiet(core.handle(BecameReady("master", "http://m"), 1)) == [
        Start("agent"),
        Start("agent-2"),
        Start("marathon"),
    ]
    assert AllReady() not in core.handle(BecameReady("agent", "http://a"), 2)
    assert AllReady() not in core.handle(BecameReady("marathon", "http://t"), 2)
    assert AllReady() in core.handle(BecameReady("agent-2", "http://b"), 2)


def test_a_daemon_that_never_became_ready_ends_the_start_with_its_reason() -> None:
    core = Supervisor(DAEMONS)
    core.handle(Begin(), 0)
    core.handle(BecameReady("master", "http://m"), 0)
    core.handle(BecameReady("agent", "http://a"), 0)
    effects = core.handle(Exited("marathon", 2, "headrace marathon: no"), 1)
    assert [e for e in effects if isinstance(e, Signal)] == [Signal("agent", SIGUSR1), Signal("agent-2", SIGUSR1)]
    core.handle(Exited("agent", 0), 1)
    assert Signal("master", SIGTERM) in core.handle(Exited("agent-2", -10), 1)
    assert Sweep() in core.handle(Exited("master", 0), 1)
    assert core.handle(Swept(), 1) == [Finish(2, "marathon could not start: headrace marathon: no")]


def test_a_crash_at_the_start_is_no_users_mistake() -> None:
    core = Supervisor(DAEMONS)
    core.handle(Begin(), 0)
    core.handle(Exited("master", -9), 1)
    assert core.handle(Swept(), 1) == [Finish(1, "master could not start: was killed by SIGKILL")]


def test_a_killed_daemon_is_started_again_and_says_so_when_it_is_back() -> None:
    core = running()
    effects = core.handle(Exited("agent", -9), 10)
    assert quiet(effects) == [SetTimer("agent", 10.1)]
    assert effects[0] == Say("agent was killed by SIGKILL; starting it again in 0.1 s")
    assert core.handle(TimerFired("agent"), 10.1) == [Start("agent")]
    assert core.handle(BecameReady("agent", "http://a"), 11) == [Say("agent is back at http://a")]


def test_the_wait_grows_to_a_limit_and_shrinks_after_a_long_run() -> None:
    core = running()
    delays, now = [], 100.0
    for _ in range(10):
        (timer,) = quiet(core.handle(Exited("agent", 1, "bug"), now))
        assert isinstance(timer, SetTimer)
        delays.append(round(timer.at - now, 3))
        now = timer.at
        core.handle(TimerFired("agent"), now)
    assert delays[:4] == [0.1, 0.2, 0.4, 0.8]
    assert delays[-1] == LONGEST_DELAY
    core.handle(BecameReady("agent", "http://a"), now)
    (timer,) = quiet(core.handle(Exited("agent", 1), now + STABLE_AFTER))
    assert timer == SetTimer("agent", now + STABLE_AFTER + 0.1)


def test_stop_goes_from_marathon_over_the_agents_to_the_master() -> None:
    core = running()
    assert core.handle(StopAsked(), 0) == [Signal("marathon", SIGTERM), SetTimer("stop", 2.0)]
    assert core.handle(Exited("marathon", 0), 1) == [
        Signal("agent", SIGUSR1),
        Signal("agent-2", SIGUSR1),
        SetTimer("stop", 7.0),
    ]
    assert core.handle(Exited("agent", 0), 2) == []
    assert core.handle(Exited("agent-2", 0), 2) == [Signal("master", SIGTERM), SetTimer("stop", 4.0)]
    assert Sweep() in core.handle(Exited("master", 0), 3)
    assert core.handle(Swept(), 3) == [Finish(0)]


def test_a_stage_that_takes_too_long_is_killed_and_asking_twice_hurries() -> None:
    core = running()
    core.handle(StopAsked(), 0)
    assert core.handle(TimerFired("stop"), 2) == [Signal("marathon", SIGKILL)]
    core.handle(Exited("marathon", -9), 2)
    assert core.handle(StopAsked(), 2.5) == [Signal("agent", SIGKILL), Signal("agent-2", SIGKILL)]


def test_a_daemon_that_rests_is_not_started_while_stopping() -> None:
    core = running()
    core.handle(Exited("agent", -9), 10)
    core.handle(StopAsked(1), 10.05)
    assert core.handle(TimerFired("agent"), 10.1) == []
    core.handle(Exited("marathon", 0), 11)
    core.handle(Exited("agent-2", 0), 11)
    core.handle(Exited("master", 0), 11)
    assert core.handle(Swept(), 11) == [Finish(1)]


def test_the_death_of_the_master_while_marathon_stops_is_no_reason_for_a_restart() -> None:
    core = running()
    core.handle(StopAsked(), 0)
    assert core.handle(Exited("master", -9), 0.5) == []
    core.handle(Exited("marathon", 0), 1)
    core.handle(Exited("agent", 0), 1)
    assert Sweep() in core.handle(Exited("agent-2", 0), 1)


@pytest.mark.parametrize(
    ("status", "text"), [(-63, "was killed by signal 63"), (-5, "was killed by SIGTRAP"), (3, "ended with status 3")]
)
def test_an_end_is_described(status: int, text: str) -> None:
    core = running()
    say = core.handle(Exited("agent", status), 1)[0]
    assert isinstance(say, Say)
    assert text in say.text


class Machine(RuleBasedStateMachine):
    """Whatever dies whenever: never two runs of a daemon, never a signal to a dead one, always an end."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Supervisor(DAEMONS)
        self.now = 0.0
        self.alive: set[str] = set()
        self.timers: dict[str, float] = {}
        self.sweeps = 0
        self.asked = False
        self.finished: list[Finish] = []
        self.feed(Begin())

    def feed(self, event: SupervisorEvent) -> None:
        for effect in self.core.handle(event, self.now):
            match effect:
                case Start(name):
                    assert name not in self.alive
                    assert not self.asked
                    self.alive.add(name)
                case Signal(name, _):
                    assert name in self.alive
                case SetTimer(key, at):
                    self.timers[key] = at
                case Sweep():
                    assert not self.alive
                    self.sweeps += 1
                case Finish():
                    self.finished.append(effect)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def ready(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        self.feed(BecameReady(name, f"http://{name}"))

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), status=st.sampled_from([0, 1, 2, -9]))
    def dies(self, data: st.DataObject, status: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(name)
        self.feed(Exited(name, status))
        self.asked |= self.core.stopping

    @precondition(lambda self: self.timers)
    @rule()
    def time_passes(self) -> None:
        key = min(self.timers, key=lambda name: self.timers[name])
        self.now = max(self.now, self.timers.pop(key))
        self.feed(TimerFired(key))

    @rule()
    def stop(self) -> None:
        if not self.finished:
            self.asked = True
            self.feed(StopAsked())

    @precondition(lambda self: self.sweeps and not self.finished)
    @rule()
    def swept(self) -> None:
        self.feed(Swept())

    @invariant()
    def one_end(self) -> None:
        assert self.sweeps <= 1
        assert len(self.finished) <= 1

    def teardown(self) -> None:
        self.stop()
        while self.alive:
            name = min(self.alive)
            self.alive.discard(name)
            self.feed(Exited(name, 0))
        assert self.sweeps == 1
        if not self.finished:
            self.feed(Swept())
        assert len(self.finished) == 1


Machine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestMachine = Machine.TestCase
