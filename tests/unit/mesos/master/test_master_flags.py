"""The master's flags."""

from __future__ import annotations

import pytest

from headrace.kernel.daemon import UserError
from headrace.mesos.master.flags import duration, parse, weights


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
