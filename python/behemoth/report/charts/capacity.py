"""Bits stored per parameter against exposures, with the lines of 1 and 2 bits."""

from __future__ import annotations

import altair as alt
import polars as pl

from behemoth.report.style import INK, Absent, Figure, Panel, label_colours, rows
from behemoth.study.analysis.summary import Summary

from .common import CUT, by_size, counted, curves, first_labels, jackknife

_TITLE = "Capacity: bits stored per parameter"


def capacity(summary: Summary) -> Figure | Absent:
    """Draw bits per parameter, if all facts were stored as well as those of each level."""
    frame = summary.capacity
    if not frame.height:
        return Absent("capacity", _TITLE, "The recall of no model has been evaluated yet.")
    offered = pl.col("offered_per_parameter")
    frame = by_size(frame).with_columns(
        pl.format("{}, world of {} bits per parameter", "size", offered).alias("cell")
    )
    colours = label_colours(first_labels(frame, "cell"))
    # With an axis up to 2, the curve of a world with a hundredth of a bit would be flat.
    most_offered = float(frame["offered_per_parameter"].max() or 1.0)  # type: ignore[arg-type]
    top = 1.15 * min(2.0, max(most_offered, float(frame["mean"].max() or 0.0)))  # type: ignore[arg-type]
    y = alt.Y("mean:Q", title="bits stored per parameter", scale=alt.Scale(domain=[0, top]),
              axis=alt.Axis(tickCount=5, format="~g"))  # fmt: skip
    tooltip = [
        alt.Tooltip("cell:N", title="model"),
        alt.Tooltip("exposures:Q", format=","),
        alt.Tooltip("mean:Q", format=".3f", title="bits per parameter"),
        alt.Tooltip("low:Q", format=".3f"),
        alt.Tooltip("high:Q", format=".3f"),
    ]
    marks = [(1.0, "1 bit per parameter"), (2.0, "2 bits per parameter")]
    if most_offered < 2:
        marks.append((most_offered, f"all bits of the world, {most_offered:.2g} per parameter"))
    lines = pl.DataFrame([mark for mark in marks if mark[0] <= top], ["bits", "said"], orient="row")
    rule = alt.Chart(rows(lines)).mark_rule(strokeDash=[5, 4], color=INK, strokeWidth=1)
    text = alt.Chart(rows(lines)).mark_text(align="left", dx=4, dy=-9, fontSize=11, color=INK)
    chart = (
        curves(frame, colours, y, field="cell", tooltip=tooltip)
        + rule.encode(y="bits:Q")
        + text.encode(y="bits:Q", x=alt.value(0), text="said:N")
    )
    models = summary.capacity_of_models
    caption = (
        "A fact stores log2(objects) + log2 p(true object) bits. A point is the share of their "
        "bits that the facts of a level store, times all bits of the world: log2(objects) summed "
        "over all its facts, including facts that follow from others (the load in the table of "
        "models excludes those). "
        f"{counted(frame, 'facts')}; {jackknife(frame)}. {CUT}"
    )
    # A model of a world with fewer bits may store a larger share of them.
    fullest = models.sort("bits_per_parameter").row(-1, named=True)
    most, offers = fullest["bits_per_parameter"], fullest["offered_per_parameter"]
    finding = f"The fullest model stores {most:.2g} bits per parameter"
    finding += f", {most / offers:.0%} of the bits of its world." if offers else "."
    return Figure("capacity", _TITLE, caption, (Panel("", chart),), frame,
                  tuple(colours.items()), "model", finding=finding)  # fmt: skip
