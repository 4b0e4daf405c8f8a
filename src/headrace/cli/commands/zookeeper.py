"""``headrace zookeeper``: a small ZooKeeper server, from Flink's jars."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command("zookeeper")
@click.option("--port", type=click.IntRange(1, 65535), default=2181, show_default=True, help="Where clients connect.")
@click.option("--bind", default="127.0.0.1", show_default=True, metavar="HOST", help="Address to listen on.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("zookeeper-data"),
    show_default=True,
    help="Where its data and its log are.",
)
def zookeeper(port: int, bind: str, data: Path) -> None:
    """Run a single ZooKeeper server until Ctrl-C: for tests and small clusters.

    It has no passwords of its own: whoever reaches its port can read and change what has none.
    """
    from headrace.flink import address, distribution, zookeeper_server
    from headrace.kernel.daemon import UserError

    environment = dict(os.environ)
    flink, java = distribution.find_flink({}, environment), distribution.find_java({}, environment)
    address.check_port_free("--port", bind, port)
    data = data.absolute()
    try:
        zookeeper_server.prepare(data, bind=bind, port=port)
    except OSError as error:
        raise UserError(f"--data {data}: can't be written: {error.strerror}") from error
    click.echo(f"ZooKeeper at zk://{bind}:{port}/, its log in {data}/zookeeper.log")
    sys.stdout.flush()
    os.execv(java, zookeeper_server.command(java, flink, data))  # noqa: S606 - no shell
