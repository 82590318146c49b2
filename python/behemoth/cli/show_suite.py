"""Output of `behemoth evaluate --suite` and of `behemoth inspect` for a suite: its measures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .console import console

if TYPE_CHECKING:
    from behemoth.evaluate import SuiteResult

__all__ = ["show_measures"]

_GAP = 2  # between columns
_NUMBER = re.compile(r"(_after|_exposures)_[0-9]+(_to_[0-9]+)?$")
_FOLDED = {"95%": 8, "over": 8}
"""Columns that may take several lines, and how wide they are at least."""


def show_measures(found: SuiteResult) -> None:
    """Print a table of the measures of a suite, and what the others need that were not taken."""
    from rich.table import Table

    screen = console()
    table = Table(box=None, pad_edge=False, show_edge=False)
    beside = [
        name
        for name, shown in (
            ("before", any(taken.before is not None for taken in found.measures)),
            ("twin", found.twin is not None),
        )
        if shown
    ]
    labelled = {
        taken.name if taken.version == 1 else f"{taken.name} (v{taken.version})": taken
        for taken in found.measures
        if taken.found is not None
    }
    rows: list[tuple[str, ...]] = []
    for label, taken in labelled.items():
        own = taken.found
        assert own is not None
        others = (getattr(taken, name) for name in beside)
        cells = ("" if other is None else f"{other:.3g}" for other in others)
        rows.append((label, f"{own.value:.3g}", *cells, own.interval, f"{own.count:,}", own.over))
    heads = ("measure", "value", *beside, "95%", "n", "over")
    numbers = ("value", "before", "twin", "n")
    least = 0
    for name, *cells in zip(heads, *rows, strict=True):
        # Cut short, several names or numbers would be the same; rather others take two lines.
        whole = name not in _FOLDED
        table.add_column(
            name, justify="right" if name in numbers else "left", no_wrap=whole, overflow="fold"
        )
        least += _GAP + (max(map(len, (name, *cells))) if whole else _FOLDED[name])
    for row in rows:
        table.add_row(*row)
    screen.width = max(screen.width, least)
    screen.print(table)
    missing = [taken for taken in found.measures if taken.missing]
    if missing:
        screen.print("\nNot taken:")
        for reason in dict.fromkeys(taken.missing for taken in missing):
            alike = [taken.name for taken in missing if taken.missing == reason]
            others = [taken.name for taken in found.measures if taken.missing != reason]
            screen.print(f"  {', '.join(_without_numbers(alike, others))}: needs {reason}")


def _without_numbers(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Return names, with one for several that differ only in the number of edits or exposures.

    Numbers stay where one of `others` differs from them in nothing else.
    """
    stems = [_NUMBER.sub(r"\1_N", name) for name in names]
    counts = Counter(stems)
    kept = {_NUMBER.sub(r"\1_N", name) for name in others}
    shown = (
        stem if counts[stem] > 1 and stem not in kept else name
        for name, stem in zip(names, stems, strict=True)
    )
    return list(dict.fromkeys(shown))
