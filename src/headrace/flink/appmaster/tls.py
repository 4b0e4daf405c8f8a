"""TLS of the artifact server. Processes do without OpenSSL, which costs 4 MB, unless they need it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from headrace.flink.listener import CERTIFICATE, Listener
from headrace.kernel.daemon import UserError

if TYPE_CHECKING:
    import ssl

VARIABLE = "HEADRACE_TLS"
"""Set for a process that is to have OpenSSL."""


def ensure() -> None:
    """Become a process that has OpenSSL, if this one was started without: the same program, from its beginning."""
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = "yes"
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - no shell is meant


def context(listener: Listener) -> ssl.SSLContext | None:
    """The server's side, None without TLS. Raises UserError if the certificate can't be used."""
    if not listener.tls:
        return None
    import ssl

    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        made.load_cert_chain(listener.certificate, listener.key or None)
    except (OSError, ssl.SSLError) as error:
        files = " and ".join(filter(None, (listener.certificate, listener.key)))
        raise UserError(f"option {CERTIFICATE}: {files} can't be used: {error.strerror or error}") from error
    return made
