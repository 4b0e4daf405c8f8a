"""The command lines of JobManager and TaskManager.

Pure. Arguments are lists; nothing goes through a shell's parser. ``user`` are the arguments that the
user wants a JVM to be told (``options.jvm_arguments``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

JOB_MANAGER_MAIN = "org.headrace.flink.HeadraceSessionClusterEntrypoint"
TASK_MANAGER_MAIN = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"

_EXPORTS = ("java.base/sun.net.util", "java.rmi/sun.rmi.registry", "java.security.jgss/sun.security.krb5")
_OPENS = (
    "java.base/java.lang", "java.base/java.net", "java.base/java.io", "java.base/java.nio", "java.base/sun.nio.ch",
    "java.base/java.lang.reflect", "java.base/java.text", "java.base/java.time", "java.base/java.util",
    "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic", "java.base/java.util.concurrent.locks",
)  # fmt: skip

MODULES = [
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS),
    *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS),
]
"""What Flink and its serializers reach into, as the JVM has to be told since Java 16."""

_QUICK_START = ["-XX:TieredStopAtLevel=1"]
"""For the JobManager, which coordinates: compiling little halves the CPU that it takes to start."""

_PATIENT_COMPILER = [
    "-XX:Tier4InvocationThreshold=20000",
    "-XX:Tier4MinInvocationThreshold=2400",
    "-XX:Tier4CompileThreshold=60000",
    "-XX:Tier4BackEdgeThreshold=160000",
]
"""For TaskManagers, which compute: the optimizing compiler still comes, but not for start-up code."""


def job_manager(
    *,
    java: str,
    sizes: Sequence[str],
    user: Sequence[str],
    class_path: Sequence[str],
    conf_dir: str,
    log: str,
    main: str = JOB_MANAGER_MAIN,
    archive: Sequence[str] = (),
) -> list[str]:
    """The JobManager: ``sizes`` are the memory arguments, the rest comes from ``conf_dir``."""
    return [
        java,
        *(shared(archive) if archive else []),
        *_collector(user, "-XX:+UseSerialGC"),
        *_QUICK_START,
        *sizes,
        *_common(conf_dir, log),
        *user,
        "-classpath",
        ":".join(class_path),
        main,
        "--configDir",
        conf_dir,
    ]


def task_manager(
    *,
    sizes: Sequence[str],
    user: Sequence[str],
    conf_dir: str,
    log: str,
    dynamic: Sequence[str],
) -> list[str]:
    """The arguments of a TaskManager's JVM, whose class path is in $CLASSPATH.

    ``dynamic`` are Flink's ``-D`` pairs for this one.
    """
    return [
        *_collector(user, "-XX:+UseG1GC"),
        *_PATIENT_COMPILER,
        *sizes,
        *_common(conf_dir, log),
        *user,
        TASK_MANAGER_MAIN,
        "--configDir",
        conf_dir,
        *dynamic,
    ]


def shared(archive: Sequence[str]) -> list[str]:
    """Start with an archive of classes, by its parts; if it does not fit, without one, and without a word."""
    return ["-Xshare:auto", f"-XX:SharedArchiveFile={':'.join(archive)}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]


def pairs(options: Mapping[str, str]) -> list[str]:
    """``-D key=value`` for each option."""
    return [part for key, value in options.items() for part in ("-D", f"{key}={value}")]


def _collector(user: Sequence[str], default: str) -> list[str]:
    """The garbage collector, unless the user chose one: a JVM refuses to start with two."""
    chosen = any(argument.startswith("-XX:+Use") and argument.endswith("GC") for argument in user)
    return [] if chosen else [default]


def _common(conf_dir: str, log: str) -> list[str]:
    return [f"-Dlog.file={log}", f"-Dlog4j.configurationFile=file:{conf_dir}/log4j.properties", *MODULES]
