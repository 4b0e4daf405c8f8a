"""What one cluster is, read and checked before anything is started."""

from __future__ import annotations

from pathlib import Path

import msgspec

from headrace.flink.archives import NO_ARCHIVES, Archives
from headrace.flink.cluster import Cluster
from headrace.flink.distribution import Distribution
from headrace.flink.job import Job
from headrace.flink.overlays.shipment import Shipment


class Plan(msgspec.Struct, frozen=True):
    """The cluster's options, the Flink and the Java that run it, what is shipped, and its job if it has just one."""

    cluster: Cluster
    flink: Distribution
    java: Path
    shipment: Shipment
    job: Job | None = None
    archives: Archives = NO_ARCHIVES
