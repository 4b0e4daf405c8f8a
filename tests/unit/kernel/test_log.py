"""What of the stories of a core is logged."""

from __future__ import annotations

import logging

import pytest

from headrace.kernel.core import Stories
from headrace.kernel.log import LONGEST, StoryLog
from headrace.mesos.agent import told
from headrace.mesos.master import daemon as master

logger = logging.getLogger("headrace.test")


def stories(level: int, caplog: pytest.LogCaptureFixture) -> Stories:
    caplog.set_level(level, "headrace.test")
    it = Stories()
    it.listener = StoryLog(logger, lambda subject, what: subject.startswith("agent/") and what != "pinged")
    return it


def test_what_matters_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    it = stories(logging.INFO, caplog)
    it.tell("agent/1", 0.0, "registered", "from 10.0.0.1")
    it.tell("agent/1", 1.0, "registered", "from 10.0.0.1")
    it.tell("agent/1", 2.0, "pinged")
    it.tell("task/1", 3.0, "launched")
    it.tell("agent/1", 4.0, "unreachable")
    assert caplog.messages == ["agent/1 registered: from 10.0.0.1", "agent/1 unreachable"]


def test_the_rest_with_debug(caplog: pytest.LogCaptureFixture) -> None:
    stories(logging.DEBUG, caplog).tell("task/1", 3.0, "launched")
    assert [(record.levelname, record.message) for record in caplog.records] == [("DEBUG", "task/1 launched")]


def test_names_of_others_stay_in_their_line(caplog: pytest.LogCaptureFixture) -> None:
    it = stories(logging.INFO, caplog)
    it.tell("agent/1", 0.0, "registered", "as x\n2026-01-01 INFO all is well\x1b[2J")
    it.tell("agent/1", 0.0, "removed", "y" * 1000)
    assert caplog.messages[0] == r"agent/1 registered: as x 2026-01-01 INFO all is well\x1b[2J"
    assert len(caplog.messages[1]) == LONGEST + 1


@pytest.mark.parametrize(
    ("subject", "what", "logged"),
    [
        ("agent/S1", "registered", True),
        ("framework/F1", "disconnected", True),
        ("role/a", "quota removed", True),
        ("framework/F1", "offer of agent S1 rescinded", False),
        ("task/F1/t", "TASK_RUNNING", False),
        ("operation/F1/o", "begun", False),
    ],
)
def test_the_masters(subject: str, what: str, logged: bool) -> None:
    assert master._matters(subject, what) is logged


@pytest.mark.parametrize(
    ("subject", "what", "logged"),
    [
        ("F1/t", "accepted", False),
        ("F1/t", "TASK_STARTING", False),
        ("F1/t", "TASK_RUNNING", True),
        ("F1/t", "TASK_FAILED", True),
        ("F1/e", "executor ended", True),
        ("agent", "registered again", False),
        ("agent", "refused by the master", False),
        ("agent", "refused by the master; ends its tasks and comes as a new agent", True),
    ],
)
def test_the_agents(subject: str, what: str, logged: bool) -> None:
    assert told.matters(subject, what) is logged
