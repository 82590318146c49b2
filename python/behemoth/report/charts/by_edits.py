"""A board's measures by the number of edits of a plan: one row of points per method."""

from __future__ import annotations

import polars as pl

from behemoth.report.learnt import world_name
from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.leaderboard import Board
from behemoth.support.text import plural_text

from .common import BARS, span_text
from .gaps import gaps_text
from .level_rows import Levels, level_panel, on_rows

__all__ = ["by_edits"]

_PANELS = {
    "editing": {
        "score": ("Score", "harmonic mean of its legs"),
        "damage": ("Known bystanders lost", "share, mean over groups"),
        "exact_efficacy": ("New answer generated", "share of edits"),
    },
    "unlearning": {
        "score": ("Score", "harmonic mean of its legs"),
        "forgetting": ("Forgetting", "1 \u2212 distance to the twin"),
        "utility": ("Utility", "share of the twin's"),
    },
}
_TITLES = {
    "editing": "Editing by the number of edits",
    "unlearning": "Unlearning by the number of facts to forget",
}


def by_edits(board: Board) -> Figure | Absent:
    """Draw a board's measures by number of edits and world, methods in the board's order."""
    name, title = f"edits-{board.suite}", _TITLES[board.suite]
    panels = _PANELS[board.suite]
    own = board.cells.filter(pl.col("measure").is_in(list(panels)), pl.col("mean").is_not_null())
    counts = own["edits"].unique().sort().to_list()
    # A number at which no method has a value is missing for all of them.
    planned = board.outcomes["edits"].drop_nulls().unique().to_list()
    gaps = gaps_text(
        board, {measure: said for measure, (said, _) in panels.items()},
        sorted({*counts, *planned}),
    )  # fmt: skip
    if len(counts) < 2:
        if not counts:
            return Absent(name, title, "No trial has a value.")
        more = len(planned) > 1  # than the one number that has values
        which = "with a value " if more else ""
        why = f"All plans {which}have the same number of edits: {counts[0]:,}."
        return Absent(name, title, f"{why}{gaps if more else ''}")
    levels = Levels("batch", [f"{count:,}" for count in counts])
    # Methods without any value have no row, as their names would stand beside nothing.
    valued = set(own["label"])
    labels = [label for label in board.table["label"] if label in valued]
    frame = on_rows(
        own.with_columns(pl.Series("batch", [f"{count:,}" for count in own["edits"]])),
        labels, levels,
    )  # fmt: skip
    worlds = frame["grammar"].unique().sort(nulls_last=False).to_list()
    drawn = [
        level_panel(
            said if len(worlds) == 1 else f"{said}, {world_name(world)}",
            unit, part, labels, levels, {},
        )
        for world in worlds
        for measure, (said, unit) in panels.items()
        if (part := frame.filter(pl.col("grammar").eq_missing(world), measure=measure)).height
    ]  # fmt: skip
    caption = (
        f"Each point is the mean over {span_text(frame['rows'], 'trial')} with plans of this many "
        f"edits, in up to {plural_text(int(frame['clusters'].max() or 0), 'cluster')}; methods are "  # type: ignore[arg-type]
        f"in the order of the board, whose score is over all plans. {BARS}."
        f"{gaps}"
    )
    return Figure(
        name, title, caption, tuple(drawn), frame.drop("row", "batch"),
        tuple(levels.colours.items()), "edits of a plan", shapes=levels.shapes,
    )  # fmt: skip
