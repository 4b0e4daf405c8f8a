"""Docker parameters: long options of ``docker run`` as key and value, put into the engine's request. Pure.

Sources: ``docker run`` reference, Docker Engine API "Create a container". An option that is not in the table is
refused, with the reason where there is one to tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from headrace.mesos.messages.common import Parameter

Body = dict[str, Any]
"""The JSON of a request to create a container."""
_Put = Callable[[Body, str], None]

REMOVE = "headrace.rm"
"""The label of a container that is not kept once it has ended, if it is ``true``."""


class ParameterError(ValueError):
    """A parameter can't be used; names it and says why."""


def apply(body: Body, parameters: Iterable[Parameter]) -> None:
    """Put each parameter into ``body``; a later one wins, lists grow. Raises ParameterError."""
    for i, parameter in enumerate(parameters):
        key = parameter.key.removeprefix("--")
        where = f"container.docker.parameters[{i}]: '{key}'"
        put = _TABLE.get(_OTHER_NAMES.get(key, key))
        if put is None:
            raise ParameterError(f"{where} {_WHY_NOT.get(key, 'is no option that this agent knows')}")
        try:
            put(body, parameter.value)
        except ValueError as error:
            raise ParameterError(f"{where}: {error}") from None


# values


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number") from None


def _boolean(text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}


def size(text: str) -> int:
    """Bytes of ``64m``, ``1.5g``, ``1024``, ``-1``. Raises ValueError."""
    if text == "-1":
        return -1
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", text.lower())
    if match is None:
        raise ValueError(f"{text!r} is no size; give bytes, or a number with b, k, m, g")
    return int(float(match[1]) * 1024 ** _UNITS[match[2]])


_SECONDS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}


def _nanoseconds(text: str) -> int:
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration; give such as 30s or 1m30s")
    return sum(int(float(number) * _SECONDS[unit]) for number, unit in parts)


def _pair(text: str, between: str = "=") -> tuple[str, str]:
    left, found, right = text.partition(between)
    if not left or not found:
        raise ValueError(f"{text!r} is not of the form name{between}value")
    return left, right


# where values go: a path of keys in the request


def _at(body: Body, path: tuple[str, ...]) -> tuple[Body, str]:
    for key in path[:-1]:
        body = body.setdefault(key, {})
    return body, path[-1]


def _one(*path: str, read: Callable[[str], Any] = str) -> _Put:
    def put(body: Body, text: str) -> None:
        place, key = _at(body, path)
        place[key] = read(text)

    return put


def _list(*path: str, read: Callable[[str], Any] = str) -> _Put:
    def put(body: Body, text: str) -> None:
        place, key = _at(body, path)
        place.setdefault(key, []).append(read(text))

    return put


def _map(*path: str, between: str = "=", bare: bool = False) -> _Put:
    """``bare``: a name alone stands for one with an empty value."""

    def put(body: Body, text: str) -> None:
        place, key = _at(body, path)
        name, value = (text, "") if bare and text and between not in text else _pair(text, between)
        place.setdefault(key, {})[name] = value

    return put


# options with a form of their own


def _cpus(body: Body, text: str) -> None:
    host = body.setdefault("HostConfig", {})
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError(f"{text!r} is not a number of CPUs")
    host["NanoCpus"] = round(float(text) * 1_000_000_000)
    host.pop("CpuQuota", None)  # the engine takes one or the other
    host.pop("CpuPeriod", None)


def _device(text: str) -> Body:
    host, *rest = text.split(":")
    if len(rest) > 2 or not host:
        raise ValueError(f"{text!r} is not of the form host-path[:container-path][:rwm]")
    permissions = rest.pop() if rest and re.fullmatch("[rwm]+", rest[-1]) else "rwm"
    if len(rest) > 1:
        raise ValueError(f"{text!r} is not of the form host-path[:container-path][:rwm]")
    return {"PathOnHost": host, "PathInContainer": rest[0] if rest else host, "CgroupPermissions": permissions}


def _rate(read: Callable[[str], int]) -> Callable[[str], Body]:
    def rate(text: str) -> Body:
        path, value = _pair(text, ":")
        return {"Path": path, "Rate": read(value)}

    return rate


def _weight(text: str) -> Body:
    path, value = _pair(text, ":")
    return {"Path": path, "Weight": _integer(value)}


def _ulimit(text: str) -> Body:
    name, value = _pair(text)
    soft, _, hard = value.partition(":")
    return {"Name": name, "Soft": _integer(soft), "Hard": _integer(hard or soft)}


def _port(text: str) -> str:
    number, _, protocol = text.partition("/")
    if not number.isdigit() or not 0 < int(number) < 65536:
        raise ValueError(f"{text!r} is not a port such as 80 or 53/udp")
    return f"{int(number)}/{protocol.lower() or 'tcp'}"


