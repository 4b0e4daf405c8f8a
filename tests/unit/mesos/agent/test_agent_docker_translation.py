"""What the engine is asked for: tables of specs and parameters."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.mesos.agent.core.containers import ContainerSpec, Place
from headrace.mesos.agent.docker.parameters import ParameterError, apply, settle
from headrace.mesos.agent.docker.translation import Ground, SpecError, request
from headrace.mesos.agent.docker.volumes import VolumeError, sandbox_directories
from headrace.mesos.messages.common import (
    CapabilityInfo,
    CommandInfo,
    ContainerInfo,
    DiskInfo,
    DockerInfo,
    DockerVolume,
    HostPath,
    Limit,
    LinuxInfo,
    MountPropagation,
    NetworkInfo,
    Parameter,
    Parameters,
    Persistence,
    PortMapping,
    Range,
    Ranges,
    Resource,
    RLimit,
    RLimitInfo,
    SandboxPath,
    Scalar,
    Secret,
    Volume,
    VolumeSource,
)

PLACE = Place("agent", "framework", "executor", "id")
GROUND = Ground("/data", "/data/sand:box", {"A": "b"}, lambda resource: f"/volumes/{resource.role}")
SHARED_PATH = HostPath("/h", MountPropagation("BIDIRECTIONAL"))
PORTS = Resource("ports", "RANGES", ranges=Ranges([Range(31000, 31005)]))


def scalar(name: str, value: float) -> Resource:
    return Resource(name, "SCALAR", scalar=Scalar(value))


def spec(
    command: CommandInfo | None = None,
    resources: list[Resource] | None = None,
    limits: dict[str, float | str] | None = None,
    docker: dict[str, Any] | None = None,
    **container: Any,
) -> ContainerSpec:
    info = ContainerInfo("DOCKER", docker=DockerInfo(**{"image": "alpine", **(docker or {})}), **container)
    bounds = {name: Limit(value) for name, value in (limits or {}).items()}
    return ContainerSpec(PLACE, "n", command, {}, resources or [], bounds, info, 3.0, "task")


def mounts(volumes: list[Volume], **docker: Any) -> list[Any]:
    host = request(spec(docker=docker, volumes=volumes), GROUND)["HostConfig"]
    return [*host["Mounts"][1:], *host.get("Binds", ())]


def test_the_whole_request() -> None:
    body = request(spec(CommandInfo("run it"), [scalar("cpus", 1.5), scalar("mem", 64)]), GROUND)
    assert body == {
        "Image": "alpine:latest",
        "Env": ["A=b"],
        "Entrypoint": ["/bin/sh"],
        "Cmd": ["-c", "run it"],
        "Labels": {
            "headrace.data": "/data",
            "headrace.container": "id",
            "headrace.agent": "agent",
            "headrace.framework": "framework",
            "headrace.executor": "executor",
            "headrace.task": "task",
        },
        "HostConfig": {
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1000t", "max-file": "1", "compress": "false"}},
            "CpuShares": 1536,
            "Memory": 64 << 20,
            "NetworkMode": "host",
            "Mounts": [{"Type": "bind", "Source": "/data/sand:box", "Target": "/mnt/mesos/sandbox"}],
        },
    }


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (None, (None, None)),
        (CommandInfo("a b"), (["/bin/sh"], ["-c", "a b"])),
        (CommandInfo(shell=False), (None, None)),
        (CommandInfo("a b", shell=False), (None, ["a b"])),
        (CommandInfo("a", shell=False, arguments=["b", "c d"]), (None, ["a", "b", "c d"])),
        (CommandInfo(shell=False, arguments=["b"]), (None, ["b"])),
    ],
)
def test_commands(command: CommandInfo | None, expected: tuple[Any, Any]) -> None:
    body = request(spec(command), GROUND)
    assert (body.get("Entrypoint"), body.get("Cmd")) == expected


def test_the_shell_wins_over_an_entrypoint_and_nothing_else_does() -> None:
    entrypoint = {"parameters": [Parameter("entrypoint", "/x")]}
    assert request(spec(CommandInfo("y"), docker=entrypoint), GROUND)["Entrypoint"] == ["/bin/sh"]
    assert request(spec(CommandInfo("y", shell=False), docker=entrypoint), GROUND)["Entrypoint"] == ["/x"]


@pytest.mark.parametrize(
    ("resources", "limits", "cfs", "expected"),
    [
        ({"cpus": 0.001, "mem": 1}, {}, False, {"CpuShares": 2, "Memory": 32 << 20}),
        ({"cpus": 2, "mem": 64}, {}, True, {"CpuShares": 2048, "CpuPeriod": 100000, "CpuQuota": 200000}),
        ({"cpus": 1, "mem": 64}, {"cpus": 1.5}, False, {"CpuShares": 1024, "CpuQuota": 150000}),
        ({"cpus": 1, "mem": 64}, {"cpus": "Infinity"}, True, {"CpuShares": 1024, "CpuQuota": None}),
        ({"cpus": 1, "mem": 64}, {"mem": 96}, False, {"Memory": 96 << 20, "MemoryReservation": 64 << 20}),
        ({"cpus": 1, "mem": 64}, {"mem": "Infinity"}, False, {"Memory": None, "MemoryReservation": 64 << 20}),
    ],
)
def test_limits(resources: dict[str, float], limits: dict[str, float | str], cfs: bool, expected: Any) -> None:
    ground = Ground("/data", "/s", {}, str, cfs)
    host = request(spec(None, [scalar(*pair) for pair in resources.items()], limits), ground)["HostConfig"]
    assert {key: host.get(key) for key in expected} == expected


def test_ports_networks_and_hostnames() -> None:
    mapped = [PortMapping(31000, 80), PortMapping(31001, 53, "UDP"), PortMapping(31002, 53, "udp")]
    body = request(spec(None, [PORTS], docker={"network": "BRIDGE", "port_mappings": mapped}, hostname="me"), GROUND)
    assert (body["Hostname"], body["HostConfig"]["NetworkMode"]) == ("me", "bridge")
    assert body["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert body["HostConfig"]["PortBindings"] == {
        "80/tcp": [{"HostIp": "", "HostPort": "31000"}],
        "53/udp": [{"HostIp": "", "HostPort": "31001"}, {"HostIp": "", "HostPort": "31002"}],
    }
    alias = [Parameter("network-alias", "a"), Parameter("ip", "10.0.0.9")]
    body = request(
        spec(docker={"network": "USER", "parameters": alias}, network_infos=[NetworkInfo(name="own")]), GROUND
    )
    assert body["HostConfig"]["NetworkMode"] == "own"
    assert body["NetworkingConfig"] == {
        "EndpointsConfig": {"own": {"Aliases": ["a"], "IPAMConfig": {"IPv4Address": "10.0.0.9"}}}
    }


def test_privileges_and_ulimits() -> None:
    limits = RLimitInfo([RLimit("RLMT_NOFILE", 20, 10), RLimit("RLMT_CORE")])
    host = request(spec(docker={"privileged": True}, rlimit_info=limits, linux_info=LinuxInfo(shm_size=8)), GROUND)[
        "HostConfig"
    ]
    assert (host["Privileged"], host["ShmSize"]) == (True, 8 << 20)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 10, "Hard": 20}, {"Name": "core", "Soft": -1, "Hard": -1}]


@pytest.mark.parametrize(
    ("volume", "docker", "expected"),
    [
        (Volume("/c", "RW", host_path="/h"), {}, "/h:/c:rw"),
        (Volume("c", "RO", host_path="/h"), {}, "/h:/mnt/mesos/sandbox/c:ro"),
        (Volume("/c", host_path="name"), {"volume_driver": "d"}, "name:/c:rw"),
        (
            Volume("/c", "RW", source=VolumeSource("HOST_PATH", host_path=SHARED_PATH)),
            {},
            "/h:/c:rw,rshared",
        ),
        (
            Volume("/c", "RO", host_path="h"),
            {},
            {"Type": "bind", "Source": "/data/sand:box/h", "Target": "/c", "ReadOnly": True},
        ),
        (
            Volume("c", "RW", source=VolumeSource("SANDBOX_PATH", sandbox_path=SandboxPath("s", "SELF"))),
            {},
            {"Type": "bind", "Source": "/data/sand:box/s", "Target": "/mnt/mesos/sandbox/c", "ReadOnly": False},
        ),
        (
            Volume(
                "/c",
                "RW",
                source=VolumeSource(
                    "DOCKER_VOLUME", DockerVolume("v", "d", Parameters([Parameter("size", "1g")]))
                ),
            ),
            {},
            {
                "Type": "volume",
                "Source": "v",
                "Target": "/c",
                "ReadOnly": False,
                "VolumeOptions": {"DriverConfig": {"Name": "d", "Options": {"size": "1g"}}},
            },
        ),
    ],
)  # fmt: skip
def test_volumes(volume: Volume, docker: dict[str, Any], expected: object) -> None:
    assert mounts([volume], **docker) == [expected]


def test_persistent_volumes() -> None:
    disk = DiskInfo(Persistence("v"), Volume("kept", "RO"))
    kept = Resource("disk", "SCALAR", scalar=Scalar(1), role="r", disk=disk)
    host = request(spec(None, [scalar("disk", 5), kept]), GROUND)["HostConfig"]
    assert host["Mounts"][1:] == [
        {"Type": "bind", "Source": "/volumes/r", "Target": "/mnt/mesos/sandbox/kept", "ReadOnly": True}
    ]


def test_directories_in_the_sandbox_stay_in_it() -> None:
    def volume(path: str) -> Volume:
        return Volume("/c", "RW", source=VolumeSource("SANDBOX_PATH", sandbox_path=SandboxPath(path, "SELF")))

    docker = DockerInfo("i")
    relative = Volume("/c", host_path="cache")
    assert sandbox_directories([volume("a/b"), Volume("/c", host_path="/h"), relative], docker) == ["a/b", "cache"]
    assert sandbox_directories([relative], DockerInfo("i", volume_driver="d")) == []
    for path in ("/a", "../a", "a/../../b", ""):
        with pytest.raises(VolumeError, match="must be a path inside the sandbox"):
            sandbox_directories([volume(path)], docker)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (ContainerSpec(PLACE, "n", container=ContainerInfo("DOCKER")), "container.docker: is missing"),
        (spec(docker={"image": "a b"}), "container.docker.image: 'a b' is not the name of an image"),
        (spec(docker={"image": "../x"}), "container.docker.image: '../x' is not the name of an image"),
        (spec(docker={"image": ""}), "container.docker.image: '' is not"),
        (spec(CommandInfo()), "Shell specified but no command value provided"),
        (spec(resources=[scalar("gpus", 1)]), "gpus are not supported for Docker containers"),
        (spec(hostname="x"), "Unable to set hostname with host network mode"),
        (spec(docker={"network": "WEAVE"}), "'WEAVE' is not one of HOST, BRIDGE, NONE, USER"),
        (spec(docker={"network": "USER"}), "network USER needs exactly one, with the name"),
        (spec(docker={"port_mappings": [PortMapping(1, 2)]}), "only supported for bridge and user-defined networks"),
        (
            spec(resources=[PORTS], docker={"network": "BRIDGE", "port_mappings": [PortMapping(31006, 2)]}),
            r"port_mappings\[0\].host_port: Port \[31006\] not included in resources",
        ),
        (
            spec(resources=[PORTS], docker={"network": "BRIDGE", "port_mappings": [PortMapping(31000, 2, "icmp")]}),
            "'icmp' is not one of tcp, udp, sctp",
        ),
        (spec(tty_info={}), "container.tty_info"),
        (spec(linux_info=LinuxInfo(capability_info=CapabilityInfo())), "container.linux_info.capability_info"),
        (spec(volumes=[Volume("/c", "WO", host_path="/h")]), r"container.volumes\[0\].mode: 'WO'"),
        (spec(volumes=[Volume("", "RW", host_path="/h")]), "container_path: is empty"),
        (spec(volumes=[Volume("/c", "RW")]), "names neither host_path nor source"),
        (spec(volumes=[Volume("/c", "RW", host_path="/a:b")]), "a path with a colon"),
        (spec(volumes=[Volume("c", "RW", host_path="h")]), "of a volume are relative"),
        (spec(volumes=[Volume("/c", "RW", host_path="../h")]), "must be a path inside the sandbox"),
        (spec(volumes=[Volume("/c", "RW", source=VolumeSource("SECRET", secret=Secret()))]), "SECRET is not supported"),
        (spec(docker={"parameters": [Parameter("nope", "1")]}), r"parameters\[0\]: 'nope' is no option that this"),
    ],
)  # fmt: skip
def test_what_can_not_be_had(asked: ContainerSpec, why: str) -> None:
    with pytest.raises(SpecError, match=why):
        request(asked, GROUND)


# parameters


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("label", "a=b=c", {"Labels": {"a": "b=c"}}),
        ("label", "a", {"Labels": {"a": ""}}),
        ("env", "A=", {"Env": ["A="]}),
        ("hostname", "h", {"Hostname": "h"}),
        ("entrypoint", "", {"Entrypoint": []}),
        ("expose", "53/udp", {"ExposedPorts": {"53/udp": {}}}),
        ("health-cmd", "ok", {"Healthcheck": {"Test": ["CMD-SHELL", "ok"]}}),
        ("no-healthcheck", "true", {"Healthcheck": {"Test": ["NONE"]}}),
        ("rm", "true", {"Labels": {"headrace.rm": "true"}}),
        (
            "publish",
            "127.0.0.1:8080:80",
            {
                "ExposedPorts": {"80/tcp": {}},
                "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}},
            },
        ),
    ],
)
def test_parameters(key: str, value: str, expected: dict[str, Any]) -> None:
    body: dict[str, Any] = {}
    apply(body, [Parameter(key, value)])
    assert body == expected


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("cap-add", "SYS_ADMIN", {"CapAdd": ["SYS_ADMIN"]}),
        ("net", "weave", {"NetworkMode": "weave"}),
        ("dns-opt", "ndots:1", {"DnsOptions": ["ndots:1"]}),
        ("memory", "1.5g", {"Memory": 3 << 29}),
        ("memory", "64MB", {"Memory": 64 << 20}),
        ("memory-swap", "-1", {"MemorySwap": -1}),
        ("shm-size", "100", {"ShmSize": 100}),
        ("init", "true", {"Init": True}),
        ("privileged", "0", {"Privileged": False}),
        ("ulimit", "nofile=5", {"Ulimits": [{"Name": "nofile", "Soft": 5, "Hard": 5}]}),
        ("ulimit", "core=-1:6", {"Ulimits": [{"Name": "core", "Soft": -1, "Hard": 6}]}),
        ("tmpfs", "/t:size=1m", {"Tmpfs": {"/t": "size=1m"}}),
        ("tmpfs", "/t", {"Tmpfs": {"/t": ""}}),
        ("device", "/d", {"Devices": [{"PathOnHost": "/d", "PathInContainer": "/d", "CgroupPermissions": "rwm"}]}),
        ("device", "/d:r", {"Devices": [{"PathOnHost": "/d", "PathInContainer": "/d", "CgroupPermissions": "r"}]}),
        ("device", "/d:/e:rw", {"Devices": [{"PathOnHost": "/d", "PathInContainer": "/e", "CgroupPermissions": "rw"}]}),
        ("device-read-bps", "/d:1m", {"BlkioDeviceReadBps": [{"Path": "/d", "Rate": 1 << 20}]}),
        ("log-driver", "syslog", {"LogConfig": {"Type": "syslog", "Config": {}}}),
        ("log-opt", "tag=x", {"LogConfig": {"Config": {"tag": "x"}}}),
        ("security-opt", "seccomp=unconfined", {"SecurityOpt": ["seccomp=unconfined"]}),
        (
            "mount",
            "type=bind,src=/a,dst=/b,ro",
            {"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}]},
        ),
        ("--read-only", "true", {"ReadonlyRootfs": True}),
    ],
)  # fmt: skip
def test_parameters_of_the_host(key: str, value: str, expected: dict[str, Any]) -> None:
    body: dict[str, Any] = {}
    apply(body, [Parameter(key, value)])
    assert body == {"HostConfig": expected}


def test_a_number_of_cpus_takes_the_place_of_the_quota() -> None:
    body = {"HostConfig": {"CpuPeriod": 1, "CpuQuota": 2, "CpuShares": 3}}
    apply(body, [Parameter("cpus", "1.5")])
    assert body == {"HostConfig": {"NanoCpus": 1_500_000_000, "CpuShares": 3}}


def test_lists_grow_and_later_values_win() -> None:
    body: dict[str, Any] = {"Env": ["A=1"]}
    apply(body, [Parameter("env", "A=2"), Parameter("user", "a"), Parameter("user", "b")])
    assert body == {"Env": ["A=1", "A=2"], "User": "b"}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("frobnicate", "1", "'frobnicate' is no option that this agent knows"),
        ("restart", "always", "'restart' is for the framework to decide"),
        ("env-file", "/etc/shadow", "'env-file' names a file of whoever runs"),
        ("tty", "true", "'tty' is for a terminal"),
        ("init", "", "'init': '' is neither true nor false"),
        ("memory", "lots", "'memory': 'lots' is no size"),
        ("cpu-shares", "1.5", "'cpu-shares': '1.5' is not a whole number"),
        ("env", "A", "'env': 'A' is not of the form name=value"),
        ("security-opt", "seccomp=/etc/profile.json", "the agent reads no files"),
        ("publish", "8000-8010:80", "is not of the form"),
        ("publish", "80:http", "'http' is not a port"),
        ("mount", "type=bind,consistency=x", "'consistency' is not supported"),
        ("mount", "type=tmpfs", "names no target"),
        ("health-interval", "5 parsecs", "is no duration"),
        ("device", "a:b:c:d", "is not of the form"),
    ],
)
def test_parameters_that_are_refused(key: str, value: str, why: str) -> None:
    body: dict[str, Any] = {}
    with pytest.raises(ParameterError, match=r"container.docker.parameters\[1\]: ") as refusal:
        apply(body, [Parameter("user", "x"), Parameter(key, value)])
    assert why in str(refusal.value)


def test_health_options_need_a_command() -> None:
    body: dict[str, Any] = {}
    apply(body, [Parameter("health-interval", "1m30s")])
    assert body == {"Healthcheck": {"Interval": 90_000_000_000}}
    with pytest.raises(ParameterError, match="health-cmd"):
        settle(body)
