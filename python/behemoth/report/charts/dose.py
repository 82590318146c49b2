"""ED50 against exposures by method: all facts, and those that were known before."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
from behemoth.support.text import listed_text

from .common import (
    FLOOR,
    ONE_CLUSTER,
    across,
    censorable,
    counted,
    ends,
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
        positions().alias("at"),
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
        else ONE_CLUSTER
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
    many = frame["size"].n_unique() > 1
    ranges: dict[tuple[int, int], list[tuple[float, str, float, float]]] = {}
    for (label, size), part in rows.group_by("label", "size", maintain_order=True):
        first, end = part.row(0, named=True), part.row(-1, named=True)
        # Without both medians, or with one of 0, there is no factor.
        if part.height > 1 and first["ed50"] and end["ed50"]:
            name = f"{label}, {size}" if many else str(label)
            found = (end["ed50"] / first["ed50"], name, first["ed50"], end["ed50"])
            ranges.setdefault((first["exposures"], end["exposures"]), []).append(found)
    if not ranges:
        return ""
    # Over a wider range doses change more: only methods with the same one are compared.
    (low, high), compared = max(ranges.items(), key=lambda each: (len(each[1]), each[0][1]))
    begun = f"From {low:,} to {high:,} exposures,"
    ordered = sorted(compared, key=lambda each: abs(math.log(each[0])), reverse=True)
    most, least = ends(ordered, lambda each: _size(each[0]))
    every = len(compared) == rows.select("label", "size").n_unique()
    among = "" if every else " with a factor over this range"
    times, name, before, after = ordered[0]
    alone = f"{begun} ED50 changes from {before:,.0f} to {after:,.0f} steps with {name} "
    alone += f"(a factor of {number(times, 2)})"
    if len(compared) == 1:
        return f"{alone}."
    if len(most) == len(compared):
        said = f"ED50 changes by {_factors(most)} with every method"
        return f"{begun} by point estimates, {said}{among}."
    said = alone if len(most) == 1 else (
        f"{begun} ED50 changes by {_factors(most)} with {_named(most)}"
    )  # fmt: skip
    what = "all methods" if every else f"the methods{among}"
    less = f"the smallest with {_named(least)} ({_factors(least)})"
    return f"{said}, the largest change of {what} by point estimates; {less}."


def _size(factor: float) -> str:
    """Return how large a factor looks, whatever its direction."""
    return number(max(factor, 1 / factor), 2)


def _factors(found: Sequence[tuple[float, str, float, float]]) -> str:
    return f"a factor of {' or '.join(dict.fromkeys(number(each[0], 2) for each in found))}"


def _named(found: Sequence[tuple[float, str, float, float]]) -> str:
    return listed_text([each[1] for each in found])


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
