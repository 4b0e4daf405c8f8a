"""Options of Flink that can't work as they are given: told at the start, not by a JVM that ends again and again.

Pure. Source: Flink's documentation of TLS, Kerberos and high availability, 1.20 to 2.3.
"""

from __future__ import annotations

from collections.abc import Mapping

from headrace.flink.reading import flag
from headrace.flink.storage_dir import TYPE
from headrace.kernel.daemon import UserError

_SSL = "security.ssl."
_KEYS = ("keystore", "keystore-password", "key-password")
_TRUST = ("truststore", "truststore-password")
_KERBEROS = "security.kerberos.login."
_SERVICES = ("zookeeper", "none")


def check(given: Mapping[str, str]) -> None:
    """Raises UserError that names what is missing, or can't be had here. ``given`` has today's names."""
    _check_tls(given)
    if _set(given, _KERBEROS + "keytab") and not _set(given, _KERBEROS + "principal"):
        raise UserError(
            f"option {_KERBEROS}keytab needs {_KERBEROS}principal: give the name that the keytab is for, such as "
            "flink@EXAMPLE.ORG"
        )
    _check_high_availability(given.get(TYPE, "NONE").strip())


def _check_tls(given: Mapping[str, str]) -> None:
    needs = {"internal.": (*_KEYS, *_TRUST), "rest.": _KEYS}
    if flag(given, _SSL + "rest.authentication-enabled"):
        needs["rest."] = (*_KEYS, *_TRUST)
    for side, names in needs.items():
        if not flag(given, f"{_SSL}{side}enabled"):
            continue
        missing = [name for name in names if not _set(given, _SSL + side + name) and not _set(given, _SSL + name)]
        if missing:
            raise UserError(
                f"option {_SSL}{side}enabled is true, but there is no {', '.join(_SSL + side + m for m in missing)}: "
                f"give them, or the same without '{side}' for all connections"
            )


def _check_high_availability(kind: str) -> None:
    if "kubernetes" in kind.lower():
        raise UserError(
            f"option {TYPE} is {kind!r}, which keeps its records in Kubernetes: not supported here; leave it away "
            "(files below high-availability.storageDir), or say zookeeper"
        )
    if "." not in kind and kind.lower() not in _SERVICES:
        raise UserError(f"option {TYPE} is {kind!r}; it must be zookeeper, NONE, or the name of a factory's class")


def _set(given: Mapping[str, str], key: str) -> bool:
    return bool(given.get(key, "").strip())
