"""Secrets below a directory."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from headrace.marathon.secrets import MAX_SIZE, SecretFiles


def test_a_source_is_a_path(tmp_path: Path) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "password").write_bytes(b"hu\nsh\n")
    find = SecretFiles(tmp_path)
    assert find("db/password") == find("/db/password") == b"hu\nsh"
    (tmp_path / "db" / "password").write_bytes(b"new")
    assert find("db/password") == b"new"


@pytest.mark.parametrize(
    "source",
    ["no", "db", "", "/", "../secret", "db/../../secret", "./db", "a\0b", "big", "\ud800", "fifo", "socket", "fifo/x"],
)
def test_what_is_no_secret(tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("outside")
    inside = tmp_path / "dir"
    (inside / "db").mkdir(parents=True)
    (inside / "big").write_bytes(b"x" * (MAX_SIZE + 1))
    os.mkfifo(inside / "fifo")  # which nobody ever writes to: opening it would wait for ever
    with socket.socket(socket.AF_UNIX) as one, monkeypatch.context() as patch:
        patch.chdir(inside)
        one.bind("socket")
    assert SecretFiles(inside)(source) is None


def test_the_log_says_why_one_can_not_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "db").mkdir()
    assert SecretFiles(tmp_path)("db") is None
    assert "secret 'db' can't be read: " in caplog.text
    os.mkfifo(tmp_path / "fifo")
    assert SecretFiles(tmp_path)("fifo") is None
    assert "secret 'fifo' can't be read: it is no regular file" in caplog.text
