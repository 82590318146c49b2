"""Functions shared by several figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import altair as alt
import polars as pl

from behemoth.model.sizes import in_order
from behemoth.report.style import (
    INK,
    QUIET,
    Panel,
    colour_of,
    exposure_axis,
    faded,
    label_colours,
    log_axis,
    only,
    positions,
    repeated_shapes,
    rows,
    shape_of,
    wide,
)
from behemoth.study.analysis.board_measures import FEWEST
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import listed_text, plural_text

__all__ = [
    "BARS",
    "CUT",
    "FLOOR",
    "IN_A_BATCH",
    "ONE_CLUSTER",
    "across",
    "against_exposures",
    "aims",
    "barred",
    "batched",
    "by_group",
    "cell_colours",
    "cells",
    "censorable",
    "counted",
    "curves",
    "ends",
    "extremes",
    "first_labels",
    "floor_of",
    "jackknife",
    "methods",
    "names_of_rows",
    "over_all",
    "pooled",
    "span_text",
    "spread",
    "told_apart",
]

T = TypeVar("T")

CUT = "Bars end at the edge of the chart if they extend beyond it."
"""Sentence for the captions of `against_exposures`."""
_JACKKNIFE = (
    "bars are 95% intervals of the cluster jackknife over (world, initialisation); a point "
    "without a bar has one cluster, or the same value without any one cluster"
)
ONE_CLUSTER = "with one cluster there are no intervals"
"""Part of the captions of figures without bars."""

BARS = (
    "Bars are 95% intervals of the cluster jackknife over (world, initialisation), clipped to the "
    f"range of the measure; a point without a bar has fewer than {FEWEST} clusters, or the same "
    "value without any one cluster"
)
"""The same for the captions of boards."""

IN_A_BATCH = (
    "In a batch all edits act on all bystanders; each counts at the exposures of the edit that it "
    "was drawn for."
)
"""Sentence for the captions of damage by exposures of the edited facts."""

FLOOR = 0.5
"""Position, in steps, of edits that needed none, on a logarithmic axis."""


def floor_of(most: float) -> float:
    """Return the position of 0 steps on an axis up to `most`: 0 itself on a linear one."""
    return FLOOR if wide(FLOOR, most) else 0.0


def first_labels(frame: pl.DataFrame, column: str = "label") -> list[str]:
    """Return the distinct values of a column in the order of their first rows."""
    return frame[column].unique(maintain_order=True).to_list()


def sizes_of(frame: pl.DataFrame) -> list[str]:
    """Return the sizes of models of a frame, small ones first; models of a user's own are last."""
    return in_order(first_labels(frame, "size"))


