"""Makes the archives of classes for one Flink and one Java (see ``archives``), which takes about a minute.

A small cluster notes which classes JobManager and TaskManagers load (``archive_run``); of those on the class path the
JVM writes the archive's base. A second run starts with it, and at its end writes the top: the classes of Flink's own
class loaders (RPC, planner) and what else came up. What is there is only replaced when the new one is whole.

One build goes on at a time; who comes meanwhile waits, and finds its result.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from headrace.flink import archives, distribution
from headrace.flink.appmaster import assembly
from headrace.flink.archive_run import TrainingRun, clean
from headrace.flink.archives import JOB_MANAGER, TASK_MANAGER, Archive, Description, Part, PartSeen, Recipe
from headrace.flink.conf import write_private
from headrace.flink.distribution import Distribution, file_digest
from headrace.flink.options import FlinkOptions
from headrace.kernel.daemon import UserError

Tell = Callable[[str], None]


async def build(
    options: FlinkOptions, environment: Mapping[str, str], tell: Tell, *, again: bool = False
) -> list[Archive]:
    """The archives of the Flink and the Java that ``options`` name; those that are missing are made.

    ``again``: made even if they are there. ``tell`` hears of progress. Raises UserError, OSError.
    """
    flink = distribution.find_flink(options, environment)
    java = distribution.find_java(options, environment)
    if not archives.runtime(java):
        raise UserError(
            f"{java} has no file 'release' beside its bin directory, so its archives could not be told apart"
        )
    directory = archives.cache_directory(environment)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not archives.private(directory):
        raise UserError(f"{directory} can be written by others, or is another user's; set HEADRACE_CACHE, or chmod it")
    with _lock(directory, tell), tempfile.TemporaryDirectory(dir=directory, prefix="build-") as name:
        work = Path(name)
        lists = {role: work / f"{role}.classes" for role in (JOB_MANAGER, TASK_MANAGER)}
        noting = {role: [f"-XX:DumpLoadedClassList={path}"] for role, path in lists.items()}
        first = TrainingRun(work / "first", flink, java, environment, noting)
        recipes = _recipes(flink, java, first)
        found = [archives.find(directory, recipe) for recipe in recipes]
        if all(found) and not again:
            tell(f"Flink {flink.version} has its archives for {java} already")
            return [archive for archive in found if archive is not None]
        tell(f"Flink {flink.version} runs a small job, to note which classes it needs …")
        await first.run()
        tell("Java writes them down …")
        dumps = (_dump(first, recipe, lists[recipe.role], java, environment) for recipe in recipes)
        bases = dict(zip(lists, await asyncio.gather(*dumps), strict=True))
        tell("Flink runs it again, to note what else it needs …")
        tops = {role: work / f"{role}-top.jsa" for role in bases}
        noting = {
            role: [f"-XX:SharedArchiveFile={base}", f"-XX:ArchiveClassesAtExit={tops[role]}"]
            for role, base in bases.items()
        }
        second = TrainingRun(work / "second", flink, java, environment, noting)
        await second.run()
        if missing := [role for role, top in tops.items() if not top.exists()]:
            raise UserError(f"the JVM of the {missing[0]} has written no archive at its end\n{second.last_lines()}")
        built = [_publish(directory, recipe, [bases[recipe.role], tops[recipe.role]]) for recipe in recipes]
        _remove_outdated(directory, recipes)
        return built


@contextlib.contextmanager
def _lock(directory: Path, tell: Tell) -> Iterator[None]:
    """One build at a time; what a killed one left behind goes."""
    with (directory / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("another build goes on; waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        for left in directory.glob("build-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _recipes(flink: Distribution, java: Path, run: TrainingRun) -> list[Recipe]:
    job_manager = [(name, Path(name)) for name in assembly.job_manager_class_path(flink)]
    task_manager = archives.task_manager_class_path(run.artifacts)
    made = [archives.recipe(JOB_MANAGER, java, job_manager), archives.recipe(TASK_MANAGER, java, task_manager)]
    recipes = [recipe for recipe in made if recipe is not None]
    if len(recipes) != len(made):
        raise UserError(f"the jars of {flink.home} can't be read")
    return recipes


async def _dump(run: TrainingRun, recipe: Recipe, classes: Path, java: Path, environment: Mapping[str, str]) -> Path:
    """The base: an archive of the listed classes."""
    target = classes.with_name(f"{recipe.role}-base.jsa")
    arguments = [
        "-Xshare:dump",
        "-XX:+UseG1GC",  # only with it the archive gets objects too; they serve all collectors
        f"-XX:SharedClassListFile={classes}",
        f"-XX:SharedArchiveFile={target}",
        "-Xlog:disable",
        "-Xlog:all=error",
        "-classpath",
        ":".join(source.name for source in recipe.class_path),
    ]
    process = await asyncio.create_subprocess_exec(
        java,
        *arguments,
        cwd=run.box,
        env=clean(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode or not target.exists():
        end = said.decode(errors="replace").strip()[-1000:]
        raise UserError(f"{java} can't write an archive of classes (status {process.returncode}): {end}")
    return target


def _publish(directory: Path, recipe: Recipe, made: Sequence[Path]) -> Archive:
    digests = [file_digest(path) for path in made]  # before anything is replaced: raises if a part is missing
    parts, seen = [], []
    for path, target, digest in zip(made, archives.part_paths(directory, recipe), digests, strict=True):
        os.replace(path, target)
        status = target.stat()
        parts.append(Part(target, digest))
        seen.append(PartSeen(status.st_size, status.st_mtime_ns, digest))
    write_private(directory / f"{recipe.name}.json", msgspec.json.encode(Description(recipe, tuple(seen))))
    return Archive(tuple(parts), recipe.runtime)


def _remove_outdated(directory: Path, recipes: Sequence[Recipe]) -> None:
    """Remove archives of this Flink and this Java as they were before, and what is none."""
    current = {recipe.name for recipe in recipes}
    ours = {(recipe.role, recipe.runtime, recipe.class_path[-1].path) for recipe in recipes}
    for path in directory.glob("*.json"):
        try:
            old = msgspec.json.decode(path.read_bytes(), type=Description).recipe
            outdated = (old.role, old.runtime, old.class_path[-1].path) in ours
        except (msgspec.DecodeError, IndexError):
            outdated = True
        if outdated and path.stem not in current:
            path.unlink()
            for part in archives.PARTS:
                path.with_name(f"{path.stem}-{part}.jsa").unlink(missing_ok=True)
