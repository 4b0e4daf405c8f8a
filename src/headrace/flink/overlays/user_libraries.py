"""The user's jars: ``usrlib`` beside Flink's ``lib``, which TaskManagers find as ``usrlib`` in their sandbox."""

from __future__ import annotations

from headrace.flink.overlays.shipment import Artifact, Ground, Shipment

TARGET = "usrlib"


def ship(ground: Ground) -> Shipment:
    """All files below it."""
    root = ground.flink.home / "usrlib"
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return Shipment(tuple(Artifact(f, f"{TARGET}/{f.relative_to(root)}", ground.flink.digest(f)) for f in files))
