"""What the command lines of master, agent and Marathon have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from headrace.kernel.daemon import UserError
from headrace.marathon import flags as marathon
from headrace.mesos import flags as common
from headrace.mesos.agent import launcher
from headrace.mesos.agent.core import executors
from headrace.mesos.agent.flags import agent
from headrace.mesos.agent.isolation import choice
from headrace.mesos.master import flags as master
from headrace.mesos.unsupported_flags import advice

DOMAIN = '{"fault_domain": {"region": {"name": "us"}, "zone": {"name": "us-1"}}}'


def as_agent(*more: str, environment: Mapping[str, str] | None = None) -> agent.Flags:
    return agent.parse(["--master=h:1", "--data=/d", *more], environment or {})


def as_master(*more: str) -> master.Flags:
    return master.parse(more)


def as_marathon(*more: str) -> Any:
    return marathon.parse(["--master=h:1", *more])


@pytest.mark.parametrize(
    ("parse", "flag"),
    [
        *((as_agent, flag) for flag in ("host", "hostname", "port", "master", "data")),
        *((as_master, flag) for flag in ("host", "hostname", "port", "data")),
        *((as_marathon, flag) for flag in ("http_address", "hostname", "http_port", "master", "data")),
    ],
)
@pytest.mark.parametrize("value", ["", " "])
def test_what_must_say_something_is_not_empty(parse: Callable[..., object], flag: str, value: str) -> None:
    with pytest.raises(UserError, match=f"--{flag.replace('_', '-')} is empty"):
        parse(f"--{flag}", value)


@pytest.mark.parametrize("port", ["70000", "-1", "x", "²", "1.5"])
@pytest.mark.parametrize("parse", [as_agent, as_master, as_marathon])
def test_ports(parse: Callable[..., object], port: str) -> None:
    with pytest.raises(UserError, match=r"port '.*' is not understood; give a port from 0 to 65535"):
        parse(f"--port={port}")


@pytest.mark.parametrize("parse", [lambda: agent.parse([]), lambda: marathon.parse([])])
def test_a_missing_flag_is_one_line(parse: Callable[[], object]) -> None:
    with pytest.raises(UserError, match=r"required: --master.*; --help lists the flags$"):
        parse()


@pytest.mark.parametrize("name", ["a/b c", "ä", "a b", "x" * 254])
@pytest.mark.parametrize("parse", [as_agent, as_master])
def test_what_is_no_hostname(parse: Callable[..., object], name: str) -> None:
    with pytest.raises(UserError, match="--hostname .* is no name of a host"):
        parse("--hostname", name)


@pytest.mark.parametrize("name", ["node1.example", "10.0.0.1", "[::1]", "::1", "a_b-c"])
def test_hostnames(name: str) -> None:
    assert as_agent("--hostname", name).hostname == as_master("--hostname", name).hostname == name


def test_the_agents_domain(tmp_path: Path) -> None:
    (tmp_path / "d").write_text(DOMAIN)
    found = as_agent("--domain", DOMAIN)
    assert found.domain == as_agent(f"--domain=file://{tmp_path}/d").domain == as_master("--domain", DOMAIN).domain
    assert found.domain is not None
    assert found.domain.fault_domain is not None
    assert found.domain.fault_domain.region.name == "us"
    assert '"us-1"' in found.shown()["domain"]
    assert as_agent().domain is None
    with pytest.raises(UserError, match="--domain 'here' is not understood; give JSON such as"):
        as_agent("--domain=here")


def test_the_environment_completes_the_command_line() -> None:
    environment = {
        "MESOS_PORT": "1",
        "MESOS_HOSTNAME": "n1",
        "MESOS_WORK_DIR": "/e",
        "MESOS_MASTER": "h:2",
        "PORT": "9",
    }
    found = agent.parse(["--port=2"], environment)
    assert (found.port, found.hostname, found.data, found.master) == (2, "n1", Path("/e"), "http://h:2")
    switches = {"MESOS_REQUIRE_AGENT_DOMAIN": "true", "MESOS_FILTER_GPU_RESOURCES": "false"}
    settings = master.parse(["--no-require_agent_domain"], switches).settings
    assert (settings.require_agent_domain, settings.filter_gpus) == (False, False)


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    with pytest.raises(UserError, match=r"--port '70000' .* \(from MESOS_PORT in the environment\)$"):
        as_agent(environment={"MESOS_PORT": "70000", "MESOS_ATTRIBUTES": "a:b"})
    with pytest.raises(UserError, match=r"^--host is empty .* \(from MESOS_IP in the environment\)$"):
        as_agent(environment={"MESOS_IP": ""})
    with pytest.raises(UserError, match=r"^--port '70000' is not understood; give a port from 0 to 65535$"):
        as_agent("--port=70000", environment={"MESOS_PORT": "1"})


def test_what_agents_tell_tasks_is_no_flag() -> None:
    told = dict.fromkeys(common.OF_TASKS, "nonsense")
    assert as_agent(environment={**told, "MESOS_NO_SUCH_FLAG": "1"}) == as_agent()
    for module in (launcher, executors):
        source = inspect.getsource(module)
        set_here = {word.strip('"') for word in source.replace(":", " ").split() if word.startswith('"MESOS_')}
        assert set_here <= common.OF_TASKS


@pytest.mark.parametrize("flag", ["zk", "acls", "authenticate_agents", "no-switch_user", "systemd-enable-support"])
@pytest.mark.parametrize("parse", [as_agent, as_master])
def test_flags_of_mesos_that_mean_nothing_here(parse: Callable[..., object], flag: str) -> None:
    with pytest.raises(UserError, match=f"^--{flag} is a flag of Mesos that is not supported: .*leave it out"):
        parse(f"--{flag}=1")


def test_the_same_in_the_environment() -> None:
    with pytest.raises(UserError, match="^MESOS_QUORUM is a flag of Mesos that is not supported"):
        master.parse([], {"MESOS_QUORUM": "1"})


def test_no_flag_is_both_known_and_refused_everywhere() -> None:
    known: Sequence[set[str]] = [
        {flag.removeprefix("--").replace("-", "_") for action in parser._actions for flag in action.option_strings}
        for parser in (master.parser(), agent.parser())
    ]
    # --cgroups_* are the agent's, with a few that exist
    assert {name for name in known[0] | known[1] if advice(name)} <= {
        *(name for name in known[1] if name.startswith("cgroups_")),
        "advertise_ip",
    }
    assert advice("agent_ping") is None


@pytest.mark.parametrize("parser", [master.parser(), agent.parser(), marathon.parser()])
def test_help_tells_defaults(parser: Any) -> None:
    text = " ".join(parser.format_help().split())
    port = "8080" if "marathon" in parser.prog else "505"
    assert f"(default {port}" in text
    assert "(default )" not in text
    assert "%%" not in text


def test_help_names_the_isolators() -> None:
    text = "".join(agent.parser().format_help().split())
    assert all(name in text for name in (*choice._KNOWN, *choice._SHORT, choice.AUTO, choice.ALL_CGROUPS))


def test_a_role_has_one_weight() -> None:
    with pytest.raises(UserError, match="--weights 'a=1,a=2' is not understood; give each role once; 'a' has two"):
        as_master("--weights=a=1,a=2")


@pytest.mark.parametrize("flag", ["--log-level", "--logging_level"])
@pytest.mark.parametrize("parse", [as_agent, as_master])
def test_the_level_of_the_log(parse: Callable[..., Any], flag: str) -> None:
    assert (parse().log_level, parse(flag, "debug").log_level) == ("INFO", "DEBUG")
    with pytest.raises(UserError, match="invalid choice"):
        parse(flag, "loud")
