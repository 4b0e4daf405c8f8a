"""The master's flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.flags import domain
from headrace.mesos.master.flags import duration, min_allocatable, parse, percentage, spacing, weights
from headrace.mesos.resources import Resources


@pytest.mark.parametrize(
    ("text", "seconds"), [("15secs", 15), ("1mins", 60), ("500ms", 0.5), ("2", 2), ("1.5hrs", 5400), ("1weeks", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1secs", "5 parsecs"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="a time such as"):
        duration(text)


def test_both_spellings_are_understood() -> None:
    one = parse(["--ip", "127.0.0.2", "--work_dir", "/var/x", "--agent_ping_timeout", "3secs", "--weights", "a=2,b=.5"])
    other = parse(["--host=127.0.0.2", "--data=/var/x", "--agent-ping-timeout=3", "--weights=a=2,b=0.5"])
    assert one.settings == other.settings
    assert (one.host, one.data, one.settings.weights) == ("127.0.0.2", "/var/x", {"a": 2.0, "b": 0.5})


def test_defaults() -> None:
    flags = parse([])
    assert (flags.host, flags.port) == ("127.0.0.1", 5050)
    assert flags.settings.agent_reregister_timeout == 75
    assert flags.settings.offer_timeout is None


@pytest.mark.parametrize("text", ["a", "a=", "a=-1", "=1", "a=inf", "a=nan"])
def test_weights_that_make_no_sense(text: str) -> None:
    with pytest.raises(UserError, match="--weights"):
        parse(["--weights", text])


def test_no_weights() -> None:
    assert weights("") == {}


@pytest.mark.parametrize(("text", "seconds"), [("1/10mins", 600.0), ("2/3hrs", 5400.0), ("4/1secs", 0.25)])
def test_rates(text: str, seconds: float) -> None:
    assert spacing(text) == seconds


@pytest.mark.parametrize("text", ["1", "0/1mins", "1/0secs", "x/1mins", "1/soon", "/1mins"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="such as 1/10mins"):
        spacing(text)


@pytest.mark.parametrize(("text", "share"), [("100%", 1.0), ("0%", 0.0), ("12.5%", 0.125)])
def test_percentages(text: str, share: float) -> None:
    assert percentage(text) == share


@pytest.mark.parametrize("text", ["50", "101%", "-1%", "%", "half"])
def test_what_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match="from 0% to 100%"):
        percentage(text)


def test_what_is_worth_an_offer() -> None:
    assert min_allocatable("cpus:0.01|mem:32;disk:1") == (Resources.of(cpus=0.01), Resources.of(mem=32, disk=1))
    assert min_allocatable("") == ()
    assert parse([]).settings.min_allocatable == (Resources.of(cpus=0.01), Resources.of(mem=32))


@pytest.mark.parametrize("text", ["cpus", "cpus:", "cpus:-1", "cpus:0", ":1", "cpus:inf", "cpus:[1-2]"])
def test_amounts_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match="amounts such as"):
        min_allocatable(text)


DOMAIN = '{"fault_domain": {"region": {"name": "eu"}, "zone": {"name": "eu-1"}}}'


def test_the_domain_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "domain"
    file.write_text(DOMAIN)
    found = parse(["--domain", DOMAIN]).domain
    assert found is not None
    assert found.fault_domain is not None
    assert found.fault_domain.zone.name == "eu-1"
    assert domain(f"file://{file}") == domain(str(file)) == found


@pytest.mark.parametrize(
    "text",
    ["/nowhere/domain", "{}", '{"fault_domain": {"region": {"name": "eu"}}}', DOMAIN.replace("eu-1", ""), "{"],
)
def test_domains_that_make_no_sense(text: str) -> None:
    with pytest.raises(UserError, match="--domain .*is not understood; give"):
        parse(["--domain", text])


def test_the_names_of_old_are_understood() -> None:
    old = ["--slave_ping_timeout=3secs", "--max_slave_ping_timeouts=2", "--slave_reregister_timeout=1mins"]
    old += ["--slave_removal_rate_limit=1/1mins", "--recovery_slave_removal_limit=20%"]
    settings = parse(old).settings
    assert (settings.agent_ping_timeout, settings.max_agent_ping_timeouts) == (3, 2)
    assert (settings.agent_reregister_timeout, settings.removal_spacing) == (60, 60)
    assert settings.recovery_removal_limit == 0.2


@pytest.mark.parametrize(
    ("given", "required"),
    [
        ([], False),
        (["--require_agent_domain"], True),
        (["--require-agent-domain=true"], True),
        (["--require_agent_domain", "--no-require_agent_domain"], False),
    ],
)
def test_switches(given: list[str], required: bool) -> None:
    assert parse(given).settings.require_agent_domain is required


def test_flags_are_shown_under_mesos_names() -> None:
    given = parse(["--work_dir=/var/x", "--agent_ping_timeout=3secs"]).given
    assert given["agent_ping_timeout"] == "3secs"
    assert given["work_dir"] == given["data"] == "/var/x"
    assert given["min_allocatable_resources"] == "cpus:0.01|mem:32"
    assert given["max_unreachable_tasks_per_framework"] == "1000"


@pytest.mark.parametrize("flag", ["--quorum=1", "--zk=zk://x/mesos", "--log_dir=/tmp", "--agent_ping=3"])
def test_what_means_nothing_here_is_an_error(flag: str) -> None:
    with pytest.raises(UserError, match=f"{flag.partition('=')[0]}( is a flag of Mesos that is not supported: |=3)"):
        parse([flag])
