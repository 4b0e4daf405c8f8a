import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from headrace.kernel import shell as shell_module
from headrace.kernel.clock import SystemClock
from headrace.kernel.core import CancelTimer, Delete, Effect, Event, Put, Reply, SetTimer, TimerFired
from headrace.kernel.shell import Shell
from headrace.kernel.store import MemoryStore, Write


class Told(Event, frozen=True):
    effects: tuple[Effect, ...]


class Asked(Event, frozen=True):
    number: int


class Act(Effect, frozen=True):
    name: str


class EchoCore:
    """Does what it is told, and notes the timers that fired."""

    def __init__(self) -> None:
        self.fired: list[str] = []

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        match event:
            case Told(effects):
                return effects
            case Asked(number):
                return [Put("asked", b"1"), Reply(number, "answer")]
            case TimerFired(key):
                self.fired.append(key)
                return [Act(f"after {key}")]
        raise ValueError(event)


class RecordingStore(MemoryStore):
    def __init__(self, journal: list[str]) -> None:
        super().__init__()
        self.journal = journal

    async def commit(self, writes: Sequence[Write]) -> None:
        await asyncio.sleep(0)
        await super().commit(writes)
        self.journal.append("commit " + " ".join(write.key for write in writes))


async def _run(until: Callable[[list[str]], bool], *events: Event) -> tuple[list[str], EchoCore]:
    journal: list[str] = []
    core = EchoCore()
    shell: Shell[Event] = Shell(core, RecordingStore(journal), lambda e: journal.append(str(e)), SystemClock())
    shell.post(*events)
    task = asyncio.create_task(shell.run())
    async with asyncio.timeout(60):
        while not until(journal):
            await asyncio.sleep(0)
    task.cancel()
    return journal, core


async def test_writes_are_durable_before_anything_else_of_the_batch_happens() -> None:
    journal, _ = await _run(
        lambda j: len(j) == 3,
        Told(
            (Act("one"), Put("a", b"")),
        ),
        Told((Act("two"), Delete("b"))),
    )
    assert journal == ["commit a b", "Act(name='one')", "Act(name='two')"]


async def test_timers_fire_once_are_replaced_and_cancelled() -> None:
    now = SystemClock().now()
    journal, core = await _run(
        lambda j: "Act(name='after late')" in j,
        Told((SetTimer("early", now), SetTimer("late", now + 60), SetTimer("never", now + 0.01))),
        Told((SetTimer("late", now + 0.05), CancelTimer("never"))),
    )
    assert core.fired == ["early", "late"]
    assert journal == ["Act(name='after early')", "Act(name='after late')"]


async def test_an_answer_comes_after_its_writes() -> None:
    store = MemoryStore()
    shell: Shell[Event] = Shell(EchoCore(), store, lambda _: None, SystemClock())
    task = asyncio.create_task(shell.run())
    assert await shell.ask(Asked) == "answer"
    assert store.content == {"asked": b"1"}
    task.cancel()


async def test_a_core_that_raises_ends_the_shell() -> None:
    shell: Shell[Event] = Shell(EchoCore(), MemoryStore(), lambda _: None, SystemClock())
    shell.post(Event())
    with pytest.raises(ValueError, match="Event"):
        await asyncio.wait_for(shell.run(), 60)


class ManualClock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time


async def test_a_timer_that_is_cancelled_in_the_turn_in_which_it_is_due_does_not_fire() -> None:
    clock, core, acts = ManualClock(), EchoCore(), list[Effect]()
    shell: Shell[Event] = Shell(core, MemoryStore(), acts.append, clock)
    shell.post(Told((SetTimer("gone", 1.0), SetTimer("later", 1.0), SetTimer("due", 1.0))))
    task = asyncio.create_task(shell.run())
    async with asyncio.timeout(60):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        clock.time = 2.0
        shell.post(Told((CancelTimer("gone"), SetTimer("later", 9.0))))
        while core.fired != ["due"]:
            await asyncio.sleep(0)
        assert [str(act) for act in acts] == [str(Act("after due"))]
    task.cancel()


async def test_timers_that_are_renewed_for_ever_do_not_pile_up() -> None:
    shell: Shell[Event] = Shell(EchoCore(), MemoryStore(), lambda _: None, ManualClock())
    shell.post(*(Told((SetTimer("t", 1000.0 + n),)) for n in range(5000)))
    task = asyncio.create_task(shell.run())
    async with asyncio.timeout(60):
        while shell._inbox:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(shell._heap) < 100
    task.cancel()


class SlowCore(EchoCore):
    """Each event takes longer than a turn may."""

    def handle(self, event: Event, now: float) -> Sequence[Effect]:
        time.sleep(0.02)
        return super().handle(event, now)


async def test_many_events_at_once_do_not_keep_everybody_else_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM was not heard of for as long as the core was busy."""
    monkeypatch.setattr(shell_module, "_LONGEST", 0.01)
    acts: list[str] = []
    shell: Shell[Event] = Shell(SlowCore(), MemoryStore(), lambda effect: acts.append(str(effect)), SystemClock())
    shell.post(*(Told((Put("a", b""), Act(str(number)))) for number in range(4)))
    task = asyncio.create_task(shell.run())
    turns = 0
    async with asyncio.timeout(60):
        while len(acts) < 2:
            await asyncio.sleep(0)
    shell.post(Told((Act("last"),)))
    assert len(acts) < 4
    async with asyncio.timeout(60):
        while len(acts) < 5:
            await asyncio.sleep(0)
            turns += 1
    assert acts == [str(Act(name)) for name in ("0", "1", "2", "3", "last")]
    assert turns >= 2
    task.cancel()


async def test_many_timers_at_once_are_fired_in_several_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_module, "_LONGEST", 0.01)
    core = SlowCore()
    shell: Shell[Event] = Shell(core, MemoryStore(), lambda _: None, SystemClock())
    shell.post(Told(tuple(SetTimer(name, float(at)) for at, name in enumerate("abc", 1))))
    task = asyncio.create_task(shell.run())
    seen = set()
    async with asyncio.timeout(60):
        while len(core.fired) < 3:
            await asyncio.sleep(0)
            seen.add(len(core.fired))
    assert core.fired == ["a", "b", "c"]
    assert 1 in seen or 2 in seen
    task.cancel()
