"""`behemoth compare`: the measures of several suites, side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from behemoth.support.extras import needed

from . import parse
from .console import console, write_json
from .options import Option, command

if TYPE_CHECKING:
    import polars as pl

OPTIONS = (
    Option("measures", "NAME,...", "Only these measures, in this order [all].",
           parse.names("measures", "efficacy,kl")),
)  # fmt: skip


@command(*OPTIONS)
def compare(
    suites: Annotated[
        list[str],
        typer.Argument(metavar="SUITE", help="Directories that `evaluate --suite` has written."),
    ],
    given: dict[str, Any],
    json: bool,
) -> None:
    """Show the measures of several suites side by side.

    Such as of edits of one run by several methods. The intervals are those of each suite alone,
    over subjects, documents or edits of one model.
    """
    with needed():
        from behemoth.evaluate import compare as compared

        found = compared(suites, **given)
    if json:
        write_json({"suites": suites, "measures": found.to_dicts()})
    else:
        _show(found)


def _show(found: pl.DataFrame) -> None:
    """Print a row for each measure, with a column for each suite and those of what is beside."""
    from rich.table import Table

    names = found["name"].unique(maintain_order=True).to_list()
    every = found["measure"].unique(maintain_order=True).to_list()
    rows = {(row["measure"], row["name"]): row for row in found.iter_rows(named=True)}
    measures = [m for m in every if any(rows[m, name]["value"] is not None for name in names)]
    screen = console()
    columns = _columns(rows, measures, names, _value)
    wide = sum(2 + max(map(len, (head, *cells))) for head, cells in columns.items()) - 2
    if not screen.is_terminal:
        screen.width = max(screen.width, wide)
    if wide > screen.width:  # an interval on a second line is hard to read
        columns = _columns(rows, measures, names, lambda row: _text(row["value"]))
    table = Table(box=None, pad_edge=False, show_edge=False)
    for head in columns:
        table.add_column(head, overflow="fold")
    table.columns[0].min_width = max(map(len, measures), default=0)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    screen.print(table)
    if wide > screen.width:
        screen.print(f"\nwith intervals in a terminal of {wide} columns, or by --json")
    if len(measures) < len(every):
        screen.print(f"\nTaken by none: {', '.join(m for m in every if m not in measures)}")


def _columns(
    rows: dict[tuple[str, str], dict[str, Any]],
    measures: list[str],
    names: list[str],
    shown: Callable[[dict[str, Any]], str],
) -> dict[str, list[str]]:
    columns = {"measure": measures}
    for beside in ("before", "twin"):
        texts = {name: [_text(rows[m, name][beside]) for m in measures] for name in names}
        columns |= _beside(beside, texts)
    for name in names:
        columns[name] = [shown(rows[measure, name]) or "-" for measure in measures]
    return columns


def _beside(head: str, texts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the columns of the unedited model or the twin: one if all suites say the same."""
    told = {name: cells for name, cells in texts.items() if any(cells)}
    each = [{cell for cell in cells if cell} for cells in zip(*told.values(), strict=True)]
    if all(len(cells) <= 1 for cells in each):
        return {head: ["".join(cells) for cells in each]} if told else {}
    return {f"{head} {name}": cells for name, cells in told.items()}


def _value(row: dict[str, Any]) -> str:
    between = "" if row["low"] is None else f" ({_text(row['low'])} to {_text(row['high'])})"
    return _text(row["value"]) + between


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
