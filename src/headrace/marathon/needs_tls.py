"""Whether this process needs OpenSSL, or can do without its 4 MB. Imports nothing: asyncio would load it."""

import os
import sys

_SIGNS = ("https://", "keystore")
"""One of these in a flag or a variable means that it does."""


def needed() -> bool:
    """For a certificate of our own, or a master behind TLS."""
    names = ("MARATHON_", "MESOSPHERE_")
    variables = [f"{name}={value}" for name, value in os.environ.items() if name.startswith(names)]
    return any(sign in word.lower() for word in (*sys.argv[1:], *variables) for sign in _SIGNS)
