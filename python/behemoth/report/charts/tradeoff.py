"""Success against damage, coloured by exposures."""

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
    decades,
    exposure_colours,
    faded,
    only,
    rows,
)
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import plural_text

from .common import aims, batched, counted, jackknife, methods, pooled

_TITLE = "Success against damage"
_LARGE = 0.7  # if all shares are above it, an axis from 0 would show them as a line at the top
_CERTAIN = 0.97  # if all shares are above it, there is no trade-off to show


def tradeoff(summary: Summary) -> Figure | Absent:
    """Draw one panel per method: up is more success, left is less damage."""
    every = summary.tradeoff
    frame = every.filter(pl.col("kl") > 0, pl.col("kl").is_finite())
    if not frame.height:
        why = "No finished trial has both successes and bystanders."
        return Absent("tradeoff", _TITLE, why)
    # Over all rows: one that cannot be drawn may have no success at all.
    if float(every.select(pl.col("success").min()).item()) > _CERTAIN:
        why = f"More than {_CERTAIN:.0%} of the edits succeed with every method at every level."
        return Absent("tradeoff", _TITLE, why)
    frame = frame.with_columns(
        pl.col("exposures").map_elements("{:,}".format, return_dtype=pl.String).alias("level")
    )
    floor = float(frame.select(pl.col("kl").min()).item())
    top = float(frame.select(pl.max_horizontal("kl", "kl_high").max()).item())
    drawn = frame.with_columns(pl.col("kl_low").clip(lower_bound=floor / 2))
    colours = exposure_colours(frame["exposures"].to_list())
    domain = [floor / 2, top * 1.2]
    least = float(frame.select(pl.min_horizontal("success", "success_low").min()).item())
    shares = [_bottom(least), 1.0]
    panels = [
        Panel(label, _chart(drawn.filter(pl.col("label") == label), colours, domain, shares))
        for label in methods(summary, frame)
    ]
    caption = (
        f"Success: {_success(*aims(summary, frame))} after the edit. Damage: mean KL(unedited || "
        f"edited) over bystanders, nats, on a log scale. {counted(frame, 'edits', 'edits')}; "
        f"{jackknife(frame)}.{pooled(summary)}{batched(summary)}{_left_out(every)}"
    )
    return Figure("tradeoff", _TITLE, caption, tuple(panels), frame, tuple(colours.items()),
                  "exposures of the edited fact")  # fmt: skip


def _success(edits: bool, forgets: bool) -> str:
    """Return the definition of success, for methods that edit, that unlearn, or both."""
    match, gone = "exact match of free generation", "the old object no longer generated"
    if not forgets:
        return match
    return f"{match} (unlearning: {gone})" if edits else gone


def _left_out(every: pl.DataFrame) -> str:
    """Return a sentence on the points that are not drawn, and why."""
    priced, broken = pl.col("kl").is_not_null(), pl.col("broken") == pl.col("edits")
    counts = (
        (
            every.filter(pl.col("kl") <= 0).height,
            "with a KL of 0, which has no logarithm",
        ),
        (every.filter(pl.col("kl").is_infinite()).height, "with an infinite KL"),
        (every.filter(~priced & broken).height, "in which every edit failed"),
        (every.filter(~priced & ~broken).height, "without bystanders"),
    )
    said = [f"{plural_text(count, 'point')} {why}" for count, why in counts if count]
    return f" Not drawn: {'; '.join(said)}." if said else ""


def _bottom(least: float) -> float:
    """Return the start of the axis of shares: 0, or a tenth below them if all are large."""
    return 0.0 if least < _LARGE else min(0.9, math.floor(round(10 * least, 6)) / 10)


def _chart(
    part: pl.DataFrame, colours: dict[str, str], domain: list[float], shares: list[float]
) -> Any:
    x_scale = alt.Scale(type="log", domain=domain, nice=False)
    y_scale = alt.Scale(domain=shares)
    x = alt.X("kl:Q", title="damage: KL on bystanders, nats (log scale)", scale=x_scale,
              axis=alt.Axis(format="~g", values=decades(*domain)))  # fmt: skip
    y = alt.Y("success:Q", title="success", scale=y_scale, axis=alt.Axis(format="%"))
    base = alt.Chart(rows(part)).encode(
        color=colour_of("level", colours),
        opacity=faded("level"),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("exposures:Q", format=","),
            alt.Tooltip("success:Q", format=".1%"),
            alt.Tooltip("kl:Q", format=".3g", title="KL, nats"),
            alt.Tooltip("lost:Q", format=".1%", title="known bystanders lost"),
            alt.Tooltip("edits:Q", format=","),
        ],
    )
    thread = alt.Chart(rows(part)).mark_line(color="#c4c9cf", strokeWidth=1)
    return (
        thread.encode(x=x, y=y, order="exposures:Q")
        + base.mark_rule().encode(x=alt.X("kl_low:Q", scale=x_scale), x2="kl_high:Q", y=y)
        + base.mark_rule().encode(x=x, y=alt.Y("success_low:Q", scale=y_scale), y2="success_high:Q")
        + base.mark_point(size=80).encode(x=x, y=y)
    ).add_params(only())