def by_size(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a frame in the order of `sizes_of`."""
    return frame.sort(pl.col("size").cast(pl.Enum(sizes_of(frame))), maintain_order=True)


def methods(summary: Summary, frame: pl.DataFrame) -> list[str]:
    """Return the labels of a frame in the order of the study, which determines their colours."""
    there = set(frame["label"].to_list())
    return [label for label in first_labels(summary.edits) if label in there]


def censorable(
    base: Any, part: pl.DataFrame, y: alt.Y, colours: Mapping[str, str] | None = None
) -> Any:
    """Return the points of `base`, as open triangles if ``censored``; empty layers are omitted.

    With the colours of methods, those that share a colour have shapes of their own.
    """
    layers: list[Any] = []
    if not part["censored"].all():
        points = base.transform_filter("!datum.censored").mark_point().encode(y=y)
        layers.append(told_apart(points, "label", colours or {}))
    if part["censored"].any():
        beyond = base.transform_filter("datum.censored")
        triangle = beyond.mark_point(
            shape="triangle-up", filled=False, fill="white", size=90, strokeWidth=2
        )
        layers.append(triangle.encode(y=y))
    return layers[0] if len(layers) == 1 else layers[0] + layers[1]


def told_apart(points: Any, field: str, colours: Mapping[str, str]) -> Any:
    """Return points with shapes for entries whose colour an earlier one has, if there are any."""
    shapes = repeated_shapes(colours)
    return points.encode(shape=shape_of(field, colours, shapes)) if shapes else points


def across(y: float, said: str = "") -> Any:
    """Return a dashed line across the chart, with a text above its right end."""
    frame = pl.DataFrame({"line": [y], "said": [said]})
    rule = alt.Chart(rows(frame)).mark_rule(strokeDash=[4, 4], color=QUIET, strokeWidth=1)
    if not said:
        return rule.encode(y="line:Q")
    text = alt.Chart(rows(frame)).mark_text(align="right", baseline="bottom", dx=-2, dy=-2,
                                            fontSize=10, color=QUIET)  # fmt: skip
    return rule.encode(y="line:Q") + text.encode(y="line:Q", x=alt.value("width"), text="said:N")


def names_of_rows(frame: pl.DataFrame, field: str, y: alt.Y) -> Any:
    """Return names above the rows of a chart; beside them they would use half a phone's width."""
    base = alt.Chart(rows(frame)).encode(y=y, x=alt.value(2), text=f"{field}:N")
    white = base.mark_text(
        align="left", baseline="bottom", fontSize=12, stroke="white", strokeWidth=4
    )
    return white + base.mark_text(align="left", baseline="bottom", fontSize=12, color=INK)


def counted(frame: pl.DataFrame, what: str, column: str = "rows") -> str:
    """Return the numbers behind a point, such as ``n = 48 edits per point, 3 clusters``."""
    clusters = span_text(frame["clusters"], "cluster")
    return f"n = {span_text(frame[column])} {what} per point, {clusters}"


def jackknife(frame: pl.DataFrame) -> str:
    """Return the part of a caption on the bars of the points of a frame, or why there are none."""
    return barred(frame, _JACKKNIFE)


def barred(frame: pl.DataFrame, bars: str) -> str:
    """Return what a caption says of bars, unless no row of a frame has more than one cluster."""
    return bars if frame.filter(pl.col("clusters") > 1).height else ONE_CLUSTER


def span_text(counts: pl.Series, noun: str = "") -> str:
    """Return the range of some counts: ``6``, ``6 to 8`` or, with a noun, ``1 to 3 clusters``."""
    low, high = (int(getattr(counts, end)() or 0) for end in ("min", "max"))
    most = plural_text(high, noun) if noun else f"{high:,}"
    return f"{low:,} to {most}" if low < high else most


def pooled(summary: Summary) -> str:
    """Return a sentence on the sizes of models that a chart without them pools; empty for one."""
    sizes = sizes_of(summary.edits)
    return f" Each point pools models of {listed_text(sizes)}." if len(sizes) > 1 else ""


def batched(summary: Summary) -> str:
    """Return a sentence on what damage by exposures is if edits are made together; else nothing."""
    together = "batch" in summary.edits.columns and (summary.edits["batch"] > 1).any()
    return f" {IN_A_BATCH}" if together else ""


def aims(summary: Summary, frame: pl.DataFrame) -> tuple[bool, bool]:
    """Return whether a frame has methods that edit, and methods that unlearn."""
    there = summary.methods.filter(pl.col("label").is_in(frame["label"].unique().implode()))
    forgets = set(there["forgets"].drop_nulls())
    return False in forgets or not forgets, True in forgets


def spread(frame: pl.DataFrame, labels: Sequence[str], column: str = "label") -> pl.DataFrame:
    """Add ``dodge``, a small shift in doublings, so that intervals of methods do not overlap."""
    middle = (len(labels) - 1) / 2
    width = min(0.16, 0.7 / max(1, len(labels)))
    shifts = {label: (place - middle) * width for place, label in enumerate(labels)}
    return frame.with_columns(
        pl.col(column).replace_strict(shifts, return_dtype=pl.Float64).alias("dodge")
    )


def curves(
    frame: pl.DataFrame,
    colours: dict[str, str],
    y: alt.Y,
    *,
    field: str = "label",
    tooltip: Sequence[Any],
) -> Any:
    """Draw means with intervals against exposures: columns `field`, exposures, mean, low, high."""
    table = spread(frame, list(colours), field).with_columns(positions().alias("at"))
    x = exposure_axis(frame["exposures"].unique().to_list())
    base = alt.Chart(rows(table.drop("dodge"))).encode(
        x=x, color=colour_of(field, colours), opacity=faded(field), tooltip=list(tooltip)
    )
    layers = [base.mark_line(interpolate="linear").encode(y=y)]
    if table["low"].drop_nulls().len():  # with one cluster there are none, and Vega would warn
        layers.append(base.mark_rule(clip=True).encode(y=alt.Y("low:Q"), y2="high:Q"))
    layers.append(told_apart(base.mark_point(opacity=1), field, colours).encode(y=y))
    return alt.layer(*layers).add_params(only())


def over_all(frame: pl.DataFrame, measure: str, by: str) -> pl.DataFrame:
    """Return means of a measure by one column, weighted by rows, in ascending order, and rows."""
    mine = frame.filter(pl.col("measure") == measure).group_by(by, maintain_order=True)
    total = pl.col("rows").sum()
    return mine.agg((pl.col("mean") * pl.col("rows")).sum() / total, total).sort("mean", by)


def extremes(
    means: pl.DataFrame, shown: Callable[[float], str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of `over_all` whose means look like the smallest, and like the largest."""
    return ends(means.to_dicts(), lambda row: shown(row["mean"]))


def ends(ordered: Sequence[T], looks: Callable[[T], str]) -> tuple[list[T], list[T]]:
    """Return the entries that look like the first, and those that look like the last."""
    first, last = (
        [each for each in ordered if looks(each) == looks(end)] for end in (ordered[0], ordered[-1])
    )
    return first, last


def against_exposures(
    frame: pl.DataFrame,
    measures: Mapping[str, tuple[str, str]],
    colours: dict[str, str],
    form: str,
) -> tuple[Panel, ...]:
    """Return a panel of curves for each measure in the frame, on a log axis unless too narrow.

    Parameters
    ----------
    frame : polars.DataFrame
        Columns label, exposures, measure, mean, low, high, rows.
    measures : mapping of str to (str, str)
        Title and unit of each measure.
    colours : dict
        Colours by label.
    form : str
        Number format of the tooltips.
    """
    panels = []
    for measure, (title, unit) in measures.items():
        # An infinite mean, as of a change that overflows, has no place on an axis.
        part = frame.filter(pl.col("measure") == measure, pl.col("mean").is_finite())
        if not part.height:
            continue
        low, high = _reach(part)
        tooltip = [
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("exposures:Q", format=","),
            alt.Tooltip("mean:Q", format=form, title=unit),
            alt.Tooltip("from:Q", format=form, title="low"),
            alt.Tooltip("high:Q", format=form),
            alt.Tooltip("rows:Q", format=",", title="edits"),
        ]
        axis = log_axis("mean", unit, low, high)
        # The end of an interval may be 0, which has no place on a logarithmic axis; half of the
        # smallest value is below the axis, where bars are cut.
        least = low / 2 if wide(low, high) else 0.0
        drawn = part.with_columns(
            pl.col("low").clip(lower_bound=least), pl.col("low").alias("from")
        )
        panels.append(Panel(title, curves(drawn, colours, axis, tooltip=tooltip)))
    return tuple(panels)


def _reach(part: pl.DataFrame) -> tuple[float, float]:
    """Return the ends of a logarithmic axis for means with intervals.

    It shows all means, and intervals up to half of the smallest and twice the largest of them.
    """
    means = part["mean"].drop_nulls()
    first, last = float(means.min()), float(means.max())  # type: ignore[arg-type]
    low, high = (part[name].drop_nulls() for name in ("low", "high"))
    least = first if low.is_empty() else min(first, max(float(low.min()), first / 2))  # type: ignore[arg-type]
    most = last if high.is_empty() else max(last, min(float(high.max()), 2 * last))  # type: ignore[arg-type]
    return least, most


def cells(frame: pl.DataFrame) -> pl.Expr:
    """Return the column ``cell``: the method, with its size if the frame has several."""
    several = frame["size"].n_unique() > 1
    return (pl.format("{}, {}", "label", "size") if several else pl.col("label")).alias("cell")


def cell_colours(summary: Summary, frame: pl.DataFrame) -> dict[str, str]:
    """Return a colour for each ``cell``, with methods in the order of the study."""
    order = pl.Enum(methods(summary, frame))
    ordered = by_size(frame).sort(pl.col("label").cast(order), maintain_order=True)
    return label_colours(first_labels(ordered, "cell"))


def by_group(
    part: pl.DataFrame, colours: dict[str, str], order: list[str], unit: str, form: str
) -> Any:
    """Draw means with intervals: a row per group, with a point for each method.

    Parameters
    ----------
    part : polars.DataFrame
        Columns cell (the method), group, mean, low, high, rows.
    colours : dict
        Colours by cell, in the order of drawing.
    order : list of str
        Groups from the top.
    unit, form : str
        Title and number format of the axis.
    """
    count = len(colours)
    shift = {name: (place - (count - 1) / 2) * 0.5 / max(1, count)
             for place, name in enumerate(colours)}  # fmt: skip
    drawn = part.with_columns(
        (
            pl.col("group").replace_strict(
                {group: float(place) for place, group in enumerate(order)}, return_dtype=pl.Float64
            )
            + pl.col("cell").replace_strict(shift, return_dtype=pl.Float64)
            + 0.15
        ).alias("row")
    )
    names = pl.DataFrame({"group": order, "row": [place - 0.2 for place in range(len(order))]})
    y = alt.Y("row:Q", axis=None, scale=alt.Scale(domain=[-0.5, len(order) - 0.35], reverse=True,
                                                  nice=False))  # fmt: skip
    axis = alt.Axis(grid=True, tickCount=5, format=form)
    if form.startswith("+"):  # a sign for all numbers but 0
        label = f"datum.value === 0 ? '0' : format(datum.value, '{form}')"
        axis = alt.Axis(grid=True, tickCount=5, labelExpr=label)
    x = alt.X("mean:Q", title=unit, scale=alt.Scale(zero=True), axis=axis)
    base = alt.Chart(rows(drawn)).encode(
        y=y,
        color=colour_of("cell", colours),
        opacity=faded("cell"),
        tooltip=[
            alt.Tooltip("cell:N", title="method"),
            alt.Tooltip("group:N"),
            alt.Tooltip("mean:Q", format=".3g"),
            alt.Tooltip("low:Q", format=".3g"),
            alt.Tooltip("high:Q", format=".3g"),
            alt.Tooltip("rows:Q", format=",", title="edits"),
        ],
    )
    points = told_apart(base.mark_point(), "cell", colours)
    layers = [points.encode(x=x), names_of_rows(names, "group", y)]
    if drawn["low"].drop_nulls().len():
        layers.insert(0, base.mark_rule().encode(x=alt.X("low:Q"), x2="high:Q"))
    return alt.layer(*layers).add_params(only())
