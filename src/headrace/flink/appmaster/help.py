"""What ``mesos-appmaster.sh --help`` prints: how it is called, and every option. Imported only then."""

from __future__ import annotations

import textwrap

from headrace.flink.options import TABLE, Option

_HEAD = """\
Usage: mesos-appmaster.sh -Dmesos.master=HOST:PORT [-Dkey=value ...]        a Flink session cluster
       mesos-appmaster-job.sh -Dmesos.master=HOST:PORT [-Dkey=value ...]    a cluster for one job

Options may also stand in config.yaml or flink-conf.yaml in $FLINK_CONF_DIR (else $FLINK_HOME/conf); those given here
win. -Dkey means true, and the first = splits. Options that are not listed are Flink's own and are handed on to it.

"""
_INDENT = " " * 8


def text() -> str:
    """The whole page."""
    return _HEAD + "".join(_shown(option) for option in TABLE if option.supported)


def _shown(option: Option) -> str:
    default = f" [default: {option.default}]" if option.default else ""
    older = f" Older: {', '.join(option.aliases)}." if option.aliases else ""
    about = textwrap.fill(option.about + default + older, 118, initial_indent=_INDENT, subsequent_indent=_INDENT)
    return f"  -D{option.name}=\n{about}\n"
