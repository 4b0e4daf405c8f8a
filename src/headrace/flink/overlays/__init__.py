"""Overlays: what TaskManagers need from this machine, inferred from options, environment and files.

Each module has one, ``ship(ground)``, which raises UserError if a file that was named is missing.
"""

from __future__ import annotations

from headrace.flink.overlays import (
    environment,
    flink_distribution,
    hadoop,
    keytab,
    krb5_conf,
    ssl_stores,
    user_libraries,
)
from headrace.flink.overlays.shipment import Ground, Shipment

_OVERLAYS = (
    flink_distribution.ship,
    user_libraries.ship,
    hadoop.ship,
    keytab.ship,
    krb5_conf.ship,
    ssl_stores.ship,
    environment.ship,
)


def collect(ground: Ground) -> Shipment:
    """Everything that is shipped; of several that set the same, the last wins. Raises UserError."""
    total = Shipment()
    for ship in _OVERLAYS:
        total = total + ship(ground)
    return total
