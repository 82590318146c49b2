"""Rank of the update against its placement."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import Absent, Figure, Panel, number, rows
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import plural_text

from .common import pooled, span_text

_TITLE = "Rank and placement of the update"
_MEASURES = {
    "steps": "ED50, edit steps",
    "success": "Success in free generation",
    "kl": "KL on bystanders, nats",
}
_FEWER = ("steps", "kl")  # measures of which smaller values are better


def placement(summary: Summary) -> Figure | Absent:
    """Draw a grid of rank x placement for dose, success and damage."""
    frame = _comparable(summary)
    if frame.select("rank", "part").n_unique() < 2 or frame.height < 2:
        why = "The study has one rank and one placement only."
        return Absent("placement", _TITLE, why)
    several = frame.group_by("rank", "part").len()["len"].max() != 1
    frame = frame.with_columns(
        pl.coalesce(pl.col("rank").cast(pl.String), pl.lit("full")).alias("rank_name"),
        pl.coalesce("ed50", "beyond").alias("steps"),
    )
    # If several methods share a cell, the one with the most success represents it.
    best = frame.sort("success", descending=True).unique(["rank", "part"], keep="first",
                                                         maintain_order=True)  # fmt: skip
    ranks = best.sort(pl.col("rank").fill_null(1 << 40))["rank_name"].unique(maintain_order=True)
    parts = best["part"].unique().sort().to_list()
    panels = [
        Panel(title, _chart(best, name, ranks.to_list(), parts), 60 + 44 * len(parts))
        for name, title in _MEASURES.items()
        if best[name].drop_nulls().len()
    ]
    shared = (
        " If several methods share a cell, the one with the most success is shown."
        if several
        else ""
    )
    caption = (
        "Over all exposures; lighter is better in every panel. > marks a right-censored ED50; "
        f"“full” updates complete matrices. {_said_of_rows(frame)}n = {span_text(best['edits'])} "
        f"edits per cell; no intervals are shown.{pooled(summary)}{shared}"
    )
    return Figure("placement", _TITLE, caption, tuple(panels), frame, own_colours=True)


def _comparable(summary: Summary) -> pl.DataFrame:
    """Return settings of editing methods with the same number of retained rows.

    Methods that unlearn are excluded, because their success is another measure. Of several numbers
    of retained rows, the one with the most cells is chosen, and the largest of equals.
    """
    forgets = summary.methods.filter(pl.col("forgets").fill_null(False))["label"]
    frame = summary.settings.filter(~pl.col("label").is_in(forgets.implode()))
    if not frame.height:
        return frame
    cells = frame.group_by("retain_rows").agg(pl.struct("rank", "part").n_unique().alias("cells"))
    chosen = cells.sort("cells", pl.col("retain_rows").fill_null(-1))["retain_rows"][-1]
    return frame.filter(pl.col("retain_rows").eq_missing(pl.lit(chosen, pl.Int64)))


def _said_of_rows(frame: pl.DataFrame) -> str:
    rows_kept = frame["retain_rows"][0]
    if rows_kept is None:
        return ""
    return f"All edits have {plural_text(rows_kept, 'retained row')}. "


def _chart(frame: pl.DataFrame, name: str, ranks: list[str], parts: list[str]) -> Any:
    some = frame.drop_nulls(name)
    values = some[name].cast(pl.Float64)
    low, high = 0.0, float(values.max() or 1.0)  # type: ignore[arg-type]
    censored = pl.col("censored").fill_null(False) & (pl.lit(name) == "steps")
    said = pl.col(name).cast(pl.Float64).map_elements(lambda value: _said(name, value), pl.String)
    drawn = some.with_columns(
        pl.when(censored).then(pl.lit(">") + said).otherwise(said).alias("said"),
        (
            (pl.col(name).cast(pl.Float64) > low + 0.55 * (high - low))
            if name not in _FEWER
            else (pl.col(name).cast(pl.Float64) < low + 0.45 * (high - low))
        ).alias("light"),
    )
    base = alt.Chart(rows(drawn)).encode(
        x=alt.X("rank_name:N", sort=ranks, title="rank",
                axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("part:N", sort=parts, title=""),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("said:N", title=_MEASURES[name]),
            alt.Tooltip("edits:Q", format=","),
        ],
    )  # fmt: skip
    scale = alt.Scale(scheme="viridis", domain=[low, high], reverse=name in _FEWER)
    ink = alt.condition("datum.light", alt.value("#1f2328"), alt.value("white"))
    return base.mark_rect(stroke="white", strokeWidth=1.5).encode(
        color=alt.Color(f"{name}:Q", scale=scale, legend=None)
    ) + base.mark_text(fontSize=12).encode(text="said:N", color=ink)


def _said(name: str, value: float) -> str:
    if name == "success":
        return f"{value:.0%}"
    return f"{value:,.0f}" if name == "steps" else number(value, 2)
