"""How much memory each JVM gets, so that JobManager and TaskManagers fit into their tasks.

The JobManager's sizes follow Flink's own arithmetic, so that no JVM has to be started to ask for them:

    process = heap + off-heap + metaspace + overhead,   overhead = process/10 within [192 MiB, 1 GiB]

Flink's defaults suit processes from about 1.5 GiB; below that they leave next to nothing to the
heap, so the shares of metaspace, overhead and managed memory are lowered, unless the user set them.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from headrace.flink.options import FlinkOptions
from headrace.flink.reading import memory, number
from headrace.kernel.daemon import UserError

MIB = 1 << 20

OWN_SHARE = 64 * MIB
"""What the application master and its shells take of the task's memory beside the JobManager."""

DEFAULT_JOB_MANAGER = 1024 * MIB
"""The JobManager's process size where neither an option nor a task's limit says anything."""

_JM = "jobmanager.memory."
_TM = "taskmanager.memory."
_SMALL_JM = 832 * MIB
_SMALL_TM = 1536 * MIB
_LEAST_JM_HEAP = 96 * MIB


class JobManagerMemory(msgspec.Struct, frozen=True):
    """The parts of a JobManager's memory, in bytes."""

    heap: int
    off_heap: int
    metaspace: int
    overhead: int
    limit_direct: bool = False

    @property
    def process(self) -> int:
        return self.heap + self.off_heap + self.metaspace + self.overhead

    def jvm_arguments(self) -> list[str]:
        """What the JVM is told."""
        direct = [f"-XX:MaxDirectMemorySize={self.off_heap}"] if self.limit_direct else []
        return [f"-Xmx{self.heap}", f"-Xms{self.heap}", *direct, f"-XX:MaxMetaspaceSize={self.metaspace}"]

    def options(self) -> FlinkOptions:
        """What Flink is told, so that it comes to the same sizes."""
        return {
            _JM + "off-heap.size": f"{self.off_heap}b",
            _JM + "jvm-overhead.min": f"{self.overhead}b",
            _JM + "jvm-overhead.max": f"{self.overhead}b",
            _JM + "jvm-metaspace.size": f"{self.metaspace}b",
            _JM + "heap.size": f"{self.heap}b",
        }


def job_manager(options: Mapping[str, str], task_limit: int | None) -> JobManagerMemory:
    """Size the JobManager for ``options`` within ``task_limit`` (bytes, None: no limit).

    Raises UserError if explicit sizes and the limit can't both hold.
    """
    room = None if task_limit is None else task_limit - OWN_SHARE
    explicit = memory(options, _JM + "process.size")
    legacy_key, legacy = _legacy(options, "jobmanager.heap")
    if explicit is not None:
        if legacy is not None and legacy != explicit:
            raise UserError(
                f"{legacy_key} is {_mib(legacy)}, but {_JM}process.size is {_mib(explicit)}; "
                "both mean the whole JobManager: give one of them"
            )
        _within(_JM + "process.size", explicit, room, task_limit)
        return _of_parts_within(options, explicit) if _gives_heap(options) else _divide(options, explicit)
    if _gives_heap(options):
        sizes = _from_parts(options)
        _within("the JobManager (heap, off-heap, metaspace, overhead)", sizes.process, room, task_limit)
        return sizes
    if legacy is not None:
        if task_limit is not None and legacy > task_limit:
            raise UserError(
                f"option {legacy_key} asks for {_mib(legacy)}, but the task of the application master has "
                f"{_mib(task_limit)}; raise the app's mem or lower the option"
            )
        return _divide(options, legacy if room is None else min(legacy, room))
    return _divide(options, DEFAULT_JOB_MANAGER if room is None else room)


def task_manager(options: Mapping[str, str]) -> FlinkOptions:
    """The memory options that TaskManagers need beyond ``options``. Raises UserError on a contradiction."""
    asked = memory(options, "mesos.resourcemanager.tasks.mem", bare="m")
    explicit = memory(options, _TM + "process.size")
    legacy_key, legacy = _legacy(options, "taskmanager.heap")
    if asked is not None and explicit is not None and asked != explicit:
        raise UserError(
            f"mesos.resourcemanager.tasks.mem is {_mib(asked)}, but taskmanager.memory.process.size is "
            f"{_mib(explicit)}; both mean the whole TaskManager: give one of them"
        )
    whole, name = (asked, "mesos.resourcemanager.tasks.mem") if asked is not None else (explicit, _TM + "process.size")
    if whole is not None and legacy is not None and legacy > whole:
        raise UserError(
            f"{legacy_key} is {_mib(legacy)}, more than the {_mib(whole)} of {name}; "
            "raise that or leave the older option away"
        )
    if explicit is None and asked is None and _says_enough(options):
        _check_task_manager(options, None, "", users=True)
        return {}
    process = next(size for size in (explicit, asked, legacy, 1024 * MIB) if size is not None)
    name = name if whole is not None else legacy_key if legacy is not None else "mesos.resourcemanager.tasks.mem"
    extra = {_TM + "process.size": f"{process}b"}
    if process < _SMALL_TM and not _sizes_parts(options):
        extra |= {
            _TM + "jvm-metaspace.size": "160m",
            _TM + "jvm-overhead.min": "128m",
            _TM + "managed.fraction": "0.2",
            _TM + "network.min": "32m",
        }
    _check_task_manager({**options, **extra}, process, name, users=_sizes_parts(options))
    return extra


