"""Our own address: trouble with it is said only when all options have been found to be right."""

from __future__ import annotations

import logging

from headrace.flink import address
from headrace.kernel.daemon import UserError

log = logging.getLogger(__name__)

EXIT_TRY_AGAIN = 75


class OwnAddress:
    """Finds our own address."""

    def __init__(self) -> None:
        self._trouble: UserError | None = None

    def find(self, master: str) -> str:
        """The address that agents reach us at; where there is none, loopback, and ``check`` will say so."""
        try:
            return address.local_address(master)
        except UserError as error:
            self._trouble = error
            return "127.0.0.1"

    def check(self, *, ran_before: bool) -> None:
        """Raises UserError, or if a JobManager may live, SystemExit: names must not end a cluster that runs."""
        if self._trouble is None:
            return
        if not ran_before:
            raise self._trouble
        log.error("can't go on now, a JobManager may live: %s", self._trouble)
        raise SystemExit(EXIT_TRY_AGAIN) from self._trouble
