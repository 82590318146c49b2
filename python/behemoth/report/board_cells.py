"""The cells of a board's table: places, means with intervals, what they cost, trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from behemoth.support.text import interval_text

from .style import NOTHING, number
from .tables import above_bound

__all__ = [
    "clusters_text", "cost_cell", "fewer_text", "mean_cell", "measure_cell",
    "place_cell", "trials_cell", "trials_text",
]  # fmt: skip

_ROUNDING = 1e-9  # less is written as such


def trials_cell(row: Mapping[str, Any]) -> str:
    """Return the number of trials, and below it those of clusters and of failed trials."""
    failed = f", {row['failed']:,} failed" if row["failed"] else ""
    return f"{row['trials']:,}\n{clusters_text(row)}{failed}"


def clusters_text(row: Mapping[str, Any]) -> str:
    """Return the number of clusters with its noun."""
    return "1 cluster" if row["clusters"] == 1 else f"{row['clusters']} clusters"


def cost_cell(row: Mapping[str, Any]) -> str:
    """Return the seconds of a plan's edits, and below them the memory, if it was counted."""
    seconds = number(row["seconds"], 2)
    return seconds if row["memory"] is None else f"{seconds}\n{number(row['memory'] / 1e6, 2)} MB"


def place_cell(row: Mapping[str, Any]) -> str:
    """Return the range of ranks, ``oracle``, or a dash without either."""
    if row["family"] == "oracle":
        return "oracle"
    if row["first"] is None:
        return NOTHING
    first, last = row["first"], row["last"]
    return str(first) if first == last else f"{first}\u2013{last}"


def measure_cell(row: Mapping[str, Any], name: str, of: Mapping[str, int], known: int) -> str:
    """Return a measure of a method, with its interval, marks, and the trials that it is from.

    Parameters
    ----------
    row : mapping
        Row of the board.
    name : str
        The measure.
    of : mapping of str to int
        Number of trials that have each measure.
    known : int
        Number of trials whose model knew a bystander.
    """
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    mark = above_bound(value) if name == "damage" else ""
    fewer = fewer_text(name, of.get(name, 0), known, row["trials"])
    return mean_cell(value, low, high) + mark + fewer


def fewer_text(name: str, count: int, known: int, trials: int) -> str:
    """Return the number of trials behind a measure, if it is not all; empty for none.

    For the score with locality, it is the number of those that have locality, if not all do.
    """
    if name == "score_locality" and count > 0 and known < trials:
        return f"\nlocality in {known:,} of {trials:,} trials"
    return trials_text(count, trials)


def trials_text(count: int, trials: int) -> str:
    """Return how many of some trials a number is from, on a line; empty if all, or none."""
    return f"\n{count:,} of {trials:,} trials" if 0 < count < trials else ""


def mean_cell(value: float | None, low: float | None, high: float | None) -> str:
    """Return a mean with its interval on a second line, if it has one; a dash without a mean."""
    if value is None:
        return NOTHING
    if 0 < value < _ROUNDING and (high or 0.0) < _ROUNDING:  # such as the KL of a model to itself
        return "< 10\u207b\u2079"
    if low is None or high is None or low != low or high != high:
        return _short(value)
    return f"{_short(value)}\n{interval_text(low, high, number, 2)}"


def _short(value: float) -> str:
    """Return a number with three digits, or two below a tenth: a share has three decimals."""
    return number(value, 3 if abs(value) >= 0.1 else 2)
