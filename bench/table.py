"""What every bench returns and how it is printed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure: ours, the bar it must reach, the original's, and what better means."""

    name: str
    ours: float
    unit: str
    bar: float | None = None
    original: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How many times better than the original."""
        if self.original is None or not self.ours:
            return None
        return self.ours / self.original if self.more_is_better else self.original / self.ours

    @property
    def reached(self) -> bool | None:
        """Whether the bar is reached; None if there is none."""
        if self.bar is None:
            return None
        return self.ours >= self.bar if self.more_is_better else self.ours <= self.bar


def render(title: str, rows: list[Row]) -> str:
    """A Markdown table."""
    lines = [f"## {title}", "", "| | Headrace | bar | original | times better |", "|---|---:|---:|---:|---:|"]
    for row in rows:
        sign = "≥" if row.more_is_better else "≤"
        bar = "" if row.bar is None else f"{sign} {row.bar:g}{'' if row.reached else ' **missed**'}"
        original = "" if row.original is None else f"{row.original:g}"
        ratio = "" if row.ratio is None else f"{row.ratio:.1f}"
        lines.append(f"| {row.name} | {row.ours:.3g} {row.unit} | {bar} | {original} | {ratio} |")
    return "\n".join(lines) + "\n"
