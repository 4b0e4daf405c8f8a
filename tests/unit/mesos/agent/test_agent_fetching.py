"""The fetcher's cache, archives and small decisions, without a network."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.mesos.agent.sandbox.archives import ArchiveError, is_archive, unpack
from headrace.mesos.agent.sandbox.fetcher_cache import SEALED, CacheIndex, FetcherCache, cache_key, split_digest
from headrace.mesos.agent.sandbox.files import _text
from headrace.mesos.agent.sandbox.progress import Progress
from headrace.mesos.agent.sandbox.sources import shown

DIGEST = "ab" * 32


def test_the_least_recently_used_goes_first() -> None:
    index = CacheIndex(10)
    assert index.add("a", 4) == []
    assert index.add("b", 4) == []
    assert index.pin("a")
    index.unpin("a")
    assert index.add("c", 4) == ["b"]
    index.validate()


def test_what_is_used_never_goes() -> None:
    index = CacheIndex(10)
    index.add("a", 6)
    index.add("b", 4)
    index.pin("a")
    index.pin("a")
    index.unpin("a")
    assert index.add("c", 5) is None
    assert "a" in index
    assert "b" in index  # nothing goes for what can't come
    index.unpin("a")
    assert index.add("c", 5) == ["b", "a"]
    assert index.add("huge", 11) is None


@given(st.lists(st.tuples(st.sampled_from("apd"), st.sampled_from("vwxyz"), st.integers(0, 12)), max_size=60))
def test_the_books_of_the_cache_balance(steps: list[tuple[str, str, int]]) -> None:
    index = CacheIndex(20)
    pinned: list[str] = []
    for what, key, size in steps:
        if what == "a":
            goes = index.add(key, size)
            assert not set(goes or ()) & set(pinned)
        elif what == "p" and index.pin(key):
            pinned.append(key)
        elif what == "d" and pinned:
            index.unpin(pinned.pop())
        index.validate()


def test_keys_are_contents_where_they_can_be() -> None:
    assert split_digest(f"http://h/a#sha256={DIGEST.upper()}") == ("http://h/a", DIGEST)
    assert split_digest("http://h/a#part") == ("http://h/a", "")
    assert cache_key("http://h/a", DIGEST, "u") == cache_key("http://elsewhere/b", DIGEST, "v")
    assert cache_key("http://h/a", "", "u") != cache_key("http://h/a", "", "v")
    with pytest.raises(ValueError, match="no SHA-256"):
        split_digest("http://h/a#sha256=xyz")


def test_the_cache_survives_and_drops_what_is_broken(tmp_path: Path) -> None:
    cache = FetcherCache(tmp_path / "c", 100)
    for name, now in (("url-old", 10.0), ("url-new", 20.0)):
        fetched = cache.temporary(name, 1)
        fetched.write_bytes(b"x" * 40)
        assert cache.seal(name, fetched, now)
    (tmp_path / "c" / "tmp-1-url-half").write_bytes(b"half")
    (tmp_path / "c" / "url-unsealed").write_bytes(b"?")
    cache = FetcherCache(tmp_path / "c", 100)
    assert sorted(os.listdir(tmp_path / "c")) == ["url-new", "url-old"]
    fetched = cache.temporary("url-more", 2)
    fetched.write_bytes(b"x" * 40)
    cache.seal("url-more", fetched, 30.0)
    assert sorted(os.listdir(tmp_path / "c")) == ["url-more", "url-new"]
    path = cache.pin("url-new", 40.0)
    assert path is not None
    assert path.stat().st_mtime == SEALED
    cache.unpin("url-new")
    os.utime(path, (50, 50))  # as if written to
    assert cache.pin("url-new", 60.0) is None
    assert cache.index.used == 40


def test_a_smaller_cache_throws_away_at_start(tmp_path: Path) -> None:
    cache = FetcherCache(tmp_path, 100)
    for n in range(3):
        fetched = cache.temporary(f"url-{n}", n)
        fetched.write_bytes(b"x" * 30)
        cache.seal(f"url-{n}", fetched, float(n))
    FetcherCache(tmp_path, 60)
    assert sorted(os.listdir(tmp_path)) == ["url-1", "url-2"]


def test_room_is_made_before_a_download_and_given_back(tmp_path: Path) -> None:
    cache = FetcherCache(tmp_path, 100)
    first = cache.temporary("url-first", 1)
    first.write_bytes(b"x" * 60)
    assert cache.seal("url-first", first, 1.0)
    coming = cache.temporary("url-coming", 2)
    assert not cache.reserve(coming, 101)
    assert "url-first" in cache.index
    assert cache.reserve(coming, 70)
    assert "url-first" not in cache.index
    other = cache.temporary("url-other", 3)
    assert not cache.reserve(other, 40)  # what is on its way does not go
    coming.write_bytes(b"x" * 50)
    assert cache.seal("url-coming", coming, 2.0)
    assert (cache.index.used, os.listdir(tmp_path)) == (50, ["url-coming"])
    assert cache.reserve(other, 50)
    other.write_bytes(b"half")
    cache.give_up(other)
    assert (cache.index.used, os.listdir(tmp_path)) == (50, ["url-coming"])
    cache.index.validate()


def test_strangers_in_the_cache_directory_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    (tmp_path / "tmp-1-url-x.d").mkdir()
    FetcherCache(tmp_path, 100)
    assert os.listdir(tmp_path) == ["precious"]


def test_progress_is_told_now_and_then(tmp_path: Path) -> None:
    times = iter((0.0, 1.0, 3.5, 4.0, 7.0, 8.0))
    progress = Progress(tmp_path, "http://h/x", lambda: next(times))
    progress.size(10 << 20)
    for mib in (1, 4, 5, 7):
        progress.at(mib << 20)
    progress.ended("Fetched", 10 << 20)
    assert (tmp_path / "stderr").read_text().splitlines() == [
        "Fetching URI 'http://h/x'",
        "Fetching URI 'http://h/x': 4.0 MiB of 10 MiB (40 %), 1.1 MiB/s",
        "Fetching URI 'http://h/x': 7.0 MiB of 10 MiB (70 %), 1.0 MiB/s",
        "Fetched URI 'http://h/x' in 8.00 s, 10 MiB (10485760 bytes)",
    ]


def test_progress_follows_no_link_and_writes_any_text(tmp_path: Path) -> None:
    Progress(tmp_path, "http://h/\udcff")
    assert (tmp_path / "stderr").read_text() == "Fetching URI 'http://h/\\udcff'\n"
    for put in (lambda at: at.symlink_to(tmp_path / "precious"), os.mkfifo):
        (tmp_path / "stderr").unlink()
        put(tmp_path / "stderr")
        Progress(tmp_path, "http://h/x")
    assert not (tmp_path / "precious").exists()


def tar_with(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


@pytest.mark.parametrize(
    "info",
    [
        member("../up"),
        member("a/../../up"),
        member("link", tarfile.SYMTYPE, "../../up"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("hard", tarfile.LNKTYPE, "../up"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
)
def test_tars_that_lead_outside(tmp_path: Path, info: tarfile.TarInfo) -> None:
    box = tmp_path / "box"
    box.mkdir()
    with pytest.raises(ArchiveError):
        unpack(tar_with(tmp_path / "t.tar", (info, b"")), "t.tar", box)
    assert os.listdir(tmp_path) in (["box", "t.tar"], ["t.tar", "box"])


@pytest.mark.parametrize(
    ("name", "mode", "data"),
    [
        ("../up", stat.S_IFREG | 0o644, b"x"),
        ("/abs", stat.S_IFREG | 0o644, b"x"),
        ("link", stat.S_IFLNK | 0o777, b"../../up"),
        ("link", stat.S_IFLNK | 0o777, b"/etc/passwd"),
        ("pipe", stat.S_IFIFO | 0o644, b""),
    ],
)
def test_zips_that_lead_outside(tmp_path: Path, name: str, mode: int, data: bytes) -> None:
    box = tmp_path / "box"
    box.mkdir()
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as pack:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        pack.writestr(info, data)
    with pytest.raises(ArchiveError):
        unpack(tmp_path / "z.zip", "z.zip", box)
    assert not list(box.iterdir())


def test_executable_bits_and_inner_links_are_kept(tmp_path: Path) -> None:
    box = tmp_path / "box"
    box.mkdir()
    tar = tar_with(tmp_path / "t.tar", (member("run", mode=0o755), b"#!"), (member("l", tarfile.SYMTYPE, "run"), b""))
    unpack(tar, "t.tar", box)
    assert os.access(box / "l", os.X_OK)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as pack:
        for name, mode, data in (("d/go", stat.S_IFREG | 0o755, "#!"), ("d/to", stat.S_IFLNK | 0o777, "go")):
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            pack.writestr(info, data)
    unpack(tmp_path / "z.zip", "z.zip", box)
    assert os.readlink(box / "d" / "to") == "go"
    assert os.access(box / "d" / "to", os.X_OK)


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz", "a.zip", "a.gz"])
def test_a_broken_archive_says_so(tmp_path: Path, name: str) -> None:
    assert is_archive(name)
    (tmp_path / name).write_bytes(b"nonsense" * 100)
    with pytest.raises(ArchiveError, match="can't unpack it"):
        unpack(tmp_path / name, name, tmp_path)


def test_secrets_in_uris_are_not_told() -> None:
    assert shown("https://user:pass@host:1/a/b?token=1#sha256=x") == "https://host:1/a/b"
    assert shown("/a/file") == "/a/file"


@pytest.mark.parametrize(
    ("data", "more", "text"),
    [
        ("grü".encode()[:-1], True, "gr"),
        ("grü".encode()[:-1], False, "gr\ufffd"),
        ("grü".encode(), True, "grü"),
        ("a€".encode()[:-1], True, "a"),
        ("a😀".encode()[:-1], True, "a"),
        (b"\x80\x80\x80\x80\x80", True, "\ufffd" * 5),
        (b"", True, ""),
    ],
)
def test_pages_do_not_cut_characters(data: bytes, more: bool, text: str) -> None:
    assert _text(data, more) == text
