"""`behemoth compare`: the measures of several suites, side by side."""

from __future__ import annotations

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
    measures = found["measure"].unique(maintain_order=True).to_list()
    rows = {(row["measure"], row["name"]): row for row in found.iter_rows(named=True)}
    columns = {"measure": measures}
    for beside in ("before", "twin"):
        texts = {name: [_text(rows[m, name][beside]) for m in measures] for name in names}
        columns |= _beside(beside, texts)
    for name in names:
        columns[name] = [_value(rows[measure, name]) for measure in measures]
    table = Table(box=None, pad_edge=False, show_edge=False)
    for head in columns:
        table.add_column(head, overflow="fold")
    table.columns[0].min_width = max(map(len, measures))
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    console().print(table)


def _beside(head: str, texts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the columns of the unedited model or the twin: one if all suites say the same."""
    told = {name: cells for name, cells in texts.items() if any(cells)}
    each = [{cell for cell in cells if cell} for cells in zip(*told.values(), strict=True)]
    if all(len(cells) <= 1 for cells in each):
        return {head: ["".join(cells) for cells in each]} if told else {}
    return {f"{head} {name}": cells for name, cells in told.items()}


def _value(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "-"
    between = "" if row["low"] is None else f" ({_text(row['low'])} to {_text(row['high'])})"
    return _text(row["value"]) + between


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
