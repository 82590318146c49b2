"""ED50 against exposures by method: all facts, and those that were known before."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    Absent,
    Figure,
    Panel,
    colour_of,
    exposure_axis,
    faded,
    label_colours,
    log_axis,
    only,
    positions,
    rows,
)
from behemoth.study.analysis.summary import Summary

from .common import censorable, counted, first_labels, methods, spread

_TITLE = "The edit dose against exposures"
_NAMES = {"all": "All facts", "known": "Facts known before the edit"}
_FLOOR = 0.5  # steps: where an edit stands that needed none


def dose(summary: Summary) -> Figure | Absent:
    """Draw ED50 with its intervals, censored levels as open triangles."""
    frame = summary.doses
    if not frame.height:
        why = "No finished trial has edit doses: its methods do not go step by step."
        return Absent("dose", _TITLE, why)
    labels = methods(summary, frame)
    colours = label_colours(labels)
    sizes = first_labels(frame, "size")
    drawn = spread(frame, labels).with_columns(
        positions(dodge="dodge").alias("at"),
        pl.coalesce("ed50", "beyond").clip(lower_bound=_FLOOR).alias("steps"),
        pl.col("low").clip(_FLOOR, pl.col("beyond")),
        pl.col("high").clip(_FLOOR, pl.col("beyond")),
        pl.when(pl.col("high").is_infinite()).then(pl.lit("beyond the last step")).alias("open"),
        (pl.col("edits") - pl.col("reached")).alias("unreached"),
    )
    low = float(pl.DataFrame(drawn.select(pl.min_horizontal("steps", "low").min())).item())
    high = float(pl.DataFrame(drawn.select(pl.max_horizontal("steps", "high").max())).item())
    levels = frame["exposures"].unique().to_list()
    panels = []
    for size in sizes:
        for name, title in _NAMES.items():
            part = drawn.filter((pl.col("size") == size) & (pl.col("filter") == name))
            if part.height:
                full = title if len(sizes) == 1 else f"{title}, {size}"
                chart = _chart(part.drop("dodge"), colours, levels, low, high)
                panels.append(Panel(full, chart))
    clusters = int(frame["clusters"].max() or 0)  # type: ignore[arg-type]
    how = (
        "bars are 95 % percentile intervals of the bootstrap over whole (world, initialisation) "
        "clusters, cut at the last step looked at (for few clusters they are too narrow; the "
        "tests use the jackknife)"
        if clusters > 1
        else "with one cluster there are no intervals"
    )
    caption = (
        "ED50: the number of steps that half of the edits need until p(new) > p(old) (of "
        "unlearning methods: until the old object is no longer the first choice), by Kaplan and "
        f"Meier's estimate. {counted(frame, 'edits', 'edits')}; {how}. "
        f"{int(drawn.filter(pl.col('filter') == 'all')['unreached'].sum()):,} of "
        f"{int(frame.filter(pl.col('filter') == 'all')['edits'].sum()):,} edits are right-censored."
    )
    return Figure("dose", _TITLE, caption, tuple(panels), frame, tuple(colours.items()), "method",
                  "△ censored: ED50 lies beyond the last step")  # fmt: skip


def _chart(
    part: pl.DataFrame, colours: dict[str, str], levels: list[int], low: float, high: float
) -> Any:
    y = log_axis("steps", "ED50, edit steps", low, high, zero=_FLOOR)
    tooltip = [
        alt.Tooltip("label:N", title="method"),
        alt.Tooltip("exposures:Q", format=","),
        alt.Tooltip("ed50:Q", title="ED50, steps"),
        alt.Tooltip("low:Q"),
        alt.Tooltip("high:Q"),
        alt.Tooltip("open:N", title="upper end"),
        alt.Tooltip("edits:Q"),
        alt.Tooltip("unreached:Q", title="censored edits"),
    ]
    base = alt.Chart(rows(part)).encode(
        x=exposure_axis(levels), color=colour_of("label", colours), opacity=faded("label"),
        tooltip=tooltip,
    )  # fmt: skip
    return (
        base.mark_line(strokeOpacity=0.75).encode(y=y)
        + base.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q")
        + censorable(base, part, y)
    ).add_params(only())
