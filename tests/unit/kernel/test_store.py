import sqlite3
from pathlib import Path

import pytest

from headrace.kernel.core import Delete, Put
from headrace.kernel.store import Durability, Store, StoreError, open_store


def _open(path: Path, component: str = "master", layout: int = 1, durability: Durability = Durability.POWER) -> Store:
    return open_store(f"sqlite://{path}", component=component, layout=layout, durability=durability)


@pytest.mark.parametrize("durability", Durability)
async def test_what_was_committed_is_there_after_reopening(tmp_path: Path, durability: Durability) -> None:
    store = _open(tmp_path / "a.db", durability=durability)
    await store.commit([Put("a/1", b"x"), Put("a/2", b"y"), Delete("a/1"), Put("a/2", b"z"), Delete("nothing")])
    store.close()
    store = _open(tmp_path / "a.db", durability=durability)
    assert store.load() == {"a/2": b"z"}
    store.close()


async def test_entries_of_an_earlier_version_move_to_a_table_that_finds_small_rows_beside_large_ones(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.db"
    _open(path).close()
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE entries")
        db.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
        db.execute("INSERT INTO entries VALUES ('a', ?), ('b', x'01')", (b"x" * 100_000,))
    db.close()
    for _ in range(2):
        store = _open(path)
        assert store.load() == {"a": b"x" * 100_000, "b": b"\x01"}
        store.close()
    store = _open(path)
    await store.commit([Put("b", b"y"), Delete("a")])
    assert store.load() == {"b": b"y"}
    store.close()
    with sqlite3.connect(path) as db:
        tables = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    db.close()
    # else each look for a small row may read a large one whole: removing 5,000 apps took half a minute
    assert tables.keys() == {"owner", "entries"}
    assert "ROWID" not in tables["entries"]


def test_a_second_process_is_kept_out(tmp_path: Path) -> None:
    store = _open(tmp_path / "a.db")
    with pytest.raises(StoreError, match="in use by another process"):
        _open(tmp_path / "a.db")
    store.close()


@pytest.mark.parametrize(("component", "layout"), [("marathon", 1), ("master", 2)])
def test_data_of_another_component_or_version_is_refused_and_left_alone(
    tmp_path: Path, component: str, layout: int
) -> None:
    path = tmp_path / "a.db"
    _open(path).close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"a\.db holds data of master in layout 1"):
        _open(path, component, layout)
    assert path.read_bytes() == before
    _open(path).close()


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(StoreError, match="is not a store of Headrace"):
        _open(path)
    other = tmp_path / "b.db"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE something (x)")
    db.close()
    with pytest.raises(StoreError, match="is not a store of Headrace"):
        _open(other)


@pytest.mark.parametrize("url", ["sqlite:relative.db", "zk://x", "nonsense", ""])
def test_an_unknown_url_says_what_would_do(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///"):
        open_store(url, component="x", layout=1)


async def test_a_failed_commit_changes_nothing(tmp_path: Path) -> None:
    store = _open(tmp_path / "a.db")
    with pytest.raises(StoreError):
        await store.commit([Put("a", b"1"), Put("b", None)])  # type: ignore[arg-type]
    assert store.load() == {}
    store.close()


async def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "a.db"
    path.parent.mkdir()
    path.touch(0o644)
    store = _open(path)
    await store.commit([Put("a", b"s3cret")])
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("a.db", "a.db-wal", "a.db-shm", "a.db.lock"), 0o600)
    store.close()
    _open(tmp_path / "new" / "a.db").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_loss_of_power_leaves_a_sound_file(tmp_path: Path) -> None:
    store = _open(tmp_path / "a.db", durability=Durability.PROCESS)
    assert store._db.execute("PRAGMA synchronous").fetchone() == (1,)  # type: ignore[attr-defined]  # NORMAL
    store.close()
