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


def job_manager(
    *, java: str, sizes: Sequence[str], user: Sequence[str], class_path: Sequence[str], conf_dir: str, log: str
) -> list[str]:
    """The JobManager: ``sizes`` are the memory arguments, the rest comes from ``conf_dir``."""
    return [
        java,
        *sizes,
        *_common(conf_dir, log),
        *user,
        "-classpath",
        ":".join(class_path),
        JOB_MANAGER_MAIN,
        "--configDir",
        conf_dir,
    ]


def task_manager(
    *,
    sizes: Sequence[str],
    user: Sequence[str],
    class_path: Sequence[str],
    conf_dir: str,
    log: str,
    dynamic: Sequence[str],
) -> list[str]:
    """The arguments of a TaskManager's JVM; ``dynamic`` are Flink's ``-D`` pairs for this one."""
    return [
        "-XX:+UseG1GC",
        *sizes,
        *_common(conf_dir, log),
        *user,
        "-classpath",
        ":".join(class_path),
        TASK_MANAGER_MAIN,
        "--configDir",
        conf_dir,
        *dynamic,
    ]


def pairs(options: Mapping[str, str]) -> list[str]:
    """``-D key=value`` for each option."""
    return [part for key, value in options.items() for part in ("-D", f"{key}={value}")]


def _common(conf_dir: str, log: str) -> list[str]:
    return [f"-Dlog.file={log}", f"-Dlog4j.configurationFile=file:{conf_dir}/log4j.properties", *MODULES]
