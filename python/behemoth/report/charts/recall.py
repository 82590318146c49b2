"""Recall against exposures, by the size of the model."""

from __future__ import annotations

import altair as alt
import polars as pl

from behemoth.report.style import Absent, Figure, Panel, label_colours
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import plural_text

from .common import by_size, counted, curves, first_labels, jackknife

_TITLE = "Recall of the unedited models against exposures"


def recall(summary: Summary) -> Figure | Absent:
    """Draw the share of facts recalled in free generation."""
    frame = summary.recall
    if not frame.height:
        return Absent("recall", _TITLE, "The recall of no model has been evaluated yet.")
    several = frame["load"].n_unique() > 1
    name = pl.col("size")
    if several:
        name = pl.format("{}, load {}", "size", "load")
    frame = by_size(frame.with_columns(name.alias("cell")))
    colours = label_colours(first_labels(frame, "cell"))
    y = alt.Y("mean:Q", title="facts recalled", scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(format="%"))  # fmt: skip
    tooltip = [
        alt.Tooltip("cell:N", title="model"),
        alt.Tooltip("exposures:Q", format=","),
        alt.Tooltip("mean:Q", format=".1%", title="recalled"),
        alt.Tooltip("low:Q", format=".1%"),
        alt.Tooltip("high:Q", format=".1%"),
        alt.Tooltip("rows:Q", format=",", title="facts"),
    ]
    chart = curves(frame, colours, y, field="cell", tooltip=tooltip)
    caption = (
        "Exact match of free generation over all facts, each in the first written wording of its "
        "relation (of the template default where it has one), before any edit. "
        f"{counted(frame, 'facts')}; {jackknife(frame)}."
    )
    return Figure("recall", _TITLE, caption, (Panel("", chart),), frame,
                  tuple(colours.items()), "model", finding=_finding(frame))  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the lowest exposures with a recall of at least a half, per model."""
    said = []
    for (name,), part in frame.sort("exposures").group_by("cell", maintain_order=True):
        above = part.filter((pl.col("mean") >= 0.5) & (pl.col("exposures") > 0))
        if above.height:
            said.append(f"{plural_text(above['exposures'][0], 'exposure')} ({name})")
    return f"At least half of the facts are recalled from {', '.join(said)}." if said else ""
