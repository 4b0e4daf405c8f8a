"""The keytab of ``security.kerberos.login.keytab``."""

from __future__ import annotations

from headrace.flink.overlays.shipment import SECRETS, Artifact, Ground, Shipment, configured_file

OPTION = "security.kerberos.login.keytab"
TARGET = f"{SECRETS}/krb5.keytab"


def ship(ground: Ground) -> Shipment:
    """The file, privately."""
    path = configured_file(ground.options, OPTION)
    return Shipment((Artifact(path, TARGET),), {OPTION: TARGET}) if path else Shipment()
