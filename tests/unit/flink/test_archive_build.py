"""What a build of archives refuses, publishes and removes; real ones are made in ``tests/cluster``."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.flink import archive_build, archives
from headrace.flink.archives import Recipe, Source
from headrace.kernel.daemon import UserError


def recipe(home: str = "/flink", *, size: int = 1, role: str = "jobmanager", runtime: str = "17") -> Recipe:
    return Recipe(role, runtime, (Source("flink-dist.jar", f"{home}/lib/flink-dist.jar", size, 7),))


def publish(directory: Path, made: Recipe, content: str = "classes") -> None:
    parts = [directory / "made-1", directory / "made-2"]
    for part in parts:
        part.write_text(content)
    archive_build._publish(directory, made, parts)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_what_was_published_is_found_and_replaced(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    digests = []
    for content in ("classes", "more classes"):
        publish(tmp_path, recipe(), content)
        found = archives.find(tmp_path, recipe())
        assert found is not None
        assert [part.path.read_text() for part in found.parts] == [content, content]
        digests.append(found.parts[0].sha256)
    assert digests[0] != digests[1]


def test_what_the_same_flink_had_before_goes(tmp_path: Path) -> None:
    others = [recipe("/flink-2"), recipe(role="taskmanager"), recipe(runtime="21")]
    for one in (recipe(size=1), recipe(size=2), *others):
        publish(tmp_path, one)
    (tmp_path / "jobmanager-00000000.json").write_text("{")
    (tmp_path / "jobmanager-00000000-top.jsa").write_text("")
    archive_build._remove_outdated(tmp_path, [recipe(size=2)])
    kept = {one.name for one in (recipe(size=2), *others)}
    assert names(tmp_path) == {f"{name}{suffix}" for name in kept for suffix in (".json", "-base.jsa", "-top.jsa")}


def test_what_a_killed_build_left_goes(tmp_path: Path) -> None:
    (tmp_path / "build-x" / "sandbox").mkdir(parents=True)
    with archive_build._lock(tmp_path, print):
        assert names(tmp_path) == {"lock"}


def a_flink(root: Path) -> dict[str, str]:
    (root / "lib").mkdir()
    (root / "lib" / "flink-dist-1.20.5.jar").touch()
    (root / "bin").mkdir()
    (root / "bin" / "java").touch()
    return {"headrace.flink.home": str(root), "env.java.home": str(root)}


async def test_a_java_that_can_not_be_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no file 'release'"):
        await archive_build.build(a_flink(tmp_path), {"HEADRACE_CACHE": str(tmp_path / "cache")}, print)


async def test_a_cache_that_others_write_to(tmp_path: Path) -> None:
    options = a_flink(tmp_path)
    (tmp_path / "release").write_text('JAVA_VERSION="17.0.1"\n')
    cache = tmp_path / "cache" / "flink"
    cache.mkdir(parents=True)
    cache.chmod(0o777)
    with pytest.raises(UserError, match=f"{cache} can be written by others.*HEADRACE_CACHE"):
        await archive_build.build(options, {"HEADRACE_CACHE": str(cache.parent)}, print)
    assert names(cache) == set()
