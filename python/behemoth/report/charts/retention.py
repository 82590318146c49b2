"""Reversion: share of edits that still hold when training continues."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    Absent,
    Figure,
    Panel,
    colour_of,
    exposure_colours,
    faded,
    only,
    rows,
)
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import plural_text

from .common import aims, by_size, cell_colours, cells, counted, jackknife, methods, spread

_TITLE = "Retention: edits that hold during continued training on the corpus"


def retention(summary: Summary) -> Figure | Absent:
    """Draw the share of edits that hold against the steps of training after them."""
    frame = summary.retention
    if not frame.height:
        why = "The study did not continue training after its edits (measure.durability = 0)."
        if lost := summary.without_retention:
            why = f"The batch of edits broke down in {plural_text(lost, 'trial')}, and no other "
            why += "edit held."
        return Absent("retention", _TITLE, why)
    frame = frame.with_columns(
        cells(frame),
        pl.col("exposures").map_elements("{:,}".format, return_dtype=pl.String).alias("level"),
        # Step 0 has no logarithm, so all steps are shifted by one.
        (pl.col("step").cast(pl.Float64) + 1).alias("at"),
    )
    colours = exposure_colours(frame["exposures"].to_list())
    steps = sorted(frame["step"].unique().to_list())
    frame = spread(frame, list(colours), "level").with_columns(
        (pl.col("at") * pl.lit(2.0) ** (pl.col("dodge") / 2)).alias("at")
    )
    # A panel for each size: on one line, the sizes of a level would be joined step by step.
    panels = [
        Panel(cell, _chart(frame.filter(pl.col("cell") == cell), colours, steps))
        for cell in cell_colours(summary, frame)
    ]
    caption = (
        f"Share of the edits with {_held(*aims(summary, frame))}, among those with it directly "
        f"after the batch of edits. {counted(frame, 'edits')}; {jackknife(frame)}. "
        "Points are shifted sideways so that bars do not overlap."
    )
    if lost := summary.without_retention:
        caption += f" Not drawn: {plural_text(lost, 'trial')} whose batch of edits broke down."
    return Figure("retention", _TITLE, caption, tuple(panels), frame.drop("dodge"),
                  tuple(colours.items()), "exposures of the edited fact",
                  finding=_finding(summary, frame))  # fmt: skip


def _held(edits: bool, forgets: bool) -> str:
    """Return the definition of holding, for methods that edit, that unlearn, or both."""
    other = "another token more likely than that of the old object"
    if not forgets:
        return "p(new) > p(old)"
    return f"p(new) > p(old) (unlearning: {other})" if edits else other


def _finding(summary: Summary, frame: pl.DataFrame) -> str:
    """Return a sentence on what holds at the last step, at the fewest and the most exposures.

    It is about the method of the primary contrast, or the first one, and its smallest size. Methods
    and sizes are never pooled: the number of edits that survive the batch differs by exposures, so
    that pooled numbers would also compare methods.
    """
    drawn = methods(summary, frame)
    stated = summary.contrasts.filter(pl.col("role") == "primary")["label"].to_list()
    label = next((name for name in stated if name in drawn), drawn[0])
    cell = by_size(frame.filter(pl.col("label") == label))["cell"][0]
    own = frame.filter(pl.col("cell") == cell)
    last = own.filter(pl.col("step") == pl.col("step").max()).sort("exposures")
    if last["exposures"].n_unique() < 2:
        return ""
    few, many = last.row(0, named=True), last.row(-1, named=True)
    return (
        f"With {cell}, after {few['step']:,} steps of training, {few['mean']:.0%} of the edits "
        f"still hold at {plural_text(few['exposures'], 'exposure')} of the fact (of "
        f"{few['rows']:,} that held directly after the batch) and {many['mean']:.0%} at "
        f"{many['exposures']:,} (of {many['rows']:,})."
    )


def _chart(part: pl.DataFrame, colours: dict[str, str], steps: list[int]) -> Any:
    y = alt.Y("mean:Q", title="edits that hold", scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(format="%"))  # fmt: skip
    x = alt.X(
        "at:Q",
        title="steps of training after the edits (log scale)",
        scale=alt.Scale(type="log", base=2, domain=[0.8, (steps[-1] + 1) * 1.25], nice=False),
        axis=alt.Axis(values=[step + 1 for step in steps],
                      labelExpr="format(datum.value - 1, ',')"),
    )  # fmt: skip
    base = alt.Chart(rows(part)).encode(
        x=x,
        color=colour_of("level", colours),
        opacity=faded("level"),
        tooltip=[
            alt.Tooltip("exposures:Q", format=","),
            alt.Tooltip("step:Q", format=","),
            alt.Tooltip("mean:Q", format=".1%", title="hold"),
            alt.Tooltip("low:Q", format=".1%"),
            alt.Tooltip("high:Q", format=".1%"),
            alt.Tooltip("rows:Q", format=",", title="edits"),
        ],
    )
    return (
        base.mark_line().encode(y=y)
        + base.mark_rule(strokeOpacity=0.5).encode(y=alt.Y("low:Q"), y2="high:Q")
        + base.mark_point(size=30).encode(y=y)
    ).add_params(only())
