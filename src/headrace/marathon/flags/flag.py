"""What is known of one flag of Marathon's, and the three things that can become of it here."""

from __future__ import annotations

import enum
from typing import Any

import msgspec


class Kind(enum.Enum):
    """What stands behind a flag on the command line."""

    TEXT = "text"
    SECRET = "secret"  # noqa: S105 - a kind, not one
    """Text that is never shown."""
    PORT = "port"
    COUNT = "count"
    """A whole number of 0 or more."""
    MILLISECONDS = "ms"
    SECONDS = "seconds"
    TOGGLE = "toggle"
    """Nothing: ``--x`` switches on, ``--disable_x`` off."""
    SWITCH = "switch"
    """Nothing, and there is no way back: ``--disable_http``."""


class Fate(enum.Enum):
    """What becomes of a flag that is given."""

    HONOURED = "honoured"
    IDLE = "accepted without effect"
    REFUSED = "refused"


class Flag(msgspec.Struct, frozen=True):
    """One flag. ``about`` is what it is in Marathon; ``why`` is for what is not honoured: the reason, or what to do.

    ``older`` are other spellings; ``default`` None: nothing.
    """

    name: str
    kind: Kind
    default: Any
    about: str
    fate: Fate = Fate.HONOURED
    why: str = ""
    choices: tuple[str, ...] = ()
    metavar: str = ""
    older: tuple[str, ...] = ()
    required: bool = False

    @property
    def takes_value(self) -> bool:
        return self.kind not in (Kind.TOGGLE, Kind.SWITCH)

    @property
    def spellings(self) -> list[str]:
        """All that may stand on the command line for it, ``--`` included."""
        names = [self.name, *self.older]
        return list(dict.fromkeys(f"--{one}" for name in names for one in (name, name.replace("_", "-"))))

    @property
    def off_spellings(self) -> list[str]:
        """What switches a toggle off."""
        if self.kind is not Kind.TOGGLE:
            return []
        return [f"--disable_{self.name}", "--disable-" + self.name.replace("_", "-")]


def idle(name: str, kind: Kind, default: Any, about: str, why: str) -> Flag:
    """A flag that is accepted, because scripts give it, and changes nothing."""
    return Flag(name, kind, default, about, Fate.IDLE, why)


def refused(name: str, kind: Kind, about: str, why: str) -> Flag:
    """A flag that is an error; a toggle only where it is switched on. ``why`` says what to do instead."""
    return Flag(name, kind, False if kind is Kind.TOGGLE else None, about, Fate.REFUSED, why)
