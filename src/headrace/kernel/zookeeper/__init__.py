"""ZooKeeper: addresses as Mesos writes them, and one session with an ensemble.

kazoo, the client library, is imported when the first session is made: nobody else pays for it.
"""

from headrace.kernel.zookeeper.address import SCHEME, ZooKeeperAddress, parse
from headrace.kernel.zookeeper.session import Session, SessionId, ZooKeeperError

__all__ = ["SCHEME", "Session", "SessionId", "ZooKeeperAddress", "ZooKeeperError", "parse"]