def _expose(body: Body, text: str) -> None:
    body.setdefault("ExposedPorts", {})[_port(text)] = {}


def publish(body: Body, container_port: str, host_port: str, host_ip: str = "") -> None:
    """Let a port of the machine lead to one of the container, given as ``80/tcp``."""
    body.setdefault("ExposedPorts", {})[container_port] = {}
    bindings = body.setdefault("HostConfig", {}).setdefault("PortBindings", {})
    bindings.setdefault(container_port, []).append({"HostIp": host_ip, "HostPort": host_port})


def _publish(body: Body, text: str) -> None:
    rest, _, container = text.rpartition(":")
    address, _, host = rest.rpartition(":")
    if host and not host.isdigit():
        raise ValueError(f"{text!r} is not of the form [[ip:]host-port:]container-port[/protocol]")
    publish(body, _port(container), host, address.strip("[]"))


_MOUNT_NAMES = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_MOUNT_FIELDS = frozenset(("type", "source", "target", "readonly", "bind-propagation"))


def _mount(text: str) -> Body:
    fields: dict[str, str] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        fields[_MOUNT_NAMES.get(name, name)] = value
    unknown = sorted(fields.keys() - _MOUNT_FIELDS)
    if unknown or not fields.get("target"):
        raise ValueError(f"{text!r}: {unknown[0]!r} is not supported" if unknown else f"{text!r} names no target")
    mount: Body = {"Type": fields.get("type", "volume"), "Target": fields["target"], "Source": fields.get("source", "")}
    if "readonly" in fields:
        mount["ReadOnly"] = _boolean(fields["readonly"] or "true")
    if "bind-propagation" in fields:
        mount["BindOptions"] = {"Propagation": fields["bind-propagation"]}
    return mount


def _security(text: str) -> str:
    option, _, value = text.replace(":", "=", 1).partition("=")
    if option == "seccomp" and value != "unconfined" and not value.lstrip().startswith("{"):
        raise ValueError("a seccomp profile must be given as JSON; the agent reads no files for a task")
    return text


def _environment(text: str) -> str:
    _pair(text)
    return text


def network(body: Body, name: str) -> None:
    """Put the container on the network ``name``; host, bridge, none, ``container:<name>`` or one that exists."""
    body.setdefault("HostConfig", {})["NetworkMode"] = name


_ENDPOINT = ("NetworkingConfig", "EndpointsConfig", "")
"""Where what belongs to the container's network goes; ``settle`` gives it the network's name at last."""


def settle(body: Body) -> None:
    """Complete what could not be told before all parameters were known."""
    endpoints = body.get("NetworkingConfig", {}).get("EndpointsConfig", {})
    if "" in endpoints:
        endpoints[body.get("HostConfig", {}).get("NetworkMode", "default")] = endpoints.pop("")
    test = body.get("Healthcheck", {})
    if test and "Test" not in test:
        raise ParameterError("container.docker.parameters: the other health options need 'health-cmd'")


def _no_health(body: Body, text: str) -> None:
    if _boolean(text):
        body["Healthcheck"] = {"Test": ["NONE"]}


def _remove(body: Body, text: str) -> None:
    # by the agent: the engine would do so before anybody has seen the exit status
    body.setdefault("Labels", {})[REMOVE] = str(_boolean(text)).lower()