def _sizes_parts(options: Mapping[str, str]) -> bool:
    return any(key.startswith(_TM) and key != _TM + "process.size" for key in options)


def _says_enough(options: Mapping[str, str]) -> bool:
    """Whether Flink comes to a TaskManager's size by the parts alone."""
    return _TM + "flink.size" in options or {_TM + "task.heap.size", _TM + "managed.size"} <= options.keys()


def _check_task_manager(options: Mapping[str, str], process: int | None, name: str, *, users: bool) -> None:
    """Raises UserError if the parts take more than ``process``, which option ``name`` says, or than flink.size.

    ``users``: the parts among ``options`` are the user's, not ours.
    """
    metaspace = {"jvm-metaspace.size": _size(options, _TM + "jvm-metaspace.size", 256 * MIB)}
    derived = _says_enough(options)  # then overhead is what is left
    whole = 0 if derived or process is None else process
    overhead = _clamp(options, _TM + "jvm-overhead", whole, 0.1, 192 * MIB, 1024 * MIB)
    beside = {**metaspace, "jvm-overhead.min": overhead}
    flink = memory(options, _TM + "flink.size")
    if flink is not None:
        _fits(options, _flink_parts(options, flink), flink, _TM + "flink.size")
        inside = {"flink.size": flink}
    else:
        inside = _flink_parts(options, max(0, (process or 0) - sum(beside.values())))
        if derived:
            others, share = (
                sum(inside.values()) - inside["network.min"],
                _fraction(options, _TM + "network.fraction", 0.1),
            )
            inside["network.min"] = _between(
                options, _TM + "network", int(others * share / (1 - share)), 64 * MIB, 1 << 60
            )
    if process is None:
        return
    parts = {**inside, **beside}
    _fits(options if users else {}, parts, process, name)
    left = process - sum(parts.values())
    if derived:
        _takes(options, "jvm-overhead.max", overhead + left, 1024 * MIB, name)
    elif _TM + "task.heap.size" in options:
        _takes(options, "network.max", inside["network.min"] + left, 1 << 60, name)


def _takes(options: Mapping[str, str], key: str, rest: int, default: int, name: str) -> None:
    """Raises UserError if the part that gets what all others leave may not be so large: Flink does not start then."""
    most = _size(options, _TM + key, default)
    if rest > most:
        raise UserError(
            f"the other parts of a TaskManager's memory leave {_mib(rest)}, but {_TM}{key} is {_mib(most)}: "
            f"raise that or one of the parts, or lower {name}"
        )


def _flink_parts(options: Mapping[str, str], flink: int) -> dict[str, int]:
    """What ``flink`` bytes are divided into, as far as it is said; network memory is at least this."""
    parts = {
        key: _size(options, _TM + key, default)
        for key, default in (
            ("framework.heap.size", 128 * MIB),
            ("framework.off-heap.size", 128 * MIB),
            ("task.heap.size", 0),
            ("task.off-heap.size", 0),
        )
    }
    heap_given = _TM + "task.heap.size" in options  # then network memory is what is left
    parts["network.min"] = _clamp(options, _TM + "network", 0 if heap_given else flink, 0.1, 64 * MIB, 1 << 60)
    managed = memory(options, _TM + "managed.size")
    share = _fraction(options, _TM + "managed.fraction", 0.4)
    parts["managed.size"] = int(flink * share) if managed is None else managed
    return parts


def _fits(options: Mapping[str, str], parts: Mapping[str, int], whole: int, name: str) -> None:
    if (total := sum(parts.values())) <= whole:
        return
    listed = _listed(options, _TM, parts)
    if listed:
        raise UserError(
            f"the parts of a TaskManager's memory take {_mib(total)}, but {name} is {_mib(whole)}: {listed}; "
            f"lower these or raise {name}"
        )
    raise UserError(f"a TaskManager of {_mib(whole)} is too small: Flink's own parts take {_mib(total)}; raise {name}")


def _listed(options: Mapping[str, str], prefix: str, parts: Mapping[str, int]) -> str:
    """The parts that the user has named, and what the others take; empty if none is named."""
    named = {key: size for key, size in parts.items() if prefix + key in options}
    if not named:
        return ""
    texts = [f"{prefix}{key} {_mib(size)}" for key, size in named.items()]
    rest = sum(parts.values()) - sum(named.values())
    return ", ".join([*texts, f"the others {_mib(rest)}"] if rest else texts)


def _gives_heap(options: Mapping[str, str]) -> bool:
    return any(_JM + part in options for part in ("flink.size", "heap.size"))


