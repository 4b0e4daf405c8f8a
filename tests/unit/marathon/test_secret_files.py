"""Secrets below a directory."""

from __future__ import annotations

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


@pytest.mark.parametrize("source", ["no", "db", "", "/", "../secret", "db/../../secret", "./db", "a\0b", "big"])
def test_what_is_no_secret(tmp_path: Path, source: str) -> None:
    (tmp_path / "secret").write_text("outside")
    inside = tmp_path / "dir"
    (inside / "db").mkdir(parents=True)
    (inside / "big").write_bytes(b"x" * (MAX_SIZE + 1))
    assert SecretFiles(inside)(source) is None
