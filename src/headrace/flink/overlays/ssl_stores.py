"""The stores of keys and certificates of all ``security.ssl.*`` sides; their passwords are in the configuration."""

from __future__ import annotations

from headrace.flink.overlays.shipment import SECRETS, Artifact, Ground, Shipment, configured_file

PREFIX = "security.ssl."
SIDES = ("", "internal.", "rest.")


def ship(ground: Ground) -> Shipment:
    """Each store that an option names, privately."""
    total = Shipment()
    for side in SIDES:
        for kind in ("keystore", "truststore"):
            path = configured_file(ground.options, f"{PREFIX}{side}{kind}")
            if path is not None:
                target = f"{SECRETS}/{side}{kind}{path.suffix or '.jks'}"
                total = total + Shipment((Artifact(path, target),), {f"{PREFIX}{side}{kind}": target})
    return total
