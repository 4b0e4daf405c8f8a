"""Options that Flink 2 would ignore are named at the start."""

from __future__ import annotations

from headrace.flink.removed_options import REMOVED, without_effect


def test_only_flink_2_ignores_them() -> None:
    given = {"cluster.evenly-spread-out-slots": "true", "state.backend": "rocksdb", "security.ssl.enabled": "true"}
    assert without_effect(given, "1.20.5") == []
    first, second = without_effect(given, "2.3.0")
    assert "cluster.evenly-spread-out-slots has no effect with Flink 2.3.0: set taskmanager.load-balance.mode" in first
    assert "security.ssl.enabled has no effect" in second


def test_each_says_what_to_do_instead() -> None:
    assert all(REMOVED.values())
