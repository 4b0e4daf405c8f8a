"""Hadoop's configuration and user: the first directory that has both files counts.

Looked for in ``fs.hdfs.hadoopconf``, $HADOOP_CONF_DIR, $HADOOP_HOME/conf and $HADOOP_HOME/etc/hadoop. A directory
that the option names must have them; one of the environment, which may be there for others, is only mentioned.
"""

from __future__ import annotations

import logging
from pathlib import Path

from headrace.flink.overlays.shipment import Artifact, Ground, Shipment, readable

log = logging.getLogger(__name__)

OPTION = "fs.hdfs.hadoopconf"
TARGET = "hadoop/conf"
FILES = ("core-site.xml", "hdfs-site.xml")


def ship(ground: Ground) -> Shipment:
    """The two files, and who to be for Hadoop. They may hold passwords."""
    directory = _directory(ground)
    if directory is None:
        return Shipment()
    artifacts = tuple(Artifact(directory / name, f"{TARGET}/{name}") for name in FILES)
    user = ground.environment.get("HADOOP_USER_NAME") or ground.user
    return Shipment(artifacts, {OPTION: TARGET}, {"HADOOP_CONF_DIR": TARGET, "HADOOP_USER_NAME": user})


def _directory(ground: Ground) -> Path | None:
    named = ground.options.get(OPTION, "").strip()
    if named:
        for name in FILES:
            readable(Path(named) / name, f"option {OPTION}")
        return Path(named).absolute()
    home, conf = ground.environment.get("HADOOP_HOME"), ground.environment.get("HADOOP_CONF_DIR")
    places = ([conf] if conf else []) + ([f"{home}/conf", f"{home}/etc/hadoop"] if home else [])
    for place in map(Path, places):
        if all((place / name).is_file() for name in FILES):
            return place.absolute()
    if places:
        log.warning("Hadoop's configuration is not shipped: %s not found in %s", " and ".join(FILES), ", ".join(places))
    return None
