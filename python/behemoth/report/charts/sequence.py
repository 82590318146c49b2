"""Edits one after another: what holds and what is lost by the number of edits, and of which edits.

It is drawn by kind of world and number of edits of the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl

from behemoth.report.learnt import world_name
from behemoth.report.style import (
    Absent,
    Figure,
    Panel,
    colour_of,
    faded,
    heat_map,
    label_colours,
    label_shapes,
    log_axis,
    number,
    only,
    rows,
    wide,
)
from behemoth.study.analysis.sequence import Sequences
from behemoth.support.text import plural_text

from .common import BARS, span_text, spread, told_apart

__all__ = ["by_checkpoints", "groups_of", "retention_matrix"]

_SHARES = {
    "hold": ("Edits that hold", "share of the edits made so far"),
    "forgotten": ("Old answers forgotten", "share of the known edits made so far"),
    "lost": ("Known bystanders lost", "share"),
}
_AMOUNTS = {
    "kl": ("KL on bystanders", "nats"),
    "norm": ("Norm of the change", "share of the norm of the changed weights"),
}
_TITLE = "Retention and damage by the number of edits"
_MATRIX = "Which edits hold, by when they were made"
_NONE = "No trial has a value."


def groups_of(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    """Return the rows of each kind of world and number of edits, with a name if there are several.

    Parameters
    ----------
    frame : polars.DataFrame
        A frame of `Sequences`.
    """
    parts = frame.partition_by("grammar", "edits", maintain_order=True)
    heads = [(part["grammar"][0], part["edits"][0]) for part in parts]
    worlds, plans = ({head[at] for head in heads} for at in (0, 1))
    names = [
        ", ".join(
            [
                *([world_name(world)] if len(worlds) > 1 else []),
                *([plural_text(edits, "edit")] if len(plans) > 1 else []),
            ]
        )
        for world, edits in heads
    ]
    return list(zip(names, parts, strict=True))


def by_checkpoints(found: Sequences) -> Figure | Absent:
    """Draw shares, KL and norm against the number of edits made."""
    drawn = pl.col("measure").is_in([*_SHARES, *_AMOUNTS])
    frame = found.checkpoints.filter(drawn, pl.col("mean").is_finite())
    if frame.is_empty():
        return Absent("sequence", _TITLE, _NONE)
    labels = found.checkpoints["label"].unique(maintain_order=True).to_list()
    colours = label_colours(labels)
    placed = spread(frame, labels).with_columns(
        (pl.col("after").cast(pl.Float64) * pl.lit(2.0) ** pl.col("dodge")).alias("at")
    )
    panels = [
        Panel(
            ", ".join(filter(None, (title, name))),
            _lines(part, colours, unit, amount=measure in _AMOUNTS),
        )
        for name, own in groups_of(placed)
        for measure, (title, unit) in {**_SHARES, **_AMOUNTS}.items()
        if _drawable(part := own.filter(measure=measure), amount=measure in _AMOUNTS)
    ]
    caption = (
        f"Each point is the mean over {span_text(frame['rows'], 'trial')} in up to "
        f"{plural_text(int(frame['clusters'].max() or 0), 'cluster')}, of the same sample of edits "  # type: ignore[arg-type]
        f"and bystanders at each number of edits. {BARS}. Points are shifted sideways so that bars "
        "do not overlap. Numbers of 0 have no place on a logarithmic axis."
    )
    return Figure(
        "sequence", _TITLE, caption, tuple(panels), placed.drop("dodge", "at"),
        tuple(colours.items()), "methods", shapes=label_shapes(labels),
    )  # fmt: skip


def _drawable(part: pl.DataFrame, *, amount: bool) -> bool:
    return not (part.filter(pl.col("mean") > 0) if amount else part).is_empty()


def _lines(part: pl.DataFrame, colours: dict[str, str], unit: str, *, amount: bool) -> Any:
    shown = part.with_columns(pl.col("low").alias("from"))
    y = alt.Y("mean:Q", title=unit, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="~g"))
    if amount:
        shown = shown.filter(pl.col("mean") > 0)
        low, high = (float(getattr(shown["mean"], end)()) for end in ("min", "max"))
        y = log_axis("mean", unit, low, high)
        if wide(low, high):  # an end of 0 has no place; half of the least mean is below the axis
            shown = shown.with_columns(pl.col("low").clip(lower_bound=low / 2))
    checkpoints = sorted(shown["after"].unique().to_list())
    x = alt.X(
        "at:Q",
        title="edits made (log scale)",
        scale=alt.Scale(
            type="log", domain=[checkpoints[0] / 1.35, checkpoints[-1] * 1.35], nice=False
        ),
        axis=alt.Axis(values=checkpoints, format=","),
    )
    base = alt.Chart(rows(shown.drop("dodge"))).encode(
        x=x,
        color=colour_of("label", colours),
        opacity=faded("label"),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("after:Q", format=",", title="edits made"),
            alt.Tooltip("mean:Q", format=".3g"),
            alt.Tooltip("from:Q", format=".3g", title="low"),
            alt.Tooltip("high:Q", format=".3g"),
            alt.Tooltip("rows:Q", format=",", title="trials"),
            alt.Tooltip("clusters:Q"),
        ],
    )
    layers: list[Any] = [base.mark_line().encode(y=y)]
    if shown["low"].drop_nulls().len():  # with few clusters there are none, and Vega would warn
        bars = base.mark_rule(clip=True, strokeOpacity=0.5)
        layers.append(bars.encode(y=alt.Y("low:Q"), y2="high:Q"))
    layers.append(told_apart(base.mark_point(), "label", colours).encode(y=y))
    return alt.layer(*layers).add_params(only())


def retention_matrix(found: Sequences) -> Figure | Absent:
    """Draw the share of edits that hold by when they were made, one heat map per method."""
    frame = found.matrix
    if frame.is_empty() or frame["after"].n_unique() < 2:
        why = _NONE if frame.is_empty() else "There is one checkpoint, and nothing to compare."
        return Absent("sequence-matrix", _MATRIX, why)
    panels = [
        Panel(
            ", ".join(filter(None, (label, name))),
            _cells(own),
            80 + 34 * own["made"].n_unique(),
        )
        for name, part in groups_of(frame)
        for (label,), own in part.group_by("label", maintain_order=True)
    ]
    caption = (
        "Share of the edits made in each stretch (rows) that hold after so many edits (columns): "
        "the new answer is generated in each wording they were made in; of methods that only "
        "forget, the old answer of a fact that was known is generated in none. n = "
        f"{span_text(frame['rows'], 'edit')} per cell, {span_text(frame['clusters'], 'cluster')}; "
        "95% intervals of the cluster jackknife are in the tooltips."
    )
    return Figure("sequence-matrix", _MATRIX, caption, tuple(panels), frame)


def _cells(part: pl.DataFrame) -> Any:
    drawn = part.with_columns(
        pl.Series("made_in", [_stretch(row) for row in part.iter_rows(named=True)]),
        pl.Series("at", [f"{after:,}" for after in part["after"]]),
        pl.col("mean").map_elements(lambda value: number(value, 2), pl.String).alias("said"),
        (pl.col("mean") > 0.5).alias("light"),
    )
    stretches = drawn.sort("made")["made_in"].unique(maintain_order=True).to_list()
    columns = drawn.sort("after")["at"].unique(maintain_order=True).to_list()
    base = alt.Chart(rows(drawn)).encode(
        x=alt.X("at:N", sort=columns, title="edits made so far",
                axis=alt.Axis(labelAngle=0, domain=False, ticks=False)),
        y=alt.Y("made_in:N", sort=stretches, title="edits", axis=alt.Axis()),
        tooltip=[
            alt.Tooltip("made_in:N", title="edits"),
            alt.Tooltip("at:N", title="edits made so far"),
            alt.Tooltip("mean:Q", format=".3f"),
            alt.Tooltip("low:Q", format=".3f"),
            alt.Tooltip("high:Q", format=".3f"),
            alt.Tooltip("rows:Q", format=",", title="edits"),
        ],
    )  # fmt: skip
    scale = alt.Scale(scheme="viridis", domain=[0, 1])
    return heat_map(base, "mean", "share that holds", scale, said=len(columns) <= 7)


def _stretch(row: Mapping[str, Any]) -> str:
    first, last = row["made_after"] + 1, row["made"]
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"
