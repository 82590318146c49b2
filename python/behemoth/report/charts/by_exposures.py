"""A board's measures by exposures of the edited facts: one row of points per method."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure
from behemoth.study.analysis.leaderboard import Board
from behemoth.support.text import plural_text

from .common import BARS, IN_A_BATCH, span_text
from .level_rows import Levels, level_panel, on_rows

__all__ = ["by_exposures", "level_name"]

_PANELS = {
    "editing": {
        "score": ("Score", "harmonic mean of its legs"),
        "damage": ("Known bystanders lost", "share, mean over groups"),
    },
    "unlearning": {
        "forgetting": ("Forgetting", "1 \u2212 distance to the twin"),
        "forget_recall": ("Old answer generated", "share of facts to forget"),
    },
}
_TITLES = {
    "editing": "Editing by exposures of the edited facts",
    "unlearning": "Forgetting by exposures of the facts",
}


def level_name(least: int, most: int) -> str:
    """Return a level of exposures in words: ``16``, or ``16 to 31``."""
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def by_exposures(board: Board) -> Figure | Absent:
    """Draw a board's measures by exposures of the edited facts, methods in the board's order."""
    name, title = f"exposures-{board.suite}", _TITLES[board.suite]
    own = board.exposures.filter(pl.col("minus").is_null(), pl.col("batch").is_null())
    ends = own.select("least", "most").unique().sort("least").rows()
    if not ends:
        return Absent(name, title, "The study has no probes of single facts.")
    if len(ends) == 1:
        why = f"All edited facts have the same exposures: {level_name(*ends[0])}."
        return Absent(name, title, why)
    # Methods without any value have no row, as their names would stand beside nothing.
    valued = set(own["label"])
    labels = [label for label in board.table["label"] if label in valued]
    levels = Levels("exposures", [level_name(*level) for level in ends])
    names = [level_name(*level) for level in own.select("least", "most").rows()]
    frame = on_rows(own.with_columns(pl.Series("exposures", names)), labels, levels)
    panels = [
        level_panel(said, unit, part, labels, levels, {"edits": "edits"})
        for measure, (said, unit) in _PANELS[board.suite].items()
        if (part := frame.filter(measure=measure)).height
    ]
    trials, clusters = (int(frame[each].max() or 0) for each in ("rows", "clusters"))  # type: ignore[arg-type]
    edits = span_text(frame["edits"])
    batch = f" {IN_A_BATCH}" if board.suite == "editing" else ""
    caption = (
        f"Each point is the mean over up to {plural_text(trials, 'trial')} ({edits} edits, "
        f"{plural_text(clusters, 'cluster')}) of a measure over the edits of facts that are "
        f"written this many times; methods are in the order of the board. {BARS}.{batch}"
    )
    return Figure(
        name, title, caption, tuple(panels), frame.drop("row", "minus", "batch"),
        tuple(levels.colours.items()), "exposures of the edited facts", shapes=levels.shapes,
    )  # fmt: skip
