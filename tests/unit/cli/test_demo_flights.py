"""The demo's input and the check of its result."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.cli.api import CommandError
from headrace.cli.demo import flights
from headrace.cli.demo.flights import Figures, Input, ResultRow, count, differences, read_results

LINES = [
    "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z",
    "2013,1,1,600,530,16,830,819,11,UA,1546,N14229,EWR,IAH,227,1400,5,30,2013-01-01T10:00:00Z",
    "2013,1,1,NA,600,NA,NA,700,NA,AA,1,NA,JFK,MIA,NA,1089,6,0,2013-01-01T11:00:00Z",
    "2013,12,31,544,545,-1,1004,1022,-18,B6,725,N804JB,JFK,BQN,183,1576,5,45,2013-12-31T10:00:00Z",
]


def row(day: str, carrier: str, flights: int, departed: int, minutes_late: int, late: int) -> ResultRow:
    return ResultRow(flights, departed, minutes_late, late, day, carrier, carrier)


def test_cancelled_flights_are_counted_but_not_late() -> None:
    assert count(LINES) == {
        "2013-01-01": {"UA": Figures(2, 2, 18, 1), "AA": Figures(1, 0, 0, 0)},
        "2013-12-31": {"B6": Figures(1, 1, -1, 0)},
    }


def test_the_last_day_is_open() -> None:
    assert list(Input(Path(), Path(), count(LINES), 4).complete_days) == ["2013-01-01"]


def test_an_exact_result_has_no_differences() -> None:
    expected = {"2013-01-01": count(LINES)["2013-01-01"]}
    right = [row("2013-01-01", "UA", 2, 2, 18, 1), row("2013-01-01", "AA", 1, 0, 0, 0)]
    assert differences(expected, right) == []


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([row("2013-01-01", "UA", 2, 2, 19, 1)], "UA: Figures"),
        ([], "AA: missing"),
        ([row("2013-01-01", "UA", 2, 2, 18, 1)] * 2, "UA: written twice"),
        ([row("2013-01-02", "UA", 2, 2, 18, 1)], "2013-01-02 UA: unexpected"),
    ],
)
def test_differences_are_told(rows: list[ResultRow], wrong: str) -> None:
    expected = {"2013-01-01": count(LINES)["2013-01-01"]}
    assert any(wrong in text for text in differences(expected, rows))


def test_only_finished_files_count(tmp_path: Path) -> None:
    line = (
        '{"flight_day":"2013-01-01","carrier":"UA","airline":"UA","flights":1,"departed":1,"minutes_late":2,"late":0}\n'
    )
    (tmp_path / "part-0-0").write_text(line)
    (tmp_path / ".part-0-1.inprogress").write_text('{"flight_')
    assert list(read_results(tmp_path)) == [row("2013-01-01", "UA", 1, 1, 2, 0)]
    assert list(read_results(tmp_path / "none")) == []


def test_missing_data_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "package_dir", lambda name: None)
    with pytest.raises(CommandError, match="not installed"):
        flights.prepare(tmp_path)
