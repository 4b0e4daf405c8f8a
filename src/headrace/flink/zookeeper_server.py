"""A ZooKeeper server for tests and small set-ups: the one inside flink-dist, about 90 MB and 2 s.

It is a single server: when it is down, nobody can take over, though what runs goes on. Larger set-ups have three or
five servers of Apache ZooKeeper on machines of their own.
"""

from __future__ import annotations

from pathlib import Path

from headrace.flink import conf
from headrace.flink.distribution import Distribution

MAIN = "org.apache.flink.runtime.zookeeper.FlinkZooKeeperQuorumPeer"
TICK = 2000
"""Milliseconds; sessions last from 2 to 20 ticks, whatever their clients ask for."""
_HEAP = "128m"


def prepare(data: Path, *, bind: str, port: int) -> None:
    """Write what the server reads below ``data``. Raises OSError."""
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = {
        "tickTime": TICK,
        "initLimit": 10,
        "syncLimit": 5,
        "dataDir": data,
        "clientPort": port,
        "clientPortAddress": bind,
        "maxClientCnxns": 0,
        "admin.enableServer": "false",
        "autopurge.purgeInterval": 1,
        "autopurge.snapRetainCount": 3,
    }
    (data / "zoo.cfg").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    (data / "log4j.properties").write_bytes(conf.LOG4J)


def command(java: Path, flink: Distribution, data: Path) -> list[str]:
    """The server's command line. It ends with SIGTERM or SIGKILL; what it has answered is on disk."""
    jars = [jar.path for jar in flink.jars if jar.path.name.startswith(("flink-dist", "log4j"))]
    return [
        str(java),
        f"-Xmx{_HEAP}",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        f"-Dlog.file={data}/zookeeper.log",
        f"-Dlog4j.configurationFile=file:{data}/log4j.properties",
        "-classpath",
        ":".join(map(str, jars)),
        MAIN,
        "--zkConfigFile",
        str(data / "zoo.cfg"),
        "--peerId",
        "1",
    ]
