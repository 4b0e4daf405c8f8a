"""Rates and durations, and their two forms."""

from __future__ import annotations

import pytest

from headrace.kernel.clock import ManualClock
from headrace.marathon.api.counts import Counts, Meter, Timer
from headrace.marathon.api.metrics import prometheus


def test_a_rate_that_is_steady_is_that_rate() -> None:
    meter = Meter(0.0)
    for second in range(600):
        meter.mark(float(second))
        meter.mark(float(second))
    shown = meter.shown(600.0)
    assert shown["count"] == 1200
    for rate in ("mean_rate", "m1_rate", "m5_rate", "m15_rate"):
        assert shown[rate] == pytest.approx(2.0, rel=0.01)


def test_rates_fade_at_their_pace() -> None:
    meter = Meter(0.0)
    for second in range(60):
        meter.mark(float(second))
    shown = meter.shown(60.0 + 120.0)
    assert shown["m1_rate"] == pytest.approx(0.135, rel=0.05)  # e^-2
    assert shown["m1_rate"] < shown["m5_rate"] < shown["m15_rate"] < 1.0
    assert meter.shown(1e6)["m15_rate"] < 1e-9


def test_durations() -> None:
    timer = Timer(0.0)
    assert timer.shown(1.0)["max"] == 0.0
    for milliseconds in range(1, 101):
        timer.took(milliseconds / 1000, 1.0)
    shown = timer.shown(2.0)
    assert (shown["min"], shown["max"], shown["count"]) == (0.001, 0.1, 100)
    assert (shown["p50"], shown["p99"]) == (0.051, 0.1)
    assert shown["mean"] == pytest.approx(0.0505)
    assert (shown["duration_units"], shown["rate_units"]) == ("seconds", "calls/second")


def test_the_text_form() -> None:
    counts = Counts(ManualClock())
    counts.answered("GET", 200, 0.0)
    sections = {
        "gauges": {"m.apps.active.gauge": {"value": 3}},
        "counters": {"m.mesos.offer-operations.launch.counter": {"count": 2}},
        "meters": {f"m.{name}": one for name, one in counts.meters().items()},
        "timers": {f"m.{name}": one for name, one in counts.timers().items()},
    }
    lines = prometheus(sections).splitlines()
    assert lines[:4] == [
        "# TYPE m_apps_active_gauge gauge",
        "m_apps_active_gauge 3",
        "# TYPE m_mesos_offer_operations_launch_counter counter",
        "m_mesos_offer_operations_launch_counter 2",
    ]
    assert "# TYPE m_http_responses_2xx_rate_meter_count gauge" in lines
    assert "m_http_responses_2xx_rate_meter_count 1" in lines
    assert "# TYPE m_http_requests_get_duration_timer_seconds summary" in lines
    assert 'm_http_requests_get_duration_timer_seconds{quantile="0.99"} 0.000000' in lines
    assert "m_http_requests_get_duration_timer_seconds_count 1" in lines
