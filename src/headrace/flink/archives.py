"""Archives of classes, with which a JVM starts faster: where they lie, and which one fits.

An archive (class-data sharing, CDS) holds Flink's classes as the JVM has them after loading. It fits one Java and one
class path: the JVM compares names, sizes and modification times of the jars and goes without an archive that does
not fit. ``archive_build`` makes them; here they are found:

    <cache>/flink/<name>-base.jsa   an archive's first part: classes of the class path
    <cache>/flink/<name>-top.jsa    its second part: classes of Flink's own class loaders, and others
    <cache>/flink/<name>.json       what it was made from; sizes, times and digests of its parts

The cache is $HEADRACE_CACHE, else $XDG_CACHE_HOME/headrace, else ~/.cache/headrace. As code of others would run in
our JVMs, nothing is taken from a directory that others can write to. A file that is not as described is no archive.

TaskManagers find their jars under the same names relative to their sandbox everywhere; there their modification time
is set to ``JAR_TIME``, as the content is known by its digest.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import msgspec

from headrace.flink.overlays.flink_distribution import TARGET
from headrace.flink.overlays.shipment import Artifact
from headrace.kernel.daemon import UserError

JOB_MANAGER, TASK_MANAGER = "jobmanager", "taskmanager"
PARTS = ("base", "top")
FORMAT = 1
JAR_TIME = 946_684_800
"""2000-01-01, in epoch seconds; agents of our own give it to large files anyway."""

_RUNTIME = re.compile(r"^(?:IMPLEMENTOR|JAVA_|LIBC|OS_).*$", re.MULTILINE)


class Source(msgspec.Struct, frozen=True):
    """A jar: its name on the class path, and the file that it was."""

    name: str
    path: str
    size: int
    mtime_ns: int


class Recipe(msgspec.Struct, frozen=True):
    """What an archive is made from. ``runtime`` tells one Java from another."""

    role: str
    runtime: str
    class_path: tuple[Source, ...]
    format: int = FORMAT

    @property
    def name(self) -> str:
        """What the names of its files begin with."""
        return f"{self.role}-{crc32(msgspec.json.encode(self)):08x}"


class PartSeen(msgspec.Struct, frozen=True):
    """A part as it was when it was made; ``sha256`` in hexadecimal."""

    size: int
    mtime_ns: int
    sha256: str


class Description(msgspec.Struct, frozen=True):
    """What is known of an archive; its parts in the order of ``PARTS``."""

    recipe: Recipe
    parts: tuple[PartSeen, ...]


class Part(msgspec.Struct, frozen=True):
    """A file of an archive."""

    path: Path
    sha256: str


class Archive(msgspec.Struct, frozen=True):
    """An archive that may be used by a Java of this ``runtime``."""

    parts: tuple[Part, ...]
    runtime: str

    @property
    def paths(self) -> list[str]:
        return [str(part.path) for part in self.parts]


class Archives(msgspec.Struct, frozen=True):
    """The archives for JVMs of one Java; ``directory`` None: there are none."""

    directory: Path | None = None
    java: Path = Path()

    def of_job_manager(self, class_path: Sequence[str]) -> Archive | None:
        """The one for a JobManager of this machine."""
        return self._find(JOB_MANAGER, [(name, Path(name)) for name in class_path])

    def of_task_managers(self, artifacts: Iterable[Artifact]) -> Archive | None:
        """The one for TaskManagers that get these files."""
        return self._find(TASK_MANAGER, task_manager_class_path(artifacts))

    def _find(self, role: str, class_path: Sequence[tuple[str, Path]]) -> Archive | None:
        if self.directory is None or not class_path:
            return None
        wanted = recipe(role, self.java, class_path)
        return None if wanted is None else find(self.directory, wanted)


NO_ARCHIVES = Archives()


def chosen(options: Mapping[str, str], environment: Mapping[str, str], java: Path) -> Archives:
    """The archives that a cluster's JVMs may use. Raises UserError."""
    text = options.get("headrace.jvm.archive", "auto")
    match text.strip().lower():
        case "auto":
            return Archives(cache_directory(environment), java)
        case "off":
            return NO_ARCHIVES
    raise UserError(f"option headrace.jvm.archive is {text!r}; it must be auto or off")


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Where archives are kept."""
    if cache := environment.get("HEADRACE_CACHE"):
        return Path(cache).absolute() / "flink"
    if cache := environment.get("XDG_CACHE_HOME"):
        return Path(cache).absolute() / "headrace" / "flink"
    home = environment.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    return Path(home).absolute() / ".cache" / "headrace" / "flink"


def runtime(java: Path) -> str:
    """The lines of the runtime's ``release`` file that tell it from others; empty if there is none."""
    try:
        text = (java.resolve().parent.parent / "release").read_text()
    except (OSError, UnicodeDecodeError):
        return ""
    return "\n".join(_RUNTIME.findall(text))


def task_manager_class_path(artifacts: Iterable[Artifact]) -> list[tuple[str, Path]]:
    """What the task's script makes the class path from these files, which lie in the sandbox; empty without Flink."""
    jars = {a.target: a.source for a in artifacts if a.target.endswith(".jar")}
    lib = sorted(target for target in jars if target.rpartition("/")[0] == f"{TARGET}/lib")
    conf = sorted(target for target in jars if target.rpartition("/")[0] == "conf")
    last = [target for target in lib if target.rpartition("/")[2].startswith("flink-dist-")]
    if len(last) != 1:
        return []
    return [(target, jars[target]) for target in (*conf, *(t for t in lib if t not in last), *last)]


def recipe(role: str, java: Path, class_path: Sequence[tuple[str, Path]]) -> Recipe | None:
    """What the archive of this class path is made from; None if that can't be told."""
    which = runtime(java)
    if not which:
        return None
    sources = []
    for name, path in class_path:
        try:
            status = path.stat()
        except OSError:
            return None
        sources.append(Source(name, str(path.absolute()), status.st_size, status.st_mtime_ns))
    return Recipe(role, which, tuple(sources))


def find(directory: Path, wanted: Recipe) -> Archive | None:
    """The archive that was made from just that; None if there is none that can be trusted."""
    paths = part_paths(directory, wanted)
    try:
        if not private(directory) or ":" in str(directory):  # by a colon the JVM tells one part from the next
            return None
        known = msgspec.json.decode((directory / f"{wanted.name}.json").read_bytes(), type=Description)
        now = [(status.st_size, status.st_mtime_ns) for status in map(Path.stat, paths)]
    except (OSError, msgspec.DecodeError):
        return None
    if known.recipe != wanted or now != [(part.size, part.mtime_ns) for part in known.parts]:
        return None
    parts = (Part(path, part.sha256) for path, part in zip(paths, known.parts, strict=True))
    return Archive(tuple(parts), wanted.runtime)


def part_paths(directory: Path, recipe: Recipe) -> list[Path]:
    """Where the parts of an archive are."""
    return [directory / f"{recipe.name}-{part}.jsa" for part in PARTS]


def private(directory: Path) -> bool:
    """Whether only we, or root, can put files there. Raises OSError."""
    status = directory.stat()
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def keep(part: Part, directory: Path) -> Path:
    """A file with the part's content that nobody replaces or removes, in ``directory``. Raises OSError."""
    kept = directory / f"{part.sha256}.jsa"
    if kept.exists():
        return kept
    directory.mkdir(mode=0o700, exist_ok=True)
    try:
        os.link(part.path, kept)
    except OSError:  # another file system
        from shutil import copyfile

        fresh = kept.with_suffix(".new")
        copyfile(part.path, fresh)
        fresh.replace(kept)
    return kept
