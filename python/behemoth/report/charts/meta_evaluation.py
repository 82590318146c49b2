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
    "as it is read": BLUE,
    "held to the twin": ORANGE,
    "refusal": "#CC79A7",
    "relearning": "#009E73",
    "rounding": "#E69F00",
}
"""Series within a panel, with their colours."""
_PANELS = (
    ("Told from the twin", {"as it is read": "area"}, "area (0.5: not at all)", (0.0, 1.0), 0.5),
    (
        "Ranks methods as the distance to the twin does",
        {"as it is read": "ranks", "held to the twin": "ranks_twin"},
        "Kendall's tau",
        (-1.0, 1.0),
        0.0,
    ),
    (
        "Calls forgotten what is not",
        {"refusal": "suppression", "relearning": "relearning", "rounding": "rounding"},
        "share of such models",
        (0.0, 1.0),
        None,
    ),
    (
        "Depends on frequency, at the twin",
        {"as it is read": "frequency"},
        "change per doubling, in gaps to the trained model",
        None,
        0.0,
    ),
)
_ROW, _EDGE, _ASIDE = 19, 50, 5  # pixels
_CAPTION = (
    "One row a metric. Told from the twin: the chance that the trained model of one cluster has a "
    "worse value than the retrained twin of any, with Newcombe's score interval. Ranks: over pairs "
    "of different methods on one model, by the metric as papers read it, and by |value \u2212 the "
    "twin's|. Calls forgotten: the share of models that refuse though they are far from the twin, "
    "or that say no more of the facts than the twin, but relearn faster, or say them again with "
    "weights rounded to 8 or 4 bits, whose value is nearer the twin's than the trained model's; "
    "what rests on recall itself is 1 by construction in the last two. Frequency: how the twin's "
    "value moves with the exposures that the facts would have had. Bars are 95 % intervals over "
    "(world, initialisation) by the cluster jackknife but for the first; points without one are of "
    "one cluster or the same in all."
)


def meta_evaluation_figure(found: MetaEvaluation) -> Figure | Absent:
    """Draw the metrics, in the order of the table."""
    name, title = "metrics", "What each metric is worth"
    parts = [
        (frame, panel, axis, domain, line)
        for panel, series, axis, domain, line in _PANELS
        if not (frame := _long(found.table, panel, series)).is_empty()
    ]
    if not parts:
        return Absent(name, title, "No finished trial has a twin and a trained model beside it.")
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
                alt.Tooltip("count:Q", title="rests on"),
            ],
        )
        ends = alt.X("low:Q", title=title, scale=scale)
        if frame.filter(series=name)["low"].drop_nulls().len():
            layers.append(own.mark_rule(yOffset=aside).encode(x=ends, x2="high:Q"))
        layers.append(own.mark_point(size=36, yOffset=aside).encode(x=x))
    return alt.layer(*layers).add_params(only())
