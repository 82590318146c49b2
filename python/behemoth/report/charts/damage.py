"""Damage by the group of the bystanders."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    Absent,
    Figure,
    Panel,
    colour_of,
    faded,
    label_colours,
    only,
    rows,
)
from behemoth.study.analysis.summary import Summary

from .common import JACKKNIFE, counted, first_labels, methods, names_of_rows

_TITLE = "Damage by what the bystander shares with the edited fact"
_MEASURES = {
    "kl": ("KL on bystanders", "nats", "~g"),
    "lost": ("Known bystanders lost", "share", "%"),
}


def damage(summary: Summary) -> Figure | Absent:
    """Draw the mean of each group and method."""
    sizes = summary.damage["size"].n_unique()
    frame = summary.damage.with_columns(
        pl.col("group").str.replace_all("_", " "),
        (pl.format("{}, {}", "label", "size") if sizes > 1 else pl.col("label")).alias("cell"),
    )
    if not frame.height:
        return Absent("damage", _TITLE, "The plans of this study ask no bystanders.")
    places = {label: place for place, label in enumerate(methods(summary, frame))}
    ordered = frame.sort(pl.col("label").replace_strict(places, return_dtype=pl.Int64), "size")
    colours = label_colours(first_labels(ordered, "cell"))
    order = (
        frame.filter(pl.col("measure") == "kl")
        .group_by("group").agg(pl.col("mean").mean()).sort("mean", descending=True)["group"]
        .to_list()
    )  # fmt: skip
    panels = [
        Panel(title, _chart(part, colours, order, unit, form), 40 + 46 * len(order))
        for measure, (title, unit, form) in _MEASURES.items()
        if (part := frame.filter(pl.col("measure") == measure)).height
    ]
    caption = (
        "Bystanders are facts that the edit must not change. What was not known before cannot be "
        f"lost and does not count as such. {counted(frame, 'edits')}; {JACKKNIFE}."
    )
    return Figure("damage", _TITLE, caption, tuple(panels), frame, tuple(colours.items()), "method")


def _chart(
    part: pl.DataFrame, colours: dict[str, str], order: list[str], unit: str, form: str
) -> Any:
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
    x = alt.X("mean:Q", title=unit, scale=alt.Scale(zero=True),
              axis=alt.Axis(grid=True, tickCount=5, format=form))  # fmt: skip
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
    return (
        base.mark_rule().encode(x=alt.X("low:Q"), x2="high:Q")
        + base.mark_point().encode(x=x)
        + names_of_rows(names, "group", y)
    ).add_params(only())