def _of_parts_within(options: Mapping[str, str], process: int) -> JobManagerMemory:
    """The user's parts, and as overhead what is left of ``process``. Raises UserError if that is too little."""
    sizes = _from_parts(options)
    least = {
        "heap.size": sizes.heap,
        "off-heap.size": sizes.off_heap,
        "jvm-metaspace.size": sizes.metaspace,
        "jvm-overhead.min": _size(options, _JM + "jvm-overhead.min", 192 * MIB),
    }
    if (total := sum(least.values())) > process:
        listed = ", ".join(f"{_JM}{key} {_mib(size)}" for key, size in least.items())
        raise UserError(
            f"the parts of the JobManager's memory take {_mib(total)}, but {_JM}process.size is {_mib(process)}: "
            f"{listed}; lower these or raise {_JM}process.size"
        )
    return msgspec.structs.replace(sizes, overhead=process - sizes.heap - sizes.off_heap - sizes.metaspace)


def _divide(options: Mapping[str, str], process: int) -> JobManagerMemory:
    small = process < _SMALL_JM
    overhead = _clamp(options, _JM + "jvm-overhead", process, 0.1, (96 if small else 192) * MIB, 1024 * MIB)
    metaspace = _size(options, _JM + "jvm-metaspace.size", (160 if small else 256) * MIB)
    off_heap = _size(options, _JM + "off-heap.size", (96 if small else 128) * MIB)
    heap = process - overhead - metaspace - off_heap
    if heap < _LEAST_JM_HEAP:
        least = overhead + metaspace + off_heap + _LEAST_JM_HEAP
        parts = {"jvm-overhead.min": overhead, "jvm-metaspace.size": metaspace, "off-heap.size": off_heap}
        listed = _listed(options, _JM, {**parts, "heap.size": _LEAST_JM_HEAP})
        raise UserError(
            f"{_mib(process)} are too little for a JobManager, which takes {_mib(least)} at least"
            f"{listed and f' ({listed})'}; "
            f"give the application master's task {_mib(least + OWN_SHARE)} or more"
        )
    return JobManagerMemory(heap, off_heap, metaspace, overhead, _limit_direct(options))


def _from_parts(options: Mapping[str, str]) -> JobManagerMemory:
    metaspace = _size(options, _JM + "jvm-metaspace.size", 256 * MIB)
    off_heap = _size(options, _JM + "off-heap.size", 128 * MIB)
    heap = memory(options, _JM + "heap.size")
    if heap is None:
        heap = _size(options, _JM + "flink.size", 0) - off_heap
    if heap < _LEAST_JM_HEAP:
        raise UserError(f"jobmanager.memory leaves a heap of {_mib(heap)}; {_mib(_LEAST_JM_HEAP)} are the least")
    fraction = _fraction(options, _JM + "jvm-overhead.fraction", 0.1)
    rest = int((heap + off_heap + metaspace) * fraction / (1 - fraction))
    low = _size(options, _JM + "jvm-overhead.min", 192 * MIB)
    overhead = max(low, min(_size(options, _JM + "jvm-overhead.max", 1024 * MIB), rest))
    return JobManagerMemory(heap, off_heap, metaspace, overhead, _limit_direct(options))


def _limit_direct(options: Mapping[str, str]) -> bool:
    return options.get(_JM + "enable-jvm-direct-memory-limit", "false").strip().lower() == "true"


def _within(what: str, size: int, room: int | None, task_limit: int | None) -> None:
    if room is not None and task_limit is not None and size > room:
        raise UserError(
            f"{what} is {_mib(size)}, but of the task's {_mib(task_limit)} only {_mib(room)} are left beside "
            "the application master; raise the app's mem or lower the size"
        )


def _legacy(options: Mapping[str, str], prefix: str) -> tuple[str, int | None]:
    """``<prefix>.size``, else ``<prefix>.mb``: its name and bytes. Raises UserError if they contradict each other."""
    name, older = prefix + ".size", prefix + ".mb"
    size, mib = memory(options, name, bare="m"), memory(options, older, bare="m")
    if size is not None and mib is not None and size != mib:
        raise UserError(f"{name} is {_mib(size)}, but {older} is {_mib(mib)}; both mean the same: give one of them")
    return (older, mib) if size is None else (name, size)


def _size(options: Mapping[str, str], key: str, default: int) -> int:
    value = memory(options, key)
    return default if value is None else value


def _fraction(options: Mapping[str, str], key: str, default: float) -> float:
    value = number(options, key, default)
    if value >= 1:
        raise UserError(f"option {key} is {value:g}; it must be from 0 to less than 1")
    return value


def _clamp(options: Mapping[str, str], prefix: str, whole: int, fraction: float, low: int, high: int) -> int:
    return _between(options, prefix, int(whole * _fraction(options, prefix + ".fraction", fraction)), low, high)


def _between(options: Mapping[str, str], prefix: str, share: int, low: int, high: int) -> int:
    return max(_size(options, prefix + ".min", low), min(_size(options, prefix + ".max", high), share))


def _mib(size: int) -> str:
    return f"{size / MIB:.4g} MiB" if abs(size) < 1000 * MIB else f"{size // MIB} MiB"
