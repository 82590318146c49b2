"""Reversion: which edits still hold when training goes on."""

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

from .common import JACKKNIFE, counted, methods

_TITLE = "Reversion: edits that hold while training on the corpus goes on"


def retention(summary: Summary) -> Figure | Absent:
    """Draw the share that holds against the steps of training that went on."""
    frame = summary.retention
    if not frame.height:
        why = "The study did not train on after its edits (measure.durability = 0)."
        return Absent("retention", _TITLE, why)
    frame = frame.with_columns(
        pl.col("exposures").map_elements("{:,}".format, return_dtype=pl.String).alias("level"),
        # Step 0 has no logarithm: all steps stand one further.
        (pl.col("step").cast(pl.Float64) + 1).alias("at"),
    )
    colours = exposure_colours(frame["exposures"].to_list())
    steps = sorted(frame["step"].unique().to_list())
    panels = [
        Panel(label, _chart(frame.filter(pl.col("label") == label), colours, steps))
        for label in methods(summary, frame)
    ]
    caption = (
        "Share of the edits with p(new) > p(old), of those that had it right after the batch of "
        f"edits. {counted(frame, 'edits')}; {JACKKNIFE}."
    )
    return Figure("retention", _TITLE, caption, tuple(panels), frame, tuple(colours.items()),
                  "exposures of the edited fact")  # fmt: skip


def _chart(part: pl.DataFrame, colours: dict[str, str], steps: list[int]) -> Any:
    y = alt.Y("mean:Q", title="edits that hold", scale=alt.Scale(domain=[0, 1]),
              axis=alt.Axis(format="%"))  # fmt: skip
    x = alt.X(
        "at:Q",
        title="steps of training after the edits (log scale)",
        scale=alt.Scale(type="log", base=2, domain=[1, steps[-1] + 1], nice=False),
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
