"""Durations and sizes as Mesos's flags and messages write them: 10mins, 1.5hrs, 2GB (a KB is 1024 bytes)."""

from __future__ import annotations

import re

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}
_BYTES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", re.ASCII)


def duration(flag: str, text: str) -> float:
    """Seconds of ``10mins``, ``1.5hrs`` or a plain number of seconds. Raises ValueError that names ``flag``."""
    match = _QUANTITY.fullmatch(text.strip())
    unit = _SECONDS.get(match[2] or "secs") if match else None
    if match is None or unit is None:
        raise ValueError(f"{flag}: {text!r} is no duration; give seconds, or a number with {', '.join(_SECONDS)}")
    return float(match[1]) * unit


def exact_duration(seconds: float) -> str:
    """As Mesos writes it, in the largest unit that loses nothing: ``5secs``, ``15mins``."""
    for name in ("hrs", "mins"):
        if seconds and seconds % _SECONDS[name] == 0:
            return f"{seconds / _SECONDS[name]:g}{name}"
    return f"{seconds:g}secs"


def size(flag: str, text: str) -> int:
    """Bytes of ``2GB`` or ``512B``. Raises ValueError that names ``flag``."""
    match = _QUANTITY.fullmatch(text.strip())
    unit = _BYTES.get(match[2].upper()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{flag}: {text!r} is no size; give a number with {', '.join(_BYTES)}")
    return round(float(match[1]) * unit)


def exact_size(amount: int) -> str:
    """As Mesos writes bytes: in the largest unit that loses nothing, so 3 MiB are ``3MB`` and 1025 bytes ``1025B``."""
    for name, unit in reversed(_BYTES.items()):
        if amount and amount % unit == 0:
            return f"{amount // unit}{name}"
    return f"{amount}B"


def readable_size(amount: float) -> str:
    """For people: ``17.3 MiB``."""
    if amount < 1024 * 1024:
        return f"{amount / 1024:.1f} KiB"
    if amount < 10 * 1024 * 1024:
        return f"{amount / 1024 / 1024:.1f} MiB"
    return f"{amount / 1024 / 1024:.0f} MiB"
