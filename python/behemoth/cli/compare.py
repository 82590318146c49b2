"""`behemoth compare`: the measures of several suites, side by side."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from behemoth.support.extras import needed
from behemoth.support.text import interval_text

from . import parse
from .console import console, write_json
from .evaluate import known_measures
from .options import Option, command

if TYPE_CHECKING:
    import polars as pl

_Column: TypeAlias = tuple[str, list[str]]
_GAP = 2  # between columns

OPTIONS = (
    Option("measures", "NAME,...", "Only these measures, in this order [all].",
           parse.names("measures", "efficacy,kl"), offered=known_measures),
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
    names = found["name"].unique(maintain_order=True).to_list()
    every = found["measure"].unique(maintain_order=True).to_list()
    rows = {(row["measure"], row["name"]): row for row in found.iter_rows(named=True)}
    measures = [m for m in every if any(rows[m, name]["value"] is not None for name in names)]
    shared: list[_Column] = [("measure", measures)]
    own: dict[str, list[_Column]] = {name: [] for name in names}
    for key in ("before", "twin"):
        texts = {name: [_text(rows[m, name][key]) for m in measures] for name in names}
        if (column := _of_all(key, texts)) is not None:
            shared += [column] if any(column[1]) else []
        else:
            for name, cells in texts.items():
                own[name].append((f"{key} {name}", cells))
    values = [[*own[name], (name, [_value(rows[m, name]) for m in measures])] for name in names]
    screen = console()
    wide = _width([*shared, *chain(*values)])
    fits = wide <= screen.width or not screen.is_terminal
    if not fits:  # an interval on a second line is hard to read
        values = [
            [*own[name], (name, [_text(rows[m, name]["value"]) or "-" for m in measures])]
            for name in names
        ]
    room = max(screen.width, wide) if fits else screen.width
    for at, block in enumerate(_blocks(shared, values, room)):
        if at:
            screen.print()
        _print(block)
    if not fits:
        screen.print(f"\nwith intervals in a terminal of {wide} columns, or by --json")
    if len(measures) < len(every):
        screen.print(f"\nTaken by none: {', '.join(m for m in every if m not in measures)}")
    plans = found.select("name", "plan_hash").unique(maintain_order=True)
    if plans["plan_hash"].n_unique() > 1:
        each = ", ".join(f"{name} by {(plan or 'none')[:12]}" for name, plan in plans.iter_rows())
        screen.print(f"\nThese are of different plans, and so of different facts: {each}")


def _of_all(head: str, texts: dict[str, list[str]]) -> _Column | None:
    """Return the column of the unedited model or the twin if all suites say the same."""
    each = [{cell for cell in cells if cell} for cells in zip(*texts.values(), strict=True)]
    return (head, ["".join(cells) for cells in each]) if all(len(c) <= 1 for c in each) else None


def _blocks(shared: list[_Column], values: list[list[_Column]], room: int) -> list[list[_Column]]:
    """Return the columns of as many tables as need to be below each other."""
    blocks: list[list[_Column]] = []
    for own in values:
        if blocks and _width([*blocks[-1], *own]) <= room:
            blocks[-1] += own
        else:
            blocks.append([*shared, *own])
    return blocks


def _width(columns: list[_Column]) -> int:
    return sum(_GAP + max(map(len, (head, *cells))) for head, cells in columns) - _GAP


def _print(columns: list[_Column]) -> None:
    from rich.table import Table

    screen = console()
    screen.width = max(screen.width, _width(columns))
    table = Table(box=None, pad_edge=False, show_edge=False, padding=(0, _GAP, 0, 0))
    for head, _ in columns:
        table.add_column(head, no_wrap=True)
    for cells in zip(*(cells for _, cells in columns), strict=True):
        table.add_row(*cells)
    screen.print(table)


def _value(row: dict[str, Any]) -> str:
    between = "" if row["low"] is None else f" ({interval_text(row['low'], row['high'])})"
    return (_text(row["value"]) or "-") + between


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
