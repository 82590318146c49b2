"""The part of a leaderboard's page about how often the edited facts are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import polars as pl

from behemoth.study.analysis.by_exposures import SHOWN_BY_LEVEL
from behemoth.study.analysis.leaderboard import Board
from behemoth.support.text import plural_text

from .board_cells import mean_cell, trials_text
from .charts.by_exposures import level_name
from .page import Table, figure_part, table_part
from .style import NOTHING, Absent, Figure

__all__ = ["exposure_parts"]

_WHAT = {
    "editing": (
        "The board's measures over the edits of one level of exposures, with a trial's edits of "
        "this level in place of all of its edits. "
    ),
    "unlearning": (
        "The board's measures over the facts of one level of exposures. Utility and privacy, and "
        "so the score, are those of the model as a whole. "
    ),
}
_ROWS = (
    "The last row of a method is the difference of the highest and the lowest level, in trials "
    "with both; as these share their models, its interval may exclude 0 where those of the levels "
    "overlap. Nothing is corrected for the number of methods. Edits are summed over trials."
)
_TWIN = (
    " Forgetting by exposures needs the numbers of the twin, which are those of retrain on the "
    "board: here no such trial has the model and plan of another one."
)


def exposure_parts(
    board: Board,
    figure: Figure | Absent,
    number: int | None,
    field: str,
    heads: Mapping[str, str],
    links: Sequence[str],
) -> Iterator[str]:
    """Yield the figure and the table of a board by exposures, or why there are none.

    Parameters
    ----------
    board : Board
    figure : Figure or Absent
        See `behemoth.report.charts.by_exposures.by_exposures`.
    number : int, optional
        Number of the figure on the page.
    field : str
        Heading of the part.
    heads : mapping of str to str
        Headings of measures, if not their names.
    links : sequence of str
        Link of each row of the board.
    """
    if isinstance(figure, Absent):
        yield figure_part(figure)
        return
    yield f"<h3>{escape(field)}: by exposures of the edited facts</h3>"
    frame = board.exposures.filter(pl.col("batch").is_null())
    shown = [name for name in SHOWN_BY_LEVEL[board.suite] if name in set(frame["measure"])]
    without = _TWIN if "forgetting" not in shown and board.suite == "unlearning" else ""
    yield f"<p>{escape(_WHAT[board.suite] + _ROWS + without)}</p>"
    yield figure_part(figure, number)
    columns = ("method", "exposures", *(f"#{heads.get(name, name)}" for name in shown), "#edits",
               "#trials")  # fmt: skip
    lines, targets = _lines(board, frame, shown, links)
    yield table_part(Table(columns, lines), f"{field}, by exposures", targets)
    batches = board.exposures.drop_nulls("batch")
    for batch in batches["batch"].unique().sort():
        own = batches.filter(batch=batch)
        lines, targets = _lines(board, own, shown, links)
        size = plural_text(batch, "edit")
        yield f'<details class="more"><summary>Plans of {size}</summary>'
        yield table_part(Table(columns, lines), f"{field}, by exposures, {size}", targets)
        yield "</details>"


def _lines(
    board: Board,
    frame: pl.DataFrame,
    shown: Sequence[str],
    links: Sequence[str],
) -> tuple[list[list[str]], list[str]]:
    """Return the rows of a table by exposures, and the link of each."""
    parts = dict(frame.group_by("label", "minus", "least", "most", maintain_order=True))
    lines: list[list[str]] = []
    targets: list[str] = []
    for label, link in zip(board.table["label"], links, strict=True):
        own = sorted((key for key in parts if key[0] == label), key=_order)
        lines += [_line(key, parts[key], shown) for key in own]
        targets += [link] * len(own)
    return lines, targets


def _order(key: tuple[Any, ...]) -> tuple[bool, int]:
    """Place levels in their order, and the difference last."""
    return key[1] is not None, key[2]


def _line(key: tuple[Any, ...], part: pl.DataFrame, shown: Sequence[str]) -> list[str]:
    label, minus, least, most = key
    said = level_name(least, most)
    if minus is not None:
        said = f"{said} \u2212 {minus:,}" if least == most else "last \u2212 first"
    by = {row["measure"]: row for row in part.iter_rows(named=True)}
    most_of = {
        name: max(row[name] for row in by.values()) for name in ("edits", "rows", "clusters")
    }
    cells = [
        mean_cell(by[name]["mean"], by[name]["low"], by[name]["high"])
        + trials_text(by[name]["rows"], most_of["rows"])
        if name in by
        else NOTHING
        for name in shown
    ]
    trials = f"{most_of['rows']:,}\n{plural_text(most_of['clusters'], 'cluster')}"
    return [label, said, *cells, f"{most_of['edits']:,}", trials]
