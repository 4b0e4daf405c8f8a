"""``/metrics/snapshot``: numbers under Mesos's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from headrace.mesos.master.api import calls
from headrace.mesos.master.core.books import Books
from headrace.mesos.master.core.model import Framework
from headrace.mesos.master.core.tasks import COUNTED
from headrace.mesos.resources import MILLI, Resources

_LIVE = ("staging", "starting", "running", "killing")
_KINDS = ("cpus", "mem", "disk", "gpus")
_AGENT_COUNTERS = (
    *("slave_registrations", "slave_reregistrations", "slave_removals", "recovery_slave_removals"),
    *("slave_unreachable_scheduled", "slave_unreachable_canceled", "slave_unreachable_completed"),
)
_EVENTS = (
    *("SUBSCRIBED", "OFFERS", "RESCIND", "UPDATE", "MESSAGE", "FAILURE", "ERROR", "HEARTBEAT"),
    *("INVERSE_OFFERS", "RESCIND_INVERSE_OFFER", "UPDATE_OPERATION_STATUS"),
)
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
        "master/operator_event_stream_subscribers": float(books.watchers.count),
        **_agents(books),
        **_frameworks(books),
        **_tasks(books),
        **_resources(books),
        **_allocator(books),
    }
    for framework in books.frameworks.values():
        before = f"master/frameworks/{framework.info.name}/{framework.id}/"
        out.update((before + name, float(value)) for name, value in _framework(framework))
    return out


def _framework(framework: Framework) -> Iterator[tuple[str, float]]:
    """Of one framework, below its own name."""
    yield "subscribed", framework.connected
    yield "calls", framework.calls.total()
    yield "events", framework.events.total()
    for call in calls.KINDS:
        yield f"calls/{call.lower()}", framework.calls[call]
    for event in _EVENTS:
        yield f"events/{event.lower()}", framework.events[event]
    for kind in ("sent", "accepted", "declined", "rescinded"):
        yield f"offers/{kind}", framework.offer_counts[kind]
    for role in framework.roles:
        yield f"roles/{role}/suppressed", role in framework.suppressed
    states = Counter(task.state for task in framework.tasks.values())
    for state in _LIVE:
        yield f"tasks/active/task_{state}", states[f"TASK_{state.upper()}"]
    yield "tasks/active/task_unreachable", len(framework.unreachable)


def _agents(books: Books) -> dict[str, float]:
    connected = sum(agent.connected for agent in books.agents.values())
    active = sum(agent.active for agent in books.agents.values())
    return {
        "master/slaves_active": float(active),
        "master/slaves_connected": float(connected),
        "master/slaves_disconnected": float(len(books.agents) - connected),
        "master/slaves_inactive": float(len(books.agents) - active),
        "master/slaves_unreachable": float(len(books.absent) - len(books.awaited)),
        **{f"master/{name}": float(books.counters[name]) for name in _AGENT_COUNTERS},
    }


def _frameworks(books: Books) -> dict[str, float]:
    connected = sum(framework.connected for framework in books.frameworks.values())
    called: Counter[str] = Counter()
    for framework in (*books.frameworks.values(), *books.completed):
        called.update(framework.calls)
    return {
        "master/frameworks_active": float(connected),
        "master/frameworks_connected": float(connected),
        "master/frameworks_disconnected": float(len(books.frameworks) - connected),
        "master/frameworks_inactive": float(len(books.frameworks) - connected),
        **{f"master/{name}": float(called[call]) for call, name in _CALLS.items()},
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
    total, used = _total(books), _used(books)
    out: dict[str, float] = {}
    for kind in (*_KINDS, *(f"{kind}_revocable" for kind in _KINDS)):
        out[f"master/{kind}_total"] = total[kind] / MILLI
        out[f"master/{kind}_used"] = used[kind] / MILLI
        out[f"master/{kind}_percent"] = used[kind] / total[kind] if total[kind] else 0.0
    return out


def _total(books: Books) -> Counter[str]:
    """Agents of one size share what they have, so it is counted once for all of them."""
    total: Counter[str] = Counter()
    many = Counter(id(agent.total) for agent in books.agents.values())
    sizes = {id(agent.total): agent.total for agent in books.agents.values()}
    for key, size in sizes.items():
        of_one: Counter[str] = Counter()
        _count(of_one, size)
        for kind, amount in of_one.items():
            total[kind] += amount * many[key]
    return total


def _used(books: Books) -> Counter[str]:
    used: Counter[str] = Counter()
    for agent in books.agents.values():
        holders = [task.resources for task in agent.tasks.values() if task.holds] if agent.tasks else []
        if agent.executors:
            holders += [executor.resources for executor in agent.executors.values()]
        if any(held.parts for held in holders):
            holders = list(agent.used().values())  # where what is shared counts once
        for held in holders:
            if held.parts:
                _count(used, held)
            else:
                for kind, amount in held.scalars.items():
                    used[kind] += amount
    return used


def _count(counter: Counter[str], resources: Resources) -> None:
    counter.update(resources.scalars)
    for tag, part in resources.parts.items():
        if tag.revocable:
            counter.update({f"{name}_revocable": amount for name, amount in part.scalars.items()})
        else:
            counter.update({"disk": tag.shared_size} if tag.shared else part.scalars)


def _allocator(books: Books) -> dict[str, float]:
    allocator = books.allocator
    total = allocator.total
    out = {f"allocator/mesos/resources/{kind}/total": total.scalar(kind) for kind in _KINDS if total.scalar(kind)}
    for role in allocator.roles():
        out[f"allocator/mesos/roles/{role}/shares/dominant"] = allocator.share(role)
    for role, quota in books.quotas.items():
        for name, amounts in (("guarantee", quota.guarantees), ("limit", quota.limits)):
            for kind, amount in amounts.items():
                out[f"allocator/mesos/quota/roles/{role}/resources/{kind}/{name}"] = amount / MILLI
    return out
