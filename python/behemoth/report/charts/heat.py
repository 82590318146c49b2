"""Damage by exposures of the edited fact and exposures of the bystander."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import Absent, Figure, Panel, heat_map, number, rows
from behemoth.study.analysis.summary import Summary

from .common import ONE_CLUSTER, batched, counted, methods

_TITLE = "Damage by exposures of the edited fact and of the bystander"


def heat(summary: Summary) -> Figure | Absent:
    """Draw mean KL as one heat map per method."""
    frame = summary.damage_by_exposures.filter(pl.col("measure") == "kl")
    crossed = frame["edit_exposures"].n_unique() > 1 and frame["exposures"].n_unique() > 1
    if not crossed:
        why = "This needs edits and bystanders at two or more levels of exposures."
        return Absent("heat", _TITLE, why)
    positive = frame.filter(pl.col("mean") > 0, pl.col("mean").is_finite())["mean"]
    low, high = float(positive.min() or 1e-6), float(positive.max() or 1.0)  # type: ignore[arg-type]
    panels = [
        Panel(label, _chart(frame.filter(pl.col("label") == label), low, high), 300)
        for label in methods(summary, frame)
    ]
    reach = frame.filter(pl.col("mean") > 0).select(
        ((pl.col("high") - pl.col("low")) / (2 * pl.col("mean"))).median()
    )
    half = reach.item()
    sure = ONE_CLUSTER if half is None else (
        "95% intervals of the cluster jackknife are in the tooltips; their median half-width is "
        f"{half:.0%} of the mean, so small differences between cells are not meaningful"
    )  # fmt: skip
    caption = (
        "Mean KL(unedited || edited) of bystanders, nats; one colour scale for all panels. "
        f"{counted(frame, 'edits')}; {sure}.{batched(summary)}"
    )
    return Figure("heat", _TITLE, caption, tuple(panels), frame)


def _chart(part: pl.DataFrame, low: float, high: float) -> Any:
    columns = sorted(part["exposures"].unique().to_list())
    levels = sorted(part["edit_exposures"].unique().to_list(), reverse=True)
    middle = (low * high) ** 0.5
    drawn = part.with_columns(
        pl.col("exposures").cast(pl.String).alias("bystander"),
        pl.col("edit_exposures").cast(pl.String).alias("edited"),
        pl.col("mean").map_elements(lambda value: number(value, 2), pl.String).alias("said"),
        (pl.col("mean") > middle).alias("light"),
    )
    plain = "format(+datum.value, ',')"
    base = alt.Chart(rows(drawn)).encode(
        x=alt.X("bystander:N", sort=[str(level) for level in columns],
                title="bystander's exposures",
                axis=alt.Axis(labelAngle=0, labelExpr=plain, domain=False, ticks=False)),
        y=alt.Y("edited:N", sort=[str(level) for level in levels], title="edited fact's exposures",
                axis=alt.Axis(labelExpr=plain)),
        tooltip=[
            alt.Tooltip("edit_exposures:Q", format=",", title="edited fact's exposures"),
            alt.Tooltip("exposures:Q", format=",", title="bystander's exposures"),
            alt.Tooltip("mean:Q", format=".3g", title="KL, nats"),
            alt.Tooltip("low:Q", format=".3g"),
            alt.Tooltip("high:Q", format=".3g"),
            alt.Tooltip("rows:Q", format=",", title="edits"),
        ],
    )  # fmt: skip
    narrow = high / low < 3
    scale = alt.Scale(
        scheme="viridis", type="linear" if narrow else "log",
        domain=[0 if narrow else low, high],
    )  # fmt: skip
    return heat_map(base, "mean", "KL, nats", scale, said=len(columns) <= 7)
