"""SIGKILL of Marathon at random moments of rolling upgrades: capacity is kept, and each ends as if undisturbed.

Capacity is seen by the tasks' own word, never by Marathon's: each writes a file when it is ready and removes it when
it is told to end, so the files are the instances that serve. Some apps are upgraded side by side, each in its own way;
the first one's new tasks are held until the kills are over, so that none of these comes too late.
``HEADRACE_UPGRADES`` says how many upgrades there are in all (10), ``HEADRACE_UPGRADES_SEED`` which ones.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from headrace.marathon.core.upgrade import limits
from tests.cluster.harness import cluster, wait_for
from tests.cluster.test_marathon_apps import Marathon

UPGRADES = int(os.environ.get("HEADRACE_UPGRADES", "10"))
SEED = int(os.environ.get("HEADRACE_UPGRADES_SEED", "0"))
SIZES = (2, 3, 4, 3, 2)
"""Instances of the apps."""
TASK = (
    'me="$READY/$VERSION.$MESOS_TASK_ID"; trap \'rm -f "$me"; kill $!; exit 0\' TERM;'
    ' sleep "$START"; while test -e "$HOLD"; do sleep 0.05; done; : > "$me"; sleep 1000 & wait'
)
LATEST = 2.0
"""Seconds from the request, or from Marathon's start, to a SIGKILL at the latest."""


class Upgrade(msgspec.Struct, frozen=True):
    """Of one app; ``start``: seconds that its tasks take to be ready."""

    app: int
    minimum: float
    over: float
    start: float


class Round(msgspec.Struct, frozen=True):
    """Upgrades that begin together; ``kills``: seconds from the requests, or from Marathon's start, to each SIGKILL."""

    number: int
    upgrades: list[Upgrade]
    kills: list[float]


def schedule(seed: int, upgrades: int) -> list[Round]:
    """The same for the same seed."""
    chance = random.Random(seed)

    def upgrade(app: int) -> Upgrade:
        over = chance.choice((0.0, 0.25, 0.5, 1.0))
        return Upgrade(app, chance.choice((0.5, 0.75, 1.0)), over, chance.choice((0.0, 0.1, 0.3)))

    return [
        Round(
            first // len(SIZES),
            [upgrade(app) for app in range(min(len(SIZES), upgrades - first))],
            [chance.uniform(0, LATEST) for _ in range(chance.choice((1, 1, 2, 3)))],
        )
        for first in range(0, upgrades, len(SIZES))
    ]


class Watch:
    """Looks at the files of all apps all the time: the fewest and the most that there were at once."""

    def __init__(self, directories: list[Path]) -> None:
        self._directories = directories
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.counts = [{len(os.listdir(one))} for one in directories]
        self.looks = 0

    def _watch(self) -> None:
        while not self._stop.is_set():
            for counts, directory in zip(self.counts, self._directories, strict=True):
                counts.add(len(os.listdir(directory)))
            self.looks += 1
            time.sleep(0.005)

    @contextmanager
    def watching(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()


def test_capacity_is_kept_and_every_upgrade_ends(tmp_path: Path) -> None:
    """Each upgrade is of what the one before has left."""
    ready = [tmp_path / f"ready-{app}" for app in range(len(SIZES))]
    for directory in ready:
        directory.mkdir()
    rounds = schedule(SEED, UPGRADES)
    with cluster(tmp_path / "cluster") as it:
        marathon = Marathon(it)
        for upgrade in rounds[0].upgrades:
            marathon.deploy("PUT", f"/v2/apps/app-{upgrade.app}", _app(ready, "first", upgrade))
        for upgrade in rounds[0].upgrades:
            _wait_until_served(marathon, ready, "first", upgrade.app)
        for one in rounds:
            _kill_amid(marathon, ready, one)


def _hold(ready: list[Path], app: int) -> Path:
    """While it is there, new tasks of the app are not ready."""
    return ready[app].with_name(f"hold-{app}")


def _app(ready: list[Path], version: str, upgrade: Upgrade) -> dict[str, Any]:
    check = {
        "protocol": "COMMAND",
        "command": {"value": 'test -e "$READY/$VERSION.$MESOS_TASK_ID"'},
        "intervalSeconds": 1,
        "delaySeconds": 0,
        "gracePeriodSeconds": 600,
    }
    return {
        "cmd": TASK,
        "cpus": 0.1,
        "mem": 16,
        "env": {
            "READY": str(ready[upgrade.app]),
            "VERSION": version,
            "START": str(upgrade.start),
            "HOLD": str(_hold(ready, upgrade.app)),
        },
        "instances": SIZES[upgrade.app],
        "taskKillGracePeriodSeconds": 120,
        "healthChecks": [check],
        "upgradeStrategy": {"minimumHealthCapacity": upgrade.minimum, "maximumOverCapacity": upgrade.over},
    }


def _wait_until_served(marathon: Marathon, ready: list[Path], version: str, app: int) -> set[str]:
    """Wait until the app's deployments are over; what serves is of this version, and what is known. The tasks."""
    tasks = marathon.settled(f"/app-{app}", SIZES[app], 120)
    expected = {f"{version}.{task}" for task in tasks}
    wait_for(lambda: set(os.listdir(ready[app])) == expected, f"the files of app-{app} are {expected}")
    return tasks


def _kill_amid(marathon: Marathon, ready: list[Path], one: Round) -> None:
    """Carry out a round."""
    apps = [upgrade.app for upgrade in one.upgrades]
    old = {app: marathon.tasks(f"/app-{app}") for app in apps}
    version, hold = f"round-{one.number}", _hold(ready, apps[0])
    wanted = {upgrade.app: _app(ready, version, upgrade) for upgrade in one.upgrades}
    watch = Watch(ready)
    with watch.watching():
        hold.touch()
        for app, definition in wanted.items():
            marathon.deploy("PUT", f"/v2/apps/app-{app}", definition)
        for pause in one.kills:
            time.sleep(pause)
            marathon.daemon.kill()
            assert any(not file.startswith(version) for app in apps for file in os.listdir(ready[app])), one
            marathon.daemon.start()
        hold.unlink()
        new = {app: _wait_until_served(marathon, ready, version, app) for app in apps}
    assert watch.looks > 20, one
    for upgrade in one.upgrades:
        least, most = limits(SIZES[upgrade.app], upgrade.minimum, upgrade.over)
        counts = watch.counts[upgrade.app]
        assert min(counts) >= least, (f"seed {SEED}: only {min(counts)} of app-{upgrade.app} served", upgrade, one)
        assert max(counts) <= most, (f"seed {SEED}: {max(counts)} of app-{upgrade.app} served", upgrade, one)
        assert not new[upgrade.app] & old[upgrade.app], (upgrade, one)
    _check_rest(marathon, wanted)


def _check_rest(marathon: Marathon, wanted: dict[int, dict[str, Any]]) -> None:
    """As if nobody had disturbed it: nothing deploys, waits or has failed; the definitions are those that were sent."""
    assert marathon.ask("GET", "/v2/deployments") == (200, [])
    assert marathon.ask("GET", "/v2/queue")[1]["queue"] == []
    for app, definition in wanted.items():
        shown = marathon.app(f"/app-{app}")
        assert shown["env"] == definition["env"]
        assert shown["upgradeStrategy"].items() >= definition["upgradeStrategy"].items()
        assert "lastTaskFailure" not in shown, shown["lastTaskFailure"]
