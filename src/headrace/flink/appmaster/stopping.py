"""What becomes of a cluster whose application master is asked to stop. Pure.

SIGTERM does not say why it comes. So who supervises us is asked what it wants of the app:

    being destroyed              destroy
    unknown to Marathon          suspend: it may have lost its store
    scaled to 0                  suspend
    scaled down, and the others  destroy: this cluster is the one too many
    are as many as it shall have
    anything else                restart: a task of the app follows, or is there already
    no answer, or nobody's       suspend: never lose a job because of an address

Nobody supervises: destroy if all that Flink keeps lies in this directory, suspend if the user has named a place for
it, as Flink itself does. A restart needs a store that the next application master finds; else it is a suspension.

What is read here is Marathon's ``/v2/apps/<id>`` and ``/v2/deployments``. A deployment that destroys an app is listed
for as long as it ends the app's tasks, so only what is listed there is taken for a destruction. The original Marathon
may still show an app as it was while the deployment that stops it has begun: actions count more than the app.
"""

from __future__ import annotations

from typing import Any

import msgspec

from headrace.flink.appmaster.events import Stop
from headrace.flink.cluster import ASK, ON_STOP

STOPS, SCALES = "StopApplication", "ScaleApplication"


class App(msgspec.Struct, frozen=True):
    """Our app as Marathon has it: whether there is one, how many instances it shall have, how many others run.

    ``actions``: what deployments under way do with it.
    """

    exists: bool = True
    instances: int = 1
    others: int = 0
    actions: frozenset[str] = frozenset()


class Decision(msgspec.Struct, frozen=True):
    """What to do, and why, for the log."""

    stop: Stop
    why: str


class Situation(msgspec.Struct, frozen=True):
    """``choice`` is the option.

    ``files_stay``: what Flink keeps of its jobs is found by a later task; ``store_stays``: so is the application
    master's store, and Flink is highly available.
    """

    choice: str
    supervised: bool
    files_stay: bool
    store_stays: bool
    standbys: bool = False
    """The app's other instances stand by for this one's cluster, they have none of their own."""


def decide(situation: Situation, app: App | None) -> Decision:
    """``app`` is None if there is no answer."""
    wanted = _wanted(situation, app)
    if wanted.stop is Stop.RESTART and not situation.store_stays:
        return Decision(Stop.SUSPEND, f"{wanted.why}, but no later task would find its workers")
    return wanted


def _wanted(situation: Situation, app: App | None) -> Decision:
    if situation.choice != ASK:
        return Decision(Stop(situation.choice), f"option {ON_STOP}")
    if situation.supervised:
        return _supervised(app, situation)
    if situation.files_stay:
        return Decision(Stop.SUSPEND, "its jobs lie where the next start finds them")
    return Decision(Stop.DESTROY, "nobody would find its jobs again")


def _supervised(app: App | None, situation: Situation) -> Decision:
    if app is None:
        return Decision(Stop.SUSPEND, "Marathon does not say what it wants")
    if STOPS in app.actions:
        return Decision(Stop.DESTROY, "its app is destroyed")
    if not app.exists:
        return Decision(Stop.SUSPEND, "Marathon does not know its app, nor a deployment that destroys it")
    if app.instances == 0:
        return Decision(Stop.SUSPEND, "its app is scaled to 0")
    if SCALES in app.actions and app.others >= app.instances and not situation.standbys:
        return Decision(Stop.DESTROY, f"its app is scaled down to {app.instances}")
    return Decision(Stop.RESTART, "its app goes on")


def read_app(status: int, body: bytes, app_id: str, own_task: str) -> App | None:
    """The answer to ``/v2/apps/<id>``; None if it is not Marathon's."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if status == 404:
        said = content.get("message") if isinstance(content, dict) else None
        known = isinstance(said, str) and "does not exist" in said and app_id.strip("/") in said
        return App(exists=False) if known else None
    app = content.get("app") if isinstance(content, dict) and status == 200 else None
    if not isinstance(app, dict) or not isinstance(app.get("instances"), int):
        return None
    tasks = app.get("tasks") if isinstance(app.get("tasks"), list) else []
    others = sum(
        isinstance(task, dict) and task.get("id") != own_task and task.get("state") == "TASK_RUNNING"
        for task in tasks or ()
    )
    return App(instances=app["instances"], others=others)


def read_actions(body: bytes, app_id: str) -> frozenset[str]:
    """What the answer to ``/v2/deployments`` does with the app."""
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frozenset()
    return frozenset(_actions(content, app_id))


def _actions(part: Any, app_id: str) -> list[str]:
    """Steps are lists of actions, or objects that have such a list: that depends on Marathon's version."""
    if isinstance(part, list):
        return [action for one in part for action in _actions(one, app_id)]
    if not isinstance(part, dict):
        return []
    if isinstance(part.get("action"), str):
        return [part["action"]] if part.get("app") == app_id else []
    return [action for key in ("steps", "actions", "currentActions") for action in _actions(part.get(key), app_id)]
