"""``/metrics/snapshot``: numbers under Mesos's names."""

from __future__ import annotations

from collections import Counter

from headrace.mesos.master.books import Books
from headrace.mesos.master.tasks import COUNTED

_LIVE = ("staging", "starting", "running", "killing")
_KINDS = ("cpus", "mem", "disk", "gpus")
_CALLS = {
    "ACCEPT": "messages_launch_tasks",
    "DECLINE": "messages_decline_offers",
    "KILL": "messages_kill_task",
    "ACKNOWLEDGE": "messages_status_update_acknowledgement",
    "RECONCILE": "messages_reconcile_tasks",
    "REVIVE": "messages_revive_offers",
    "SUPPRESS": "messages_suppress_offers",
    "REQUEST": "messages_resource_request",
}


def snapshot(books: Books, now: float) -> dict[str, float]:
    """All metrics of the master; counted when asked, so that they cost nothing otherwise."""
    out: dict[str, float] = {
        "master/elected": 1.0,
        "master/uptime_secs": now - books.started,
        "master/outstanding_offers": float(len(books.offers)),
        **_agents(books),
        **_frameworks(books),
        **_tasks(books),
        **_resources(books),
    }
    for framework in books.frameworks.values():
        out[f"master/frameworks/{framework.info.name}/{framework.id}/subscribed"] = float(framework.connected)
        out[f"master/frameworks/{framework.info.name}/{framework.id}/calls"] = float(framework.calls.total())
        out[f"master/frameworks/{framework.info.name}/{framework.id}/events"] = float(framework.events.total())
        for kind in ("sent", "accepted", "declined", "rescinded"):
            name = f"master/frameworks/{framework.info.name}/{framework.id}/offers/{kind}"
            out[name] = float(framework.offer_counts[kind])
    return out


def _agents(books: Books) -> dict[str, float]:
    connected = sum(agent.connected for agent in books.agents.values())
    return {
        "master/slaves_active": float(connected),
        "master/slaves_connected": float(connected),
        "master/slaves_disconnected": float(len(books.agents) - connected),
        "master/slaves_inactive": float(len(books.agents) - connected),
        "master/slaves_unreachable": float(len(books.absent) - len(books.awaited)),
        "master/slave_removals": float(books.counters["slave_removals"]),
        "master/slave_unreachable_completed": float(books.counters["slave_unreachable_completed"]),
    }


def _frameworks(books: Books) -> dict[str, float]:
    connected = sum(framework.connected for framework in books.frameworks.values())
    calls: Counter[str] = Counter()
    for framework in (*books.frameworks.values(), *books.completed):
        calls.update(framework.calls)
    return {
        "master/frameworks_active": float(connected),
        "master/frameworks_connected": float(connected),
        "master/frameworks_disconnected": float(len(books.frameworks) - connected),
        "master/frameworks_inactive": float(len(books.frameworks) - connected),
        **{f"master/{name}": float(calls[call]) for call, name in _CALLS.items()},
    }


def _tasks(books: Books) -> dict[str, float]:
    states: Counter[str] = Counter()
    unreachable = 0
    for framework in books.frameworks.values():
        states.update(task.state for task in framework.tasks.values())
        unreachable += len(framework.unreachable)
    return {
        **{f"master/tasks_{state}": float(states[f"TASK_{state.upper()}"]) for state in _LIVE},
        "master/tasks_unreachable": float(unreachable),
        "master/tasks_launched": float(books.counters["tasks_launched"]),
        **{f"master/{name}": float(books.counters[name]) for name in COUNTED.values()},
    }


def _resources(books: Books) -> dict[str, float]:
    total: Counter[str] = Counter()
    used: Counter[str] = Counter()
    for agent in books.agents.values():
        total.update(agent.total.scalars)
        for task in agent.tasks.values():
            if task.holds:
                used.update(task.resources.scalars)
    out: dict[str, float] = {}
    for kind in _KINDS:
        out[f"master/{kind}_total"] = total[kind] / 1000
        out[f"master/{kind}_used"] = used[kind] / 1000
        out[f"master/{kind}_percent"] = used[kind] / total[kind] if total[kind] else 0.0
    return out
