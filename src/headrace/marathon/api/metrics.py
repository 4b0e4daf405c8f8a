"""/metrics in JSON, as Dropwizard Metrics 4.0 has it, and /metrics/prometheus."""

from __future__ import annotations

from typing import Any

from headrace.kernel.http import HttpError, Request, Response, Router
from headrace.marathon.api.asking import Asker
from headrace.marathon.api.counts import Counts
from headrace.marathon.api.facts import Facts
from headrace.marathon.api.views.metrics import metrics

_RATES = ("count", "mean_rate", "m1_rate", "m5_rate", "m15_rate")
_QUANTILES = {"p50": "0.5", "p75": "0.75", "p95": "0.95", "p98": "0.98", "p99": "0.99", "p999": "0.999"}


class Metrics:
    """Routes of metrics."""

    def __init__(self, asker: Asker, counts: Counts, facts: Facts) -> None:
        self._asker = asker
        self._counts = counts
        self._facts = facts

    def add_routes(self, router: Router) -> None:
        router.add("GET", "/metrics", self._json)
        router.add("GET", "/metrics/prometheus", self._text)

    async def _json(self, request: Request) -> Response:
        return Response.json({"version": "4.0.0", **await self._sections()})

    async def _text(self, request: Request) -> Response:
        if not self._facts.prometheus:
            raise HttpError(404, "Prometheus reporter is disabled")
        return Response.text(prometheus(await self._sections()))

    async def _sections(self) -> dict[str, dict[str, Any]]:
        counts, prefix = self._counts, self._facts.metrics_prefix
        gauges = {**await self._asker.see(metrics), **counts.gauges()}
        sections: dict[str, dict[str, Any]] = {
            "gauges": {name: {"value": value} for name, value in gauges.items()},
            "counters": {name: {"count": count} for name, count in counts.counters.items()},
            "histograms": {},
            "meters": counts.meters(),
            "timers": counts.timers(),
        }
        return {kind: {f"{prefix}.{name}": one for name, one in found.items()} for kind, found in sections.items()}


def prometheus(sections: dict[str, dict[str, Any]]) -> str:
    """The same as text. Dots and dashes of names become underscores."""
    lines: list[str] = []

    def add(kind: str, name: str, value: float) -> None:
        lines.extend((f"# TYPE {name} {kind}", f"{name} {value}"))

    for name, gauge in sections["gauges"].items():
        add("gauge", _plain(name), gauge["value"])
    for name, counter in sections["counters"].items():
        add("counter", _plain(name), counter["count"])
    for name, meter in sections["meters"].items():
        for rate in _RATES:
            add("gauge", f"{_plain(name)}_{rate}", meter[rate])
    for name, timer in sections["timers"].items():
        plain = _plain(name)
        lines.append(f"# TYPE {plain} summary")
        lines += [f'{plain}{{quantile="{share}"}} {timer[key]:f}' for key, share in _QUANTILES.items()]
        lines.append(f"{plain}_count {timer['count']}")
        for more in ("min", "mean", "max", "stddev", *_RATES[1:]):
            add("gauge", f"{plain}_{more}", timer[more])
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    return name.replace(".", "_").replace("-", "_")
