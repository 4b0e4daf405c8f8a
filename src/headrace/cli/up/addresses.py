"""Where the parts of a cluster listen; also published as ``cluster.json`` in the data directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from headrace.cli.up.core import Kind
from headrace.cli.up.settings import DaemonSpec

FILE = "cluster.json"


class Addresses(msgspec.Struct):
    """URLs; empty until known. ``agents`` by daemon name."""

    gateway: str = ""
    master: str = ""
    marathon: str = ""
    agents: dict[str, str] = {}

    def learn(self, spec: DaemonSpec, url: str) -> None:
        """Note a daemon's URL."""
        if spec.kind is Kind.MASTER:
            self.master = url
        elif spec.kind is Kind.MARATHON:
            self.marathon = url
        else:
            self.agents[spec.name] = url

    def publish(self, root: Path) -> None:
        """Write the file, whole or not at all."""
        new = root / (FILE + ".new")
        new.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")
        new.replace(root / FILE)

    def forget(self, root: Path) -> None:
        """Remove the file: nobody listens any more."""
        (root / FILE).unlink(missing_ok=True)
