"""Slots of an app's instances: the first free one, nobody's twice, the own one again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from headrace.flink.appmaster.slots import SCRIPT_VARIABLE, Owner, Slot, Slots, this_owner


def slots(root: Path, name: str, *, lives: bool = False) -> Slots:
    """Of an instance in the sandbox ``name``; ``lives``: under a script that lives, this process."""
    box = Path("/box") / name
    return Slots(root / "app", this_owner(box, {SCRIPT_VARIABLE: str(os.getpid())} if lives else {}))


def taken(found: Slot | None) -> Slot:
    assert found is not None
    return found


def test_each_takes_the_first_free_one(tmp_path: Path) -> None:
    held = [taken(slots(tmp_path / "new", name).take(None)) for name in "abc"]
    assert [slot.number for slot in held] == [1, 2, 3]
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["app.slot", "app@2.slot", "app@3.slot"]
    held[1].close()
    held[1] = taken(slots(tmp_path / "new", "d").take(None))
    assert held[1].number == 2
    for slot in held:
        slot.close()


@pytest.mark.parametrize("most", [0, 1, 2])
def test_no_more_than_there_shall_be_instances(tmp_path: Path, most: int) -> None:
    held = [taken(slots(tmp_path, str(n)).take(most)) for n in range(most)]
    assert slots(tmp_path, "late").take(most) is None
    if held:
        held[0].close()
        late = taken(slots(tmp_path, "late").take(most))
        assert late.number == 1
        late.close()
    for slot in held:
        slot.close()


def test_where_something_is_kept_somebody_goes_on(tmp_path: Path) -> None:
    """Scaled down to the one in the third slot, whose next task must find its jobs."""
    held = [taken(slots(tmp_path, name).take(3)) for name in "abc"]
    for slot in held[:2]:
        slot.forget()
        slot.close()
    (tmp_path / "app@3").mkdir()
    assert slots(tmp_path, "d").take(1) is None
    held[2].close()
    found = taken(slots(tmp_path, "d").take(1))
    assert found.number == 3
    found.close()


def test_a_crashed_one_keeps_its_slot_while_its_script_lives(tmp_path: Path) -> None:
    first = taken(slots(tmp_path, "a").take(None))
    crashed = taken(slots(tmp_path, "b", lives=True).take(None))
    crashed.close()
    third = taken(slots(tmp_path, "c").take(None))
    again = taken(slots(tmp_path, "b", lives=True).take(1))  # meanwhile the app was scaled down
    assert (first.number, third.number, again.number) == (1, 3, 2)
    for slot in (first, third, again):
        slot.close()


@pytest.mark.parametrize("owner", [Owner("/box/x", "another boot", os.getpid(), 1), Owner("/box/x")])
def test_whose_script_is_dead_has_no_slot(tmp_path: Path, owner: Owner) -> None:
    (tmp_path / "app.slot").write_bytes(msgspec.json.encode(owner))
    slot = taken(slots(tmp_path, "b").take(None))
    assert slot.number == 1
    slot.close()


def test_a_file_that_is_cut_off_is_free(tmp_path: Path) -> None:
    (tmp_path / "app.slot").write_bytes(b'{"sandbox":"/bo')
    slot = taken(slots(tmp_path, "b").take(None))
    assert slot.number == 1
    slot.close()


def test_forgotten_it_leaves_no_file_and_the_name_is_free(tmp_path: Path) -> None:
    slot = taken(slots(tmp_path, "a").take(None))
    slot.forget()
    slot.forget()
    assert list(tmp_path.iterdir()) == []
    other = taken(slots(tmp_path, "b").take(None))
    assert other.number == 1
    slot.close()
    other.close()


def test_other_apps_slots_are_others(tmp_path: Path) -> None:
    for name in ("app-2", "app@x", "other"):
        (tmp_path / f"{name}.slot").write_bytes(msgspec.json.encode(Owner("/box/a")))
    slot = taken(slots(tmp_path, "a").take(None))
    assert slot.number == 1
    slot.close()


def test_a_process_that_no_script_starts_again_has_nobody(tmp_path: Path) -> None:
    for value in ("", "nonsense", "1"):
        assert this_owner(Path("/box"), {SCRIPT_VARIABLE: value}) == Owner("/box")
    assert this_owner(Path("/box"), {SCRIPT_VARIABLE: str(os.getppid())}).lives()


def test_a_link_or_a_pipe_in_the_place_of_a_slot_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "app.slot").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic link; remove it"):
        slots(tmp_path, "a").take(1)
    (tmp_path / "app.slot").unlink()
    os.link(tmp_path / "victim", tmp_path / "app.slot")
    with pytest.raises(OSError, match="not a regular file"):
        slots(tmp_path, "a").take(1)
    (tmp_path / "app.slot").unlink()
    os.mkfifo(tmp_path / "app.slot")
    with pytest.raises(OSError, match="not a regular file"):
        slots(tmp_path, "a").take(1)
    assert (tmp_path / "victim").read_text() == "precious"


@pytest.mark.parametrize("number", ["\u00b2", "0", "1", "01", "9999999", "x"])
def test_what_is_no_number_of_a_slot_is_nobodys(tmp_path: Path, number: str) -> None:
    (tmp_path / f"app@{number}.slot").write_bytes(b"")
    slot = taken(slots(tmp_path, "a").take(1))
    assert slot.number == 1
    slot.close()
