"""What overlays look at, and what they ship."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from headrace.flink.distribution import Distribution
from headrace.flink.options import FlinkOptions
from headrace.kernel.daemon import UserError

SECRETS = "secrets"
"""The directory in the sandbox that only its owner can read."""


class Artifact(msgspec.Struct, frozen=True):
    """A file for sandboxes: ``target`` is its path there.

    ``digest`` is its SHA-256 in hexadecimal; a private file has none, is served only to who knows the key, and
    is never kept in a cache.
    """

    source: Path
    target: str
    digest: str = ""
    executable: bool = False


class Shipment(msgspec.Struct, frozen=True):
    """What TaskManagers get, and what the JobManager (``master_*``) has to be told for the same."""

    artifacts: tuple[Artifact, ...] = ()
    options: FlinkOptions = {}
    environment: dict[str, str] = {}
    jvm_arguments: tuple[str, ...] = ()
    master_environment: dict[str, str] = {}
    master_jvm_arguments: tuple[str, ...] = ()

    def __add__(self, other: Shipment) -> Shipment:
        return Shipment(
            self.artifacts + other.artifacts,
            self.options | other.options,
            self.environment | other.environment,
            self.jvm_arguments + other.jvm_arguments,
            self.master_environment | other.master_environment,
            self.master_jvm_arguments + other.master_jvm_arguments,
        )


class Ground(msgspec.Struct, frozen=True):
    """What a cluster is built from. ``flink_home``: agents have Flink there already; ``user``: who runs this."""

    options: FlinkOptions
    environment: Mapping[str, str]
    flink: Distribution
    user: str
    flink_home: str = ""
    own_command: bool = False


def configured_file(options: Mapping[str, str], key: str) -> Path | None:
    """The file that an option names, None if it is not set. Raises UserError if it can't be read."""
    text = options.get(key, "").strip()
    if not text:
        return None
    return readable(Path(text), f"option {key}")


def readable(path: Path, source: str) -> Path:
    """``path``, absolute. Raises UserError, naming ``source``, if it is no file that can be read."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UserError(
            f"{source}: {path} can't be read: {error.strerror}; correct the path or its permissions"
        ) from error
    return path.absolute()
