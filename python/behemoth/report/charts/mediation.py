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

from .common import censorable, counted, first_labels

_TITLE = "Is it how sure the model was? Dose against the margin before the edit"
_FEWEST = 5  # minimum number of edits in a point
_RESAMPLES = 400
_FLOOR = 0.5  # position, in steps, of edits that needed none


def mediation(summary: Summary) -> Figure | Absent:
    """Draw ED50 in bins of the margin; curves coincide as far as the margin explains exposures."""
    labels = [label for label, name in summary.mediations if name == "all"]
    if not labels:
        why = "Too few edits have both a dose and a margin at two levels of exposures or more."
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
        return Absent("mediation", _TITLE, f"No bin of margin has {_FEWEST} edits of one level.")
    frame = frame.with_columns(
        pl.coalesce("ed50", "beyond").clip(lower_bound=_FLOOR).alias("steps"),
        pl.col("low", "high").clip(_FLOOR, pl.col("beyond")),
        pl.col("exposures").map_elements("{:,}".format, return_dtype=pl.String).alias("level"),
    )
    colours = exposure_colours(frame["exposures"].to_list())
    limits = [float(frame.select(getattr(pl.col("steps"), end)()).item()) for end in ("min", "max")]
    panels = [
        Panel(label, _chart(frame.filter(pl.col("label") == label), colours, limits))
        for label in first_labels(frame)
    ]
    caption = (
        "Each point is the ED50 of edits in one fifth of the margins, log p(old) - log p(new) "
        f"before the edit; {counted(frame, 'edits', 'edits')}, bars are 95 % percentile intervals "
        "of the bootstrap over clusters. Where curves share a range of margins and lie on each "
        "other there, the margin explains the effect of exposures; where they lie apart, it does "
        "not; where they share none, nothing can be said. The table of mediation has the shares "
        "with their intervals."
    )
    return Figure("mediation", _TITLE, caption, tuple(panels), frame, tuple(colours.items()),
                  "exposures", "△ censored")  # fmt: skip


def _chart(part: pl.DataFrame, colours: dict[str, str], limits: list[float]) -> Any:
    y = log_axis("steps", "ED50, edit steps", *limits, zero=_FLOOR)
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
            alt.Tooltip("edits:Q"),
        ],
    )
    return (
        base.mark_line(strokeOpacity=0.75).encode(y=y)
        + base.mark_rule(strokeOpacity=0.6).encode(y=alt.Y("low:Q"), y2="high:Q")
        + censorable(base, part, y)
    ).add_params(only())
