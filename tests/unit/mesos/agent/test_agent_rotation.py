"""Rotation of logs: nothing is lost while somebody writes, and nothing that a task puts in the way is followed."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.mesos.agent.sandbox import log_rotation
from headrace.mesos.agent.sandbox.log_rotation import Rotation, data_begins, rotate, rotated_bytes

BLOCK = 4096
MOST = 16 * BLOCK


@pytest.fixture(params=["here", "tmpfs"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Where the front can be cut off, and where it can only become a hole."""
    if request.param == "here":
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


def content(file: Path) -> bytes:
    """What has been written to a file and is still in it."""
    with file.open("rb") as opened:
        opened.seek(data_begins(opened.fileno()))
        return opened.read()


def everything(sandbox: Path, name: str = "stdout") -> bytes:
    rotated = sorted(sandbox.glob(f"{name}.[0-9]*"), key=lambda path: -int(path.suffix[1:]))
    return b"".join(content(file) for file in (*rotated, sandbox / name))


def test_the_oldest_bytes_go_and_stay_readable(sandbox: Path) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(20_000))
    (sandbox / "stdout").write_bytes(lines)
    gone = rotate(sandbox, "stdout", MOST, 9)
    assert gone == len(lines) // MOST * MOST
    assert everything(sandbox) == lines
    assert len(content(sandbox / "stdout")) < MOST
    assert os.stat(sandbox / "stdout").st_blocks * 512 <= MOST
    assert sorted(path.name for path in sandbox.iterdir()) == ["stdout", "stdout.1", "stdout.2", "stdout.3"]
    assert rotate(sandbox, "stdout", MOST, 9) == 0


def test_no_more_files_than_asked_for(sandbox: Path) -> None:
    for number in range(10):
        with (sandbox / "stdout").open("ab") as out:
            out.write(bytes([number]) * MOST + b"x")
        rotate(sandbox, "stdout", MOST, 3)
    assert sorted(path.name for path in sandbox.iterdir()) == ["stdout", "stdout.1", "stdout.2", "stdout.3"]
    assert content(sandbox / "stdout.1")[-1:] == b"\x09"
    assert content(sandbox / "stdout.3")[-1:] == b"\x07"


def test_a_writer_at_full_speed_loses_nothing(sandbox: Path) -> None:
    count = 300_000
    write = "os.write(1, b''.join(b'%07d\\n' % (n * 100 + i) for i in range(100)))"
    loop = f"import os\nfor n in range({count // 100}):\n if n == {count // 100 - 1}: os.read(0, 1)\n {write}"
    with (sandbox / "stdout").open("ab") as out:
        writer = subprocess.Popen(["python3", "-S", "-c", loop], stdin=subprocess.PIPE, stdout=out)
    rotations = 0
    while rotations <= 10:
        rotations += rotate(sandbox, "stdout", MOST, 99) // MOST
    assert writer.stdin is not None
    writer.stdin.close()  # then it writes its last lines
    while writer.poll() is None:
        rotate(sandbox, "stdout", MOST, 99)
    assert everything(sandbox) == b"".join(b"%07d\n" % number for number in range(count))
    assert writer.returncode == 0


def test_what_would_not_stay_is_not_copied_first(sandbox: Path) -> None:
    lines = b"".join(b"%07d\n" % number for number in range(200_000))
    (sandbox / "stdout").write_bytes(lines)
    gone = rotate(sandbox, "stdout", MOST, 2)
    kept = everything(sandbox)
    assert lines.endswith(kept)
    assert 2 * MOST < len(kept) <= 4 * MOST
    assert len(kept) == len(lines) - gone + 2 * MOST


def test_who_follows_can_tell_how_much_went(tmp_path: Path) -> None:
    (tmp_path / "stdout").write_bytes(b"x" * (3 * MOST + 1))
    rotate(tmp_path, "stdout", MOST, 9)
    with (tmp_path / "stdout").open("rb") as file:
        assert rotated_bytes(file.fileno()) == 3 * MOST


def test_who_reads_rotated_files_can_tell_whether_they_had_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stdout").write_bytes(b"x" * (3 * MOST + 1))
    held: list[bool] = []

    def noted(real: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any, **more: Any) -> None:
            held.append(log_rotation.cut_lock.locked())
            real(*given, **more)

        return call

    for name in ("rename", "setxattr"):
        monkeypatch.setattr(os, name, noted(getattr(os, name)))
    rotate(tmp_path, "stdout", MOST, 3)
    assert len(held) > 6
    assert all(held)


def test_links_and_strange_files_are_left_alone(tmp_path: Path) -> None:
    box, outside = tmp_path / "box", tmp_path / "outside"
    box.mkdir()
    outside.write_bytes(b"x" * 3 * MOST)
    (box / "stdout").symlink_to(outside)
    with pytest.raises(OSError, match="symbolic link"):
        rotate(box, "stdout", MOST, 9)
    os.link(outside, box / "stderr")
    assert rotate(box, "stderr", MOST, 9) == 0
    os.mkfifo(box / "fifo")
    assert rotate(box, "fifo", MOST, 9) == 0
    assert rotate(box, "nothing", MOST, 9) == 0
    assert outside.stat().st_size == 3 * MOST


def test_what_lies_where_a_rotated_file_goes_is_replaced_not_followed(tmp_path: Path) -> None:
    box, outside = tmp_path / "box", tmp_path / "outside"
    box.mkdir()
    outside.write_text("precious")
    for name in ("stdout.1", ".stdout.rotating"):
        (box / name).symlink_to(outside)
    (box / "stdout").write_bytes(b"x" * (MOST + 1))
    assert rotate(box, "stdout", MOST, 1) == MOST
    assert outside.read_text() == "precious"
    assert (box / "stdout.1").stat().st_size == MOST
    assert not (box / "stdout.1").is_symlink()


def test_a_full_disk_leaves_no_half_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stdout").write_bytes(b"x" * (MOST + 1))

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "sendfile", full)
    rotation = Rotation(list, {"stdout": MOST, "stderr": 0}, 9)
    rotation.look([tmp_path])
    assert [path.name for path in tmp_path.iterdir()] == ["stdout"]
    assert (tmp_path / "stdout").stat().st_size == MOST + 1
    monkeypatch.undo()
    rotation.look([tmp_path])
    assert everything(tmp_path) == b"x" * (MOST + 1)


def test_files_that_rest_are_looked_at_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stdout").write_bytes(b"x" * 100)
    looked: list[str] = []
    real = os.stat

    def noted(path: str, **more: bool) -> os.stat_result:
        looked.append(path)
        return real(path, **more)

    monkeypatch.setattr(os, "stat", noted)
    rotation = Rotation(list, {"stdout": MOST}, 9)
    for _ in range(3 * log_rotation.IDLE_ROUNDS):
        rotation.look([tmp_path])
    assert 3 <= len(looked) <= 5


def test_a_thousand_sandboxes_cost_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [tmp_path / str(number) for number in range(1000)]
    for box in boxes:
        box.mkdir()
        (box / "stdout").touch()
    rotation = Rotation(list, {"stdout": MOST, "stderr": MOST}, 9)
    looked: list[str] = []
    real = os.stat

    def noted(path: str, **more: bool) -> os.stat_result:
        looked.append(path)
        return real(path, **more)

    monkeypatch.setattr(os, "stat", noted)
    monkeypatch.setattr(log_rotation, "rotate", None)  # nothing is opened
    rotation.look(boxes)
    assert len(looked) == 2 * len(boxes)
