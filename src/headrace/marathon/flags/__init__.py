"""The daemon's flags under Marathon's names: one table, how it is read, and what is made of it."""

from headrace.marathon.flags.made import (
    CAPABILITIES,
    advertised,
    framework,
    log_level,
    parse,
    policy,
    settings,
    zookeeper,
)
from headrace.marathon.flags.reading import parser
from headrace.marathon.flags.shown import config, info

__all__ = [
    "CAPABILITIES",
    "advertised",
    "config",
    "framework",
    "info",
    "log_level",
    "parse",
    "parser",
    "policy",
    "settings",
    "zookeeper",
]
