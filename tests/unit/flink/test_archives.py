"""Which archive of classes fits, and which is left alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from headrace.flink import archives
from headrace.flink.archives import Archive, Archives, Description, PartSeen, Recipe
from headrace.flink.overlays.shipment import Artifact
from headrace.kernel.daemon import UserError

RELEASE = 'IMPLEMENTOR="Debian"\nJAVA_VERSION="17.0.15"\nMODULES="java.base"\nOS_ARCH="x86_64"\n'


class Machine:
    """A Java, two jars, and a cache with their archive."""

    def __init__(self, root: Path) -> None:
        self.cache = root / "cache"
        self.cache.mkdir(0o700)
        self.java = self.put(root / "jdk/bin/java")
        self.put(root / "jdk/release", RELEASE)
        self.jars = [str(self.put(root / name, "jar")) for name in ("a.jar", "flink-dist-1.20.5.jar")]
        self.archive = self.add(self.recipe())

    def put(self, path: Path, content: str = "") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def recipe(self) -> Recipe:
        made = archives.recipe("jobmanager", self.java, [(jar, Path(jar)) for jar in self.jars])
        assert made is not None
        return made

    def add(self, recipe: Recipe) -> Path:
        paths = [self.put(path, "classes") for path in archives.part_paths(self.cache, recipe)]
        seen = [PartSeen(status.st_size, status.st_mtime_ns, "cafe") for status in map(Path.stat, paths)]
        self.described(recipe).write_bytes(msgspec.json.encode(Description(recipe, tuple(seen))))
        return paths[1]

    def described(self, recipe: Recipe) -> Path:
        return self.cache / f"{recipe.name}.json"

    def found(self) -> Archive | None:
        return Archives(self.cache, self.java).of_job_manager(self.jars)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_it_is_found_for_the_java_and_the_jars_that_it_was_made_from(machine: Machine) -> None:
    runtime = RELEASE.replace('MODULES="java.base"\n', "").strip()
    found = machine.found()
    assert found is not None
    assert found.runtime == runtime
    assert found.paths == [str(path) for path in archives.part_paths(machine.cache, machine.recipe())]


def _another_time(machine: Machine) -> None:
    os.utime(machine.jars[0], (1, 1))


def _another_size(machine: Machine) -> None:
    machine.put(Path(machine.jars[0]), "another")


def _another_order(machine: Machine) -> None:
    machine.jars.reverse()


def _another_java(machine: Machine) -> None:
    machine.put(machine.java.parent.parent / "release", RELEASE.replace("15", "16"))


def _an_unknown_java(machine: Machine) -> None:
    (machine.java.parent.parent / "release").unlink()


def _a_missing_jar(machine: Machine) -> None:
    Path(machine.jars[0]).unlink()


def _a_damaged_archive(machine: Machine) -> None:
    machine.put(machine.archive, "xlasses")


def _a_short_archive(machine: Machine) -> None:
    status = machine.archive.stat()
    machine.put(machine.archive, "cl")
    os.utime(machine.archive, ns=(status.st_atime_ns, status.st_mtime_ns))


def _no_archive(machine: Machine) -> None:
    machine.archive.unlink()


def _a_damaged_description(machine: Machine) -> None:
    machine.put(machine.described(machine.recipe()), "{")


def _the_description_of_another(machine: Machine) -> None:
    """As if two recipes had the same name."""
    other = msgspec.structs.replace(machine.recipe(), format=2)
    machine.add(other)
    ours = archives.part_paths(machine.cache, machine.recipe())
    for path, own in zip(archives.part_paths(machine.cache, other), ours, strict=True):
        path.replace(own)
    machine.described(other).replace(machine.described(machine.recipe()))


def _a_cache_that_others_write_to(machine: Machine) -> None:
    machine.cache.chmod(0o770)


def _a_cache_with_a_colon(machine: Machine) -> None:
    machine.cache = machine.cache.rename(machine.cache.with_name("ca:che"))


def _no_cache(machine: Machine) -> None:
    machine.cache = machine.cache / "missing"


@pytest.mark.parametrize(
    "change",
    [
        _another_time, _another_size, _another_order, _another_java, _an_unknown_java, _a_missing_jar,
        _a_damaged_archive, _a_short_archive, _no_archive, _a_damaged_description, _the_description_of_another,
        _a_cache_that_others_write_to, _a_cache_with_a_colon, _no_cache,
    ],
)  # fmt: skip
def test_it_is_left_alone(machine: Machine, change: Callable[[Machine], None]) -> None:
    change(machine)
    assert machine.found() is None


def test_a_task_managers_class_path_is_that_of_its_script() -> None:
    names = [
        "flink/lib/flink-dist-1.20.5.jar", "flink/lib/log4j.jar", "flink/lib/Flink.jar", "flink/plugins/s3/s3.jar",
        "conf/headrace-flink-driver.jar", "conf/config.yaml", "usrlib/mine.jar",
    ]  # fmt: skip
    found = archives.task_manager_class_path([Artifact(Path("/x") / name, name) for name in names])
    expected = [names[4], names[2], names[1], names[0]]
    assert found == [(name, Path("/x") / name) for name in expected]


def test_where_flink_is_on_the_agents_there_is_no_archive(machine: Machine) -> None:
    driver = Artifact(Path(machine.jars[0]), "conf/headrace-flink-driver.jar")
    assert archives.task_manager_class_path([driver]) == []
    assert Archives(machine.cache, machine.java).of_task_managers([driver]) is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"HEADRACE_CACHE": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a/flink"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/headrace/flink"),
        ({"HOME": "/c"}, "/c/.cache/headrace/flink"),
    ],
)
def test_the_cache(environment: dict[str, str], expected: str) -> None:
    assert archives.cache_directory(environment) == Path(expected)


def test_the_option() -> None:
    environment = {"HEADRACE_CACHE": "/a"}
    assert archives.chosen({}, environment, Path("/j")) == Archives(Path("/a/flink"), Path("/j"))
    assert archives.chosen({"headrace.jvm.archive": "off"}, environment, Path("/j")) == Archives()
    with pytest.raises(UserError, match="headrace.jvm.archive is 'always'; it must be auto or off"):
        archives.chosen({"headrace.jvm.archive": "always"}, environment, Path("/j"))


def test_what_a_cluster_serves_stays_when_another_is_made(machine: Machine, tmp_path: Path) -> None:
    archive = machine.found()
    assert archive is not None
    kept = archives.keep(archive.parts[1], tmp_path / "own")
    machine.archive.unlink()
    assert kept.read_text() == "classes"
    assert archives.keep(archive.parts[1], tmp_path / "own") == kept
