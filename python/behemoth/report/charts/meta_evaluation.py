"""Evaluation of the metrics of unlearning: one row per metric, one panel per question."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    BLUE,
    ORANGE,
    QUIET,
    Absent,
    Figure,
    Panel,
    colour_of,
    faded,
    only,
    rows,
)
from behemoth.study.analysis.meta_evaluation import MetaEvaluation

__all__ = ["SERIES", "meta_evaluation_figure"]

SERIES = {
    "raw value": BLUE,
    "distance to the twin's": ORANGE,
    "refusal": "#CC79A7",
    "relearning": "#009E73",
    "rounding": "#E69F00",
}
"""Series within a panel, with their colours."""
_PANELS = (
    (
        "Distinguishes the twin",
        {"raw value": "area"},
        "area (0.5: chance)",
        (0.0, 1.0),
        0.5,
    ),
    (
        "Ranks methods as the distance to the twin does",
        {"raw value": "ranks", "distance to the twin's": "ranks_twin"},
        "Kendall's tau",
        (-1.0, 1.0),
        0.0,
    ),
    (
        "Calls facts forgotten that are not",
        {"refusal": "suppression", "relearning": "relearning", "rounding": "rounding"},
        "share of such models",
        (0.0, 1.0),
        None,
    ),
    (
        "Depends on frequency, for the twin",
        {"raw value": "frequency"},
        "change per doubling, in gaps",
        None,
        0.0,
    ),
)
_ROW, _EDGE, _ASIDE = 19, 50, 5  # pixels
_CAPTION = (
    "One row per metric. Distinguishes: the probability that the trained model of one cluster has "
    "a worse value than the retrained twin of any cluster, with Newcombe's score interval. Ranks: "
    "Kendall's tau over pairs of different methods on one model, by the raw value and by |value "
    "\u2212 twin's value|. Calls forgotten: the share whose value is closer to the twin's than to "
    "the trained model's, among models that refuse but are far from the twin, and among models "
    "that give no more of the facts than the twin but relearn faster, or give them again with "
    "weights rounded to 8 or 4 bits; in these last two groups, metrics based on recall have a "
    "share of 1 by construction. Frequency: the change of the twin's value per doubling of the "
    "exposures that the facts would have had, relative to the gap between twin and trained model. "
    "Bars are 95% intervals of the cluster jackknife over (world, initialisation), except in the "
    "first panel; a point without a bar has one cluster, or the same value without any one "
    "cluster."
)


def meta_evaluation_figure(found: MetaEvaluation) -> Figure | Absent:
    """Draw the metrics, in the order of the table."""
    name, title = "metrics", "Evaluation of the metrics"
    parts = [
        (frame, panel, axis, domain, line)
        for panel, series, axis, domain, line in _PANELS
        if not (frame := _long(found.table, panel, series)).is_empty()
    ]
    if not parts:
        return Absent(name, title, "No finished trial has both a twin and a trained model.")
    frame = pl.concat([part[0] for part in parts])
    # In files the legend lists these colours, so series without a point are omitted.
    drawn = set(frame["series"])
    colours = {series: colour for series, colour in SERIES.items() if series in drawn}
    order = found.table["measure"].to_list()
    panels = [
        Panel(
            panel,
            _chart(own, order, colours, axis, domain, line),
            _ROW * own["measure"].n_unique() + _EDGE,
        )
        for own, panel, axis, domain, line in parts
    ]
    return Figure(name, title, _CAPTION, tuple(panels), frame, tuple(colours.items()))


def _long(table: pl.DataFrame, panel: str, series: dict[str, str]) -> pl.DataFrame:
    parts = [
        table.filter(pl.col(column).is_not_null() & pl.col(column).is_finite()).select(
            "measure",
            "about",
            pl.lit(panel).alias("panel"),
            pl.lit(called).alias("series"),
            pl.col(column).alias("value"),
            pl.col(f"{column}_low").alias("low"),
            pl.col(f"{column}_high").alias("high"),
            pl.col("clusters" if column == "area" else f"{column}_count").alias("count"),
        )
        for called, column in series.items()
    ]
    return pl.concat(parts)


def _chart(
    frame: pl.DataFrame,
    order: list[str],
    colours: dict[str, str],
    title: str,
    domain: tuple[float, float] | None,
    line: float | None,
) -> Any:
    there = set(frame["measure"])
    y = alt.Y(
        "measure:N",
        title=None,
        sort=[name for name in order if name in there],
        axis=alt.Axis(
            labelLimit=220,
            labelPadding=7,  # points at 0 reach over the axis
            grid=True,
            tickBand="extent",
            labelExpr="replace(datum.label, /_/g, ' ')",
        ),
    )
    scale = alt.Scale(zero=False) if domain is None else alt.Scale(domain=list(domain), clamp=True)
    x = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(grid=False, tickCount=5))
    layers: list[Any] = []
    if line is not None:
        across = alt.Chart(rows(pl.DataFrame({"line": [line]}))).encode(
            x=alt.X("line:Q", scale=scale)
        )
        layers.append(across.mark_rule(strokeDash=[4, 4], color=QUIET, strokeWidth=1))
    series = [name for name in SERIES if name in set(frame["series"])]
    for place, name in enumerate(series):
        # Offset in pixels, because in files all panels would share a scale of offsets.
        aside = _ASIDE * (place - (len(series) - 1) / 2)
        own = alt.Chart(rows(frame.filter(series=name))).encode(
            y=y,
            color=colour_of("series", colours),
            opacity=faded("series"),
            tooltip=[
                alt.Tooltip("measure:N"),
                alt.Tooltip("series:N", title=" "),
                alt.Tooltip("value:Q", format=".2f"),
                alt.Tooltip("low:Q", format=".2f"),
                alt.Tooltip("high:Q", format=".2f"),
                alt.Tooltip("count:Q", title="n"),
            ],
        )
        ends = alt.X("low:Q", title=title, scale=scale)
        if frame.filter(series=name)["low"].drop_nulls().len():
            layers.append(own.mark_rule(yOffset=aside).encode(x=ends, x2="high:Q"))
        layers.append(own.mark_point(size=36, yOffset=aside).encode(x=x))
    return alt.layer(*layers).add_params(only())
