"""Is it the margin? ED50 against the margin before the edit, coloured by exposures."""

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
from behemoth.study.analysis.dose import dosed
from behemoth.study.analysis.mediation import margin_bins
from behemoth.study.analysis.summary import Summary

from .common import censorable, first_labels

_TITLE = "Is it how sure the model was? Dose against the margin before the edit"
_FEWEST = 5  # edits of a point


def mediation(summary: Summary) -> Figure | Absent:
    """Draw ED50 in bins of equal margin: what the margin explains, curves have in common."""
    labels = [label for label, name in summary.mediations if name == "all"]
    if not labels:
        why = "Too few edits have both a dose and a margin at two levels of exposures or more."
        return Absent("mediation", _TITLE, why)
    tables = []
    for label in labels:
        mine = dosed(summary.edits.filter((pl.col("label") == label) & (pl.col("exposures") > 0)))
        binned = margin_bins(mine)
        at = pl.col("margin").median().over("bin").alias("middle")
        table = ed50(
            binned.with_columns(at).drop("world", "seed"), by=("bin", "middle", "exposures")
        )
        tables.append(table.with_columns(pl.lit(label).alias("label")))
    frame = pl.concat(tables).filter(pl.col("edits") >= _FEWEST).drop("low", "high", "clusters")
    if not frame.height:
        return Absent("mediation", _TITLE, f"No bin of margin has {_FEWEST} edits of one level.")
    frame = frame.with_columns(
        pl.coalesce("ed50", "beyond").clip(lower_bound=0.5).alias("steps"),
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
        f"before the edit; at least {_FEWEST} edits a point. Curves that lie on each other say "
        "that the margin explains the effect of exposures; curves apart, that it does not. The "
        "table of mediation has the shares with their intervals."
    )
    return Figure("mediation", _TITLE, caption, tuple(panels), frame, tuple(colours.items()),
                  "exposures", "△ censored")  # fmt: skip


def _chart(part: pl.DataFrame, colours: dict[str, str], limits: list[float]) -> Any:
    y = log_axis("steps", "ED50, edit steps", *limits, zero=0.5)
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
            alt.Tooltip("edits:Q"),
        ],
    )
    return (base.mark_line(strokeOpacity=0.75).encode(y=y) + censorable(base, part, y)).add_params(
        only()
    )