_H = "HostConfig"
_TABLE: dict[str, _Put] = {
    "add-host": _list(_H, "ExtraHosts"),
    "blkio-weight": _one(_H, "BlkioWeight", read=_integer),
    "blkio-weight-device": _list(_H, "BlkioWeightDevice", read=_weight),
    "cap-add": _list(_H, "CapAdd"),
    "cap-drop": _list(_H, "CapDrop"),
    "cgroup-parent": _one(_H, "CgroupParent"),
    "cgroupns": _one(_H, "CgroupnsMode"),
    "cpu-period": _one(_H, "CpuPeriod", read=_integer),
    "cpu-quota": _one(_H, "CpuQuota", read=_integer),
    "cpu-rt-period": _one(_H, "CpuRealtimePeriod", read=_integer),
    "cpu-rt-runtime": _one(_H, "CpuRealtimeRuntime", read=_integer),
    "cpu-shares": _one(_H, "CpuShares", read=_integer),
    "cpus": _cpus,
    "cpuset-cpus": _one(_H, "CpusetCpus"),
    "cpuset-mems": _one(_H, "CpusetMems"),
    "device": _list(_H, "Devices", read=_device),
    "device-cgroup-rule": _list(_H, "DeviceCgroupRules"),
    "device-read-bps": _list(_H, "BlkioDeviceReadBps", read=_rate(size)),
    "device-read-iops": _list(_H, "BlkioDeviceReadIOps", read=_rate(_integer)),
    "device-write-bps": _list(_H, "BlkioDeviceWriteBps", read=_rate(size)),
    "device-write-iops": _list(_H, "BlkioDeviceWriteIOps", read=_rate(_integer)),
    "dns": _list(_H, "Dns"),
    "dns-option": _list(_H, "DnsOptions"),
    "dns-search": _list(_H, "DnsSearch"),
    "domainname": _one("Domainname"),
    "entrypoint": _one("Entrypoint", read=lambda text: [text] if text else []),
    "env": _list("Env", read=_environment),
    "expose": _expose,
    "group-add": _list(_H, "GroupAdd"),
    "health-cmd": _one("Healthcheck", "Test", read=lambda text: ["CMD-SHELL", text]),
    "health-interval": _one("Healthcheck", "Interval", read=_nanoseconds),
    "health-retries": _one("Healthcheck", "Retries", read=_integer),
    "health-start-period": _one("Healthcheck", "StartPeriod", read=_nanoseconds),
    "health-timeout": _one("Healthcheck", "Timeout", read=_nanoseconds),
    "hostname": _one("Hostname"),
    "init": _one(_H, "Init", read=_boolean),
    "ip": _one(*_ENDPOINT, "IPAMConfig", "IPv4Address"),
    "ip6": _one(*_ENDPOINT, "IPAMConfig", "IPv6Address"),
    "ipc": _one(_H, "IpcMode"),
    "kernel-memory": _one(_H, "KernelMemory", read=size),
    "label": _map("Labels", bare=True),
    "link": _list(_H, "Links"),
    "log-driver": _one(_H, "LogConfig", read=lambda text: {"Type": text, "Config": {}}),
    "log-opt": _map(_H, "LogConfig", "Config"),
    "mac-address": _one("MacAddress"),
    "memory": _one(_H, "Memory", read=size),
    "memory-reservation": _one(_H, "MemoryReservation", read=size),
    "memory-swap": _one(_H, "MemorySwap", read=size),
    "memory-swappiness": _one(_H, "MemorySwappiness", read=_integer),
    "mount": _list(_H, "Mounts", read=_mount),
    "network": network,
    "network-alias": _list(*_ENDPOINT, "Aliases"),
    "no-healthcheck": _no_health,
    "oom-kill-disable": _one(_H, "OomKillDisable", read=_boolean),
    "oom-score-adj": _one(_H, "OomScoreAdj", read=_integer),
    "pid": _one(_H, "PidMode"),
    "pids-limit": _one(_H, "PidsLimit", read=_integer),
    "privileged": _one(_H, "Privileged", read=_boolean),
    "publish": _publish,
    "publish-all": _one(_H, "PublishAllPorts", read=_boolean),
    "read-only": _one(_H, "ReadonlyRootfs", read=_boolean),
    "rm": _remove,
    "runtime": _one(_H, "Runtime"),
    "security-opt": _list(_H, "SecurityOpt", read=_security),
    "shm-size": _one(_H, "ShmSize", read=size),
    "stop-signal": _one("StopSignal"),
    "storage-opt": _map(_H, "StorageOpt"),
    "sysctl": _map(_H, "Sysctls"),
    "tmpfs": _map(_H, "Tmpfs", between=":", bare=True),
    "ulimit": _list(_H, "Ulimits", read=_ulimit),
    "user": _one("User"),
    "userns": _one(_H, "UsernsMode"),
    "uts": _one(_H, "UTSMode"),
    "volume": _list(_H, "Binds"),
    "volume-driver": _one(_H, "VolumeDriver"),
    "volumes-from": _list(_H, "VolumesFrom"),
    "workdir": _one("WorkingDir"),
}
_OTHER_NAMES = {"net": "network", "net-alias": "network-alias", "dns-opt": "dns-option"}
_A_FILE = "names a file of whoever runs `docker run`; the agent reads no files for a task"
_THE_AGENTS = "is for the agent to decide, which must find its containers again"
_TERMINAL = "is for a terminal, which a task does not have"
_WHY_NOT = {
    "attach": _TERMINAL,
    "cidfile": _A_FILE,
    "detach": _THE_AGENTS,
    "detach-keys": _TERMINAL,
    "env-file": _A_FILE,
    "gpus": "is not supported by this agent",
    "interactive": _TERMINAL,
    "label-file": _A_FILE,
    "name": _THE_AGENTS,
    "platform": "is not supported by this agent",
    "pull": "is not an option here; use force_pull_image",
    "restart": "is for the framework to decide, which hears of each end",
    "sig-proxy": _TERMINAL,
    "stop-timeout": "is not an option here; use the task's kill policy",
    "tty": _TERMINAL,
}
