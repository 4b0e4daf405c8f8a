"""Flink's configuration files: what the user wrote is read, what the JVMs read is written.

Read are ``config.yaml`` (mappings of scalars and lists, nested by indentation) and the older
``flink-conf.yaml`` (``key: value`` lines). A construct beyond that is refused by file and line,
never guessed at. Written is one flat ``config.yaml``, which every Flink since 1.19 understands.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from headrace.flink.address import read_master
from headrace.flink.options import FlinkOptions, over, parse_arguments
from headrace.kernel.daemon import UserError

MASTER_VARIABLE = "HEADRACE_MASTER"

_QUOTED = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*(?:#.*)?$""")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_KEY = re.compile(r"""(?:"([^"]+)"|'([^']+)'|([^\s'"\[\]{}#&*!|>%@`,][^:#]*?))\s*:(?:\s+(.*))?$""")


def read_options(arguments: Sequence[str], environment: Mapping[str, str]) -> FlinkOptions:
    """Options of the command line over those of the configuration directory, if there is one.

    $HEADRACE_MASTER, which `headrace up` sets for its tasks, is the master if neither names one. Raises UserError.
    """
    given = parse_arguments(arguments)
    directory = environment.get("FLINK_CONF_DIR")
    if directory is None and environment.get("FLINK_HOME"):
        directory = environment["FLINK_HOME"] + "/conf"
    found = over(read_conf_dir(Path(directory)) if directory else {}, given)
    if environment.get(MASTER_VARIABLE):
        found.setdefault("mesos.master", environment[MASTER_VARIABLE])
    if "mesos.master" in found:
        found["mesos.master"] = read_master(found["mesos.master"].strip())
    return found


def read_conf_dir(conf_dir: Path) -> FlinkOptions:
    """The options of ``config.yaml``, else of ``flink-conf.yaml``; none if there is neither. Raises UserError."""
    for name, parse in (("config.yaml", parse_config_yaml), ("flink-conf.yaml", parse_flink_conf)):
        path = conf_dir / name
        try:
            return parse(path.read_text(), str(path))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: can't be read: {error}") from error
    return {}


def parse_flink_conf(text: str, where: str) -> FlinkOptions:
    """``key: value`` per line; ``#`` begins a comment; the last of several equal keys counts."""
    options: FlinkOptions = {}
    for number, line in enumerate(text.split("\n"), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        key, separator, value = content.partition(": ")
        if not separator or not key.strip() or not value.strip():
            raise UserError(f"{where}, line {number}: {content!r} is not of the form 'key: value'")
        options[key.strip()] = value.strip()
    return options


def parse_config_yaml(text: str, where: str) -> FlinkOptions:
    """Nested mappings become dotted keys, lists are joined by semicolons. Raises UserError."""
    options: FlinkOptions = {}
    path: list[tuple[int, str]] = []
    items: dict[str, list[str]] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        content = raw.strip()
        if not content or content.startswith("#") or content == "---":
            continue
        place = f"{where}, line {number}"
        if "\t" in raw[: len(raw) - len(raw.lstrip())]:
            raise UserError(f"{place}: indent with blanks, not with tabs")
        indent = len(raw) - len(raw.lstrip())
        if content.startswith("- "):
            while path and path[-1][0] > indent:
                path.pop()
            if not path:
                raise UserError(f"{place}: a list item without a key before it")
            items.setdefault(".".join(key for _, key in path), []).append(_scalar(content[2:].strip(), place))
            continue
        while path and path[-1][0] >= indent:
            path.pop()
        match = _KEY.match(content)
        if match is None:
            raise UserError(f"{place}: {content!r} is not of the form 'key: value'")
        path.append((indent, match[1] or match[2] or match[3]))
        value = (match[4] or "").strip()
        if value and not value.startswith("#"):
            options[".".join(key for _, key in path)] = _scalar(value, place)
    return options | {key: ";".join(values) for key, values in items.items()}


def _scalar(text: str, place: str) -> str:
    if text[0] in "\"'":
        match = _QUOTED.match(text)
        if match is None:
            raise UserError(f"{place}: the quoted text does not end on its line")
        if text[0] == "'":
            return match[1][1:-1].replace("''", "'")
        try:
            return msgspec.json.decode(match[1], type=str)
        except msgspec.DecodeError as error:
            raise UserError(f"{place}: {match[1]} can't be read: {error}") from error
    if text.startswith("[") and text.endswith("]"):
        return ";".join(_scalar(item.strip(), place) for item in text[1:-1].split(",") if item.strip())
    if text[0] in "[{|>&*!%@`":
        raise UserError(f"{place}: this YAML construct is not supported; write 'key: value'")
    return re.split(r"\s+#", text, maxsplit=1)[0]


def render(options: Mapping[str, str]) -> bytes:
    """A flat ``config.yaml`` with sorted keys and quoted values."""
    return "".join(f"{_quote(key)}: {_quote(value)}\n" for key, value in sorted(options.items())).encode()


def _quote(text: str) -> str:
    """JSON's quoting is YAML's too, but for characters that YAML does not print or takes for line breaks."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", msgspec.json.encode(text).decode())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read; a reader sees the old content or the new."""
    fresh = path.with_name(path.name + ".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)


LOG4J = b"""\
monitorInterval = 30
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = RollingFile
appender.file.append = true
appender.file.fileName = ${sys:log.file}
appender.file.filePattern = ${sys:log.file}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %-60c %x - %m%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 64MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 4
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = Console
appender.console.filter.threshold.type = ThresholdFilter
appender.console.filter.threshold.level = WARN
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %-40.40c{1.} %x - %m%n
logger.pekko.name = org.apache.pekko
logger.pekko.level = INFO
logger.netty.name = org.jboss.netty.channel.DefaultChannelPipeline
logger.netty.level = OFF
"""
"""log4j2's properties for JobManager and TaskManager: all in a file (-Dlog.file), warnings on the console too.

The file is appended to: a JVM that shuts down opens it again and would truncate it. The console goes to a
file without an end, and is where a job's own output is looked for.
"""
