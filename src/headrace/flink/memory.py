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
        return _divide(options, explicit)
    if any(_JM + part in options for part in ("flink.size", "heap.size")):
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
    if explicit is None and asked is None and any(_TM + key in options for key in ("flink.size", "task.heap.size")):
        return {}
    process = next(size for size in (explicit, asked, legacy, 1024 * MIB) if size is not None)
    extra = {_TM + "process.size": f"{process}b"}
    if process < _SMALL_TM and not _sizes_parts(options):
        extra |= {
            _TM + "jvm-metaspace.size": "160m",
            _TM + "jvm-overhead.min": "128m",
            _TM + "managed.fraction": "0.2",
            _TM + "network.min": "32m",
        }
    _check_task_manager({**options, **extra}, process)
    return extra


def _sizes_parts(options: Mapping[str, str]) -> bool:
    return any(key.startswith(_TM) and key != _TM + "process.size" for key in options)


def _check_task_manager(options: Mapping[str, str], process: int) -> None:
    fixed = sum(
        _size(options, _TM + key, default)
        for key, default in (
            ("framework.heap.size", 128 * MIB),
            ("framework.off-heap.size", 128 * MIB),
            ("task.off-heap.size", 0),
            ("jvm-metaspace.size", 256 * MIB),
        )
    )
    fixed += _clamp(options, _TM + "jvm-overhead", process, 0.1, 192 * MIB, 1024 * MIB)
    flink = process - _size(options, _TM + "jvm-metaspace.size", 256 * MIB)
    flink -= _clamp(options, _TM + "jvm-overhead", process, 0.1, 192 * MIB, 1024 * MIB)
    fixed += _clamp(options, _TM + "network", max(0, flink), 0.1, 64 * MIB, 1 << 60)
    managed = memory(options, _TM + "managed.size")
    fixed += managed if managed is not None else int(max(0, flink) * number(options, _TM + "managed.fraction", 0.4))
    if fixed > process and _TM + "task.heap.size" not in options:
        raise UserError(
            f"a TaskManager of {_mib(process)} is too small: Flink's own parts take {_mib(fixed)}; "
            "raise mesos.resourcemanager.tasks.mem"
        )


def _divide(options: Mapping[str, str], process: int) -> JobManagerMemory:
    small = process < _SMALL_JM
    overhead = _clamp(options, _JM + "jvm-overhead", process, 0.1, (96 if small else 192) * MIB, 1024 * MIB)
    metaspace = _size(options, _JM + "jvm-metaspace.size", (160 if small else 256) * MIB)
    off_heap = _size(options, _JM + "off-heap.size", (96 if small else 128) * MIB)
    heap = process - overhead - metaspace - off_heap
    if heap < _LEAST_JM_HEAP:
        least = overhead + metaspace + off_heap + _LEAST_JM_HEAP
        raise UserError(
            f"{_mib(process)} are too little for a JobManager, which takes {_mib(least)} at least; "
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
    fraction = number(options, _JM + "jvm-overhead.fraction", 0.1)
    rest = int((heap + off_heap + metaspace) * fraction / (1 - fraction)) if fraction < 1 else 1 << 60
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


def _clamp(options: Mapping[str, str], prefix: str, whole: int, fraction: float, low: int, high: int) -> int:
    share = int(whole * number(options, prefix + ".fraction", fraction))
    return max(_size(options, prefix + ".min", low), min(_size(options, prefix + ".max", high), share))


def _mib(size: int) -> str:
    return f"{size / MIB:.4g} MiB" if abs(size) < 1000 * MIB else f"{size // MIB} MiB"
