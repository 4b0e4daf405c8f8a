"""Arithmetic of ranges of whole numbers, such as ports."""

from __future__ import annotations

from collections.abc import Iterable

Spans = tuple[tuple[int, int], ...]
"""Sorted and disjoint; both ends belong to a range."""


def merge(spans: Iterable[tuple[int, int]]) -> Spans:
    """Sorted, disjoint, adjacent ones joined."""
    out: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if out and begin <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((begin, end))
    return tuple(out)


def without(spans: Spans, taken: Spans) -> Spans:
    """``spans`` less ``taken``; both sorted and disjoint."""
    out: list[tuple[int, int]] = []
    for begin, end in spans:
        at = begin
        for cut_begin, cut_end in taken:
            if cut_end < at or cut_begin > end:
                continue
            if cut_begin > at:
                out.append((at, cut_begin - 1))
            at = cut_end + 1
        if at <= end:
            out.append((at, end))
    return tuple(out)
