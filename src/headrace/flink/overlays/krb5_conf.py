"""The Kerberos configuration: ``security.kerberos.krb5-conf.path``, or what the JVMs' arguments say of it."""

from __future__ import annotations

from pathlib import Path

from headrace.flink.overlays.shipment import Artifact, Ground, Shipment, configured_file, readable
from headrace.flink.reading import jvm_arguments

OPTION = "security.kerberos.krb5-conf.path"
TARGET = "krb5.conf"
_PROPERTY = "-Djava.security.krb5.conf="


def ship(ground: Ground) -> Shipment:
    """The file; JVMs learn of it by an argument, which wins over one of the user's that names a path here."""
    path = configured_file(ground.options, OPTION) or _of_arguments(ground)
    if path is None:
        return Shipment()
    return Shipment(
        (Artifact(path, TARGET),),
        {OPTION: TARGET},
        jvm_arguments=(_PROPERTY + TARGET,),
        master_jvm_arguments=(f"{_PROPERTY}{path}",),
    )


def _of_arguments(ground: Ground) -> Path | None:
    given = jvm_arguments(ground.options, "taskmanager")
    named = [argument.removeprefix(_PROPERTY) for argument in given if argument.startswith(_PROPERTY)]
    return readable(Path(named[-1]), f"JVM argument {_PROPERTY}{named[-1]}") if named else None
