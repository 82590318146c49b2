"""Mediation by the margin: ED50 against the margin before the edit, coloured by exposures."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.evaluate.dose import ed50
from behemoth.report.style import (
    Absent,
    Figure,
    Panel,
    colour_of,
    exposure_colours,
    faded,
    log_axis,
    only,
    rows,
)
from behemoth.study.analysis.dose import dosed, seeded
from behemoth.study.analysis.mediation import margin_bins
from behemoth.study.analysis.summary import Summary

from .common import FLOOR, barred, censorable, counted, first_labels, floor_of, pooled

_TITLE = "Mediation: dose against the margin before the edit"
_FEWEST = 5  # minimum number of edits in a point
_RESAMPLES = 400


def mediation(summary: Summary) -> Figure | Absent:
    """Draw ED50 in bins of the margin; curves coincide as far as the margin explains exposures."""
    labels = [label for label, name in summary.mediations if name == "all"]
    if not labels:
        why = "Too few edits at two or more levels of exposures have both a dose and a margin."
        return Absent("mediation", _TITLE, why)
    tables = []
    for label in labels:
        mine = dosed(summary.edits.filter((pl.col("label") == label) & (pl.col("exposures") > 0)))
        mine = seeded(mine)
        binned = margin_bins(mine)
        at = pl.col("margin").median().over("bin").alias("middle")
        table = ed50(
            binned.with_columns(at), by=("bin", "middle", "exposures"), resamples=_RESAMPLES
        )
        tables.append(table.with_columns(pl.lit(label).alias("label")))
    frame = pl.concat(tables).filter(pl.col("edits") >= _FEWEST)
    if not frame.height:
        return Absent("mediation", _TITLE, f"No bin of margins has {_FEWEST} edits of one level.")
    floor = floor_of(float(frame.select(pl.coalesce("ed50", "beyond").max()).item()))
    frame = frame.with_columns(
        pl.coalesce("ed50", "beyond").clip(lower_bound=floor).alias("steps"),
        pl.col("low", "high").clip(floor, pl.col("beyond")),
        pl.col("exposures").map_elements("{:,}".format, return_dtype=pl.String).alias("level"),
    )
    colours = exposure_colours(frame["exposures"].to_list())
    first, last = pl.min_horizontal("steps", "low"), pl.max_horizontal("steps", "high")
    limits = [float(frame.select(end).item()) for end in (first.min(), last.max())]
    panels = [
        Panel(label, _chart(frame.filter(pl.col("label") == label), colours, limits))
        for label in first_labels(frame)
    ]
    bars = (
        "bars are 95% percentile intervals of the bootstrap over clusters, and a point without a "
        "bar has one cluster, or the same ED50 in all resamples"
    )
    caption = (
        "Each point is the ED50 of edits in one fifth of the margins, log p(old) \u2212 log p(new) "
        f"before the edit, with {_FEWEST} edits or more. {counted(frame, 'edits', 'edits')}; "
        f"{barred(frame, bars)}. If curves coincide where their "
        "margins overlap, the margin explains the effect of exposures. A small difference there "
        "does not show the contrary, as margins rise with exposures inside a fifth, too; without "
        "overlap, nothing can be concluded. The table of mediation has the shares with their "
        f"intervals.{pooled(summary)}"
    )
    return Figure("mediation", _TITLE, caption, tuple(panels), frame, tuple(colours.items()),
                  "exposures", "△ right-censored: ED50 is larger")  # fmt: skip


def _chart(part: pl.DataFrame, colours: dict[str, str], limits: list[float]) -> Any:
    y = log_axis("steps", "ED50, edit steps", *limits, zero=FLOOR)
    base = alt.Chart(rows(part)).encode(
        x=alt.X(
            "middle:Q",
            title="margin before the edit, nats",
            scale=alt.Scale(nice=True),
            axis=alt.Axis(tickCount=6),
        ),
        color=colour_of("level", colours),
        opacity=faded("level"),
        tooltip=[
            alt.Tooltip("exposures:Q", format=","),
            alt.Tooltip("middle:Q", format=".2f", title="margin, nats"),
            alt.Tooltip("ed50:Q", title="ED50, steps"),
            alt.Tooltip("low:Q"),
            alt.Tooltip("high:Q"),
            alt.Tooltip("edits:Q", format=","),
        ],
    )
    layers = [base.mark_line(strokeOpacity=0.75).encode(y=y), censorable(base, part, y)]
    if part["low"].drop_nulls().len():  # without an interval, Vega would warn of a layer of nothing
        bars = base.mark_rule(strokeOpacity=0.6).encode(y=alt.Y("low:Q"), y2="high:Q")
        layers.insert(1, bars)
    return alt.layer(*layers).add_params(only())
