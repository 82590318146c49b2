"""Output of `behemoth evaluate --suite` and of `behemoth inspect` for a suite: its measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import console

if TYPE_CHECKING:
    from behemoth.evaluate import SuiteResult

__all__ = ["show_measures"]

_GAP = 2  # between columns
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
        between = "" if own.low is None else f"{own.low:.3g} to {own.high:.3g}"
        others = (getattr(taken, name) for name in beside)
        cells = ("" if other is None else f"{other:.3g}" for other in others)
        rows.append((label, f"{own.value:.3g}", *cells, between, f"{own.count:,}", own.over))
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
            names = ", ".join(taken.name for taken in missing if taken.missing == reason)
            screen.print(f"  {names}: needs {reason}")
