"""Recorded and live messages in one form: live ids, and what is the machine's or the moment's made alike."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.conformance.differences import ITEMS_LEFT_OUT
from tests.conformance.replay.names import Names

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TEXTS = (
    (re.compile(r"(?<![\w/])/[^\s'\"]*?(?=/slaves/)"), "<work_dir>"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "<port>"),
    (_UUID, "<id>"),
    (re.compile(r"(?<=-O)\d+$"), "<number>"),
)
_NUMBERS = frozenset(
    (
        *("timestamp", "executor_pid", "ip", "port", "pid", "nanoseconds", "start_time", "elected_time"),
        *("registered_time", "reregistered_time", "unregistered_time", "estimated_drain_start_time_seconds"),
    )
)
"""Fields whose values are the machine's or the moment's."""
_ORDERED = frozenset(("statuses",))


def normal(value: Any, names: Names, left_out: frozenset[str] = frozenset(), key: str = "") -> Any:
    """``value`` in the form in which it is compared; fields of ``left_out`` (``parent.field``) are dropped."""
    if key in _NUMBERS and not isinstance(value, (dict, list, bool)):
        return "<number>"
    if key in ("uuid", "status_update_uuid"):
        return "<uuid>"
    if isinstance(value, dict):
        return {k: normal(v, names, left_out, k) for k, v in value.items() if f"{key}.{k}" not in left_out}
    if isinstance(value, list):
        return [normal(item, names, left_out, key) for item in value if item != {}]
    return normal_text(value, names) if isinstance(value, str) else value


def sorted_form(value: Any, names: Names, left_out: frozenset[str]) -> Any:
    """The same of an answer to operators, with lists in one order and without what ours mean not to have."""
    return _sorted(_without_ranges(normal(value, names, left_out)))


def _without_ranges(value: Any) -> Any:
    """Of what a framework has on all agents: port numbers of several agents can't be added up."""
    if isinstance(value, list):
        return [_without_ranges(one) for one in value]
    if not isinstance(value, dict):
        return value
    value = {name: _without_ranges(one) for name, one in value.items()}
    for name in ("offered_resources", "allocated_resources") if "framework_info" in value else ():
        if name in value:
            value[name] = [one for one in value[name] if "ranges" not in one]
    return value


def _sorted(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _sorted(one, name) for name, one in value.items()}
    if isinstance(value, list):
        found = [_sorted(one) for one in value if one not in ITEMS_LEFT_OUT]
        return found if key in _ORDERED else sorted(found, key=lambda one: json.dumps(one, sort_keys=True))
    return value


def normal_text(text: str, names: Names) -> str:
    text = names.live(text)
    for pattern, form in _TEXTS:
        text = pattern.sub(form, text)
    return text


def form_of_offer(offer: dict[str, Any]) -> dict[str, Any]:
    """An offer without its id, its role and its amounts, which depend on the moment: what is left is the shape."""
    shapes = {
        (tuple(field for field in resource if field not in ("scalar", "ranges")), resource.get("role"))
        for resource in offer["resources"]
        if not resource.get("reservations")
    }
    rest = {k: v for k, v in offer.items() if k not in ("id", "resources", "allocation_info")}
    return {**rest, "shapes": sorted(map(str, shapes)), "fields": sorted(offer)}


def reserved(offers: Iterable[dict[str, Any]]) -> dict[str, float]:
    """How much is reserved or a volume in these offers, by what it is."""
    amounts: Counter[str] = Counter()
    for offer in offers:
        for resource in offer["resources"]:
            if resource.get("reservations") or resource.get("disk"):
                tag = {k: v for k, v in resource.items() if k not in ("scalar", "ranges")}
                amounts[json.dumps(tag, sort_keys=True)] += round(1000 * (resource.get("scalar") or {}).get("value", 0))
    return dict(amounts)


def amounts(offers: Iterable[dict[str, Any]]) -> Counter[str]:
    """How much of each scalar resource these offers have, in thousandths."""
    found: Counter[str] = Counter()
    for offer in offers:
        for resource in offer["resources"]:
            found[resource["name"]] += round(1000 * (resource.get("scalar") or {}).get("value", 0))
    return found


def unlike(ours: Any, recorded: Any, at: str = "") -> list[str]:
    """Where two messages differ, a line for each place."""
    if isinstance(ours, dict) and isinstance(recorded, dict):
        fields = dict.fromkeys((*recorded, *ours))
        return [
            line for f in fields for line in unlike(ours.get(f, "nothing"), recorded.get(f, "nothing"), f"{at}.{f}")
        ]
    if isinstance(ours, list) and isinstance(recorded, list) and len(ours) == len(recorded):
        pairs = enumerate(zip(ours, recorded, strict=True))
        return [line for n, (one, other) in pairs for line in unlike(one, other, f"{at}[{n}]")]
    return [] if ours == recorded else [f"  {at[1:]}: ours {json.dumps(ours)}, recorded {json.dumps(recorded)}"]
