"""The lean process behind ``headrace up``: ``python -m headrace.cli.up SETTINGS-AS-JSON``."""

from headrace.kernel import lean  # noqa: F401  (first: keeps memory small)

# isort: split
import asyncio
import gc
import logging
import os
import sys
from pathlib import Path

import msgspec

from headrace.cli.up.addresses import Addresses
from headrace.cli.up.demo_child import DemoChild
from headrace.cli.up.guard import DataLock, Guard
from headrace.cli.up.java import find_java_home
from headrace.cli.up.ports import check_free
from headrace.cli.up.settings import DaemonSpec, Settings, daemons
from headrace.cli.up.supervisor import UpShell
from headrace.cli.up.terminal import Terminal
from headrace.gateway import Gateway
from headrace.kernel.daemon import EXIT_USAGE, UserError
from headrace.kernel.http import HttpServer
from headrace.kernel.log import LineFormatter


def main() -> None:
    """Run the cluster until it is stopped; exits."""
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    try:
        sys.exit(asyncio.run(_run(settings)))
    except (UserError, OSError) as error:
        sys.stderr.write(f"headrace up: {error}\n")
        sys.exit(EXIT_USAGE)


async def _run(settings: Settings) -> int:
    lock = DataLock(settings.root)
    specs = daemons(settings)
    wanted = [(spec.name, spec.port, spec.option) for spec in specs]
    check_free(settings.host, [*wanted, ("gateway", settings.gateway_port, "--gateway-port")])
    settings.logs.mkdir(exist_ok=True)
    _log_to(settings.log_of("up"))

    addresses = Addresses()
    gateway = Gateway(lambda: addresses.master, lambda: addresses.marathon)
    server = HttpServer(gateway, host=settings.host, port=settings.gateway_port)
    await server.start()
    addresses.gateway = f"http://{settings.host}:{server.port}"
    try:
        return await _supervise(settings, specs, addresses, lock)
    finally:
        gateway.close()
        await server.stop()


async def _supervise(settings: Settings, specs: list[DaemonSpec], addresses: Addresses, lock: DataLock) -> int:
    terminal = Terminal(settings, addresses, find_java_home(os.environ))
    demo = DemoChild(settings.demo, settings, terminal) if settings.demo is not None else None
    guard = Guard(lock)
    up = UpShell(
        settings,
        specs,
        addresses,
        guard,
        java_home=terminal.java_home,
        say=terminal.say,
        on_ready=terminal.ready if demo is None else lambda: demo.cluster_ready(addresses),
        on_stop=terminal.stopping if demo is None else demo.interrupt,
    )
    if demo is not None:
        demo.start(up.stop)
    _freeze()
    status = await up.run()
    if demo is not None:
        demo.end()
        await demo.gone()
    addresses.forget(settings.root)
    guard.dismiss()  # not reached if a bug ends us: then the guard ends the daemons
    return status


def _log_to(path: Path) -> None:
    handler = logging.FileHandler(path)
    handler.setFormatter(LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)


def _freeze() -> None:
    gc.collect()
    gc.freeze()  # what is imported by now stays for good; the collector need not look at it again


if __name__ == "__main__":
    main()
