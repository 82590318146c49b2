"""ED50 against exposures by method: all facts, and those that were known before."""

from __future__ import annotations

import math
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
    number,
    only,
    positions,
    repeated_shapes,
    rows,
    wide,
)
from behemoth.study.analysis.summary import Summary

from .common import (
    FLOOR,
    across,
    censorable,
    counted,
    floor_of,
    methods,
    sizes_of,
    spread,
)

_TITLE = "The edit dose against exposures"
_NAMES = {"all": "All facts", "known": "Facts known before the edit"}


def dose(summary: Summary) -> Figure | Absent:
    """Draw ED50 with its intervals, with censored levels as open triangles."""
    frame = summary.doses
    if not frame.height:
        why = "No finished trial has edit doses: the steps of its methods are not doses."
        return Absent("dose", _TITLE, why)
    labels = methods(summary, frame)
    colours = label_colours(labels)
    sizes = sizes_of(frame)
    floor = floor_of(float(pl.DataFrame(frame.select(pl.col("beyond").max())).item()))
    drawn = spread(frame, labels).with_columns(
        positions(dodge="dodge").alias("at"),
        pl.coalesce("ed50", "beyond").clip(lower_bound=floor).alias("steps"),
        pl.col("low").clip(floor, pl.col("beyond")),
        pl.col("high").clip(floor, pl.col("beyond")),
        pl.when(pl.col("high").is_infinite()).then(pl.lit("right-censored")).alias("open"),
        (pl.col("edits") - pl.col("reached")).alias("unreached"),
    )
    low = float(pl.DataFrame(drawn.select(pl.min_horizontal("steps", "low").min())).item())
    last = float(pl.DataFrame(drawn.select(pl.col("beyond").max())).item())
    high = max(last, float(drawn.select(pl.max_horizontal("steps", "high").max()).item()))
    levels = frame["exposures"].unique().to_list()
    panels = []
    for size in sizes:
        for name, title in _NAMES.items():
            part = drawn.filter((pl.col("size") == size) & (pl.col("filter") == name))
            if part.height:
                full = title if len(sizes) == 1 else f"{title}, {size}"
                chart = _chart(part.drop("dodge"), colours, levels, low, high, last)
                panels.append(Panel(full, chart))
    clusters = int(frame["clusters"].max() or 0)  # type: ignore[arg-type]
    how = (
        "bars are 95% percentile intervals of the bootstrap over (world, initialisation) "
        "clusters, with an arrow if they extend beyond the largest dose, reached or censored; a "
        "point without a bar has one cluster, or the same ED50 in all resamples (for few clusters "
        "the intervals are too narrow; the tests use the jackknife)"
        if clusters > 1
        else "with one cluster there are no intervals"
    )
    caption = (
        "ED50: the number of steps that half of the edits need until p(new) > p(old) (unlearning: "
        "until the old object is no longer the most likely), by the Kaplan-Meier estimate. "
        f"{counted(frame, 'edits', 'edits')}; {how}. Points are shifted sideways so that bars do "
        f"not overlap.{_at_zero(low, high)} "
        f"{int(drawn.filter(pl.col('filter') == 'all')['unreached'].sum()):,} of "
        f"{int(frame.filter(pl.col('filter') == 'all')['edits'].sum()):,} edits are right-censored."
    )
    return Figure("dose", _TITLE, caption, tuple(panels), frame, tuple(colours.items()), "method",
                  "△ right-censored: ED50 is larger", _finding(frame),
                  repeated_shapes(colours))  # fmt: skip


def _at_zero(low: float, high: float) -> str:
    """Return a sentence on points at 0, if there are any: a logarithmic axis has no place for 0."""
    if low >= 1 or not wide(low, high):
        return ""
    return " A point at 0, below the dashed line, means that no step was needed."


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the methods with most and least change from few to many exposures."""
    rows = frame.filter((pl.col("filter") == "all") & (pl.col("exposures") > 0)).sort("exposures")
    found = []
    for (label, size), part in rows.group_by("label", "size", maintain_order=True):
        first, end = part.row(0, named=True), part.row(-1, named=True)
        if part.height > 1 and None not in (first["ed50"], end["ed50"]) and first["ed50"] > 0:
            found.append((end["ed50"] / first["ed50"], label, size, first, end))
    if not found:
        return ""
    many = frame["size"].n_unique() > 1
    times, label, size, first, end = max(found, key=lambda each: abs(math.log(each[0] or 1e-9)))
    least = min(found, key=lambda each: abs(math.log(each[0] or 1e-9)))
    named = f"{label}, {size}" if many else label
    said = (
        f"From {first['exposures']:,} to {end['exposures']:,} exposures, ED50 changes from "
        f"{first['ed50']:,.0f} to {end['ed50']:,.0f} steps with {named} (a factor of "
        f"{number(times, 2)})"
    )
    if least[1:3] == (label, size):
        return f"{said}."
    other = f"{least[1]}, {least[2]}" if many else least[1]
    less = f"the smallest with {other} (a factor of {number(least[0], 2)})"
    # Methods with a censored median have no factor, and are not compared.
    every = len(found) == rows.select("label", "size").n_unique()
    among = "of all methods" if every else "of the methods with a factor"
    return f"{said}, the largest change {among} by point estimates; {less}."


def _chart(
    part: pl.DataFrame,
    colours: dict[str, str],
    levels: list[int],
    low: float,
    high: float,
    last: float,
) -> Any:
    y = log_axis("steps", "ED50, edit steps", low, high, zero=FLOOR)
    tooltip = [
        alt.Tooltip("label:N", title="method"),
        alt.Tooltip("exposures:Q", format=","),
        alt.Tooltip("ed50:Q", title="ED50, steps"),
        alt.Tooltip("low:Q"),
        alt.Tooltip("high:Q"),
        alt.Tooltip("open:N", title="upper end"),
        alt.Tooltip("edits:Q", format=","),
        alt.Tooltip("unreached:Q", format=",", title="censored edits"),
    ]
    base = alt.Chart(rows(part)).encode(
        x=exposure_axis(levels), color=colour_of("label", colours), opacity=faded("label"),
        tooltip=tooltip,
    )  # fmt: skip
    beyond = base.transform_filter("datum.open !== null && !datum.censored").mark_point(
        shape="triangle-up", filled=True, size=40
    )
    layers = [
        base.mark_line(strokeOpacity=0.75).encode(y=y),
        censorable(base, part, y, colours),
        across(last, f"largest dose, reached or censored: {last:,.0f}"),
    ]
    if part["low"].drop_nulls().len():  # Vega would warn
        layers.insert(1, base.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q"))
    if part.filter(pl.col("open").is_not_null() & ~pl.col("censored")).height:
        layers.append(beyond.encode(y=alt.Y("high:Q")))
    if low < 1 and wide(low, high):
        layers.append(across(math.sqrt(FLOOR)))
    return alt.layer(*layers).add_params(only())
