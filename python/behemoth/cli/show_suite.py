"""Output of `behemoth evaluate --suite` and of `behemoth inspect` for a suite: its measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .console import console

if TYPE_CHECKING:
    from behemoth.evaluate import SuiteResult

__all__ = ["show_measures"]


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
    for name in ("measure", "value", *beside, "95%", "n", "over"):
        numbers = ("value", "before", "twin", "n")
        table.add_column(name, justify="right" if name in numbers else "left")
    # Cut short, several names would be the same; rather other cells take two lines.
    table.columns[0].min_width = max(map(len, labelled), default=0)
    for label, taken in labelled.items():
        own = taken.found
        assert own is not None
        between = "" if own.low is None else f"{own.low:.3g} to {own.high:.3g}"
        others = (getattr(taken, name) for name in beside)
        cells = ("" if other is None else f"{other:.3g}" for other in others)
        table.add_row(label, f"{own.value:.3g}", *cells, between, f"{own.count:,}", own.over)
    screen.print(table)
    missing = [taken for taken in found.measures if taken.missing]
    if missing:
        screen.print("\nNot taken:")
        for reason in dict.fromkeys(taken.missing for taken in missing):
            names = ", ".join(taken.name for taken in missing if taken.missing == reason)
            screen.print(f"  {names}: needs {reason}")
