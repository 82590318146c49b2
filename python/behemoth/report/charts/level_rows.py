"""A measure of every method at several levels: one row per method, with a point for each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    SHAPES,
    Panel,
    colour_of,
    exposure_colours,
    faded,
    only,
    rows,
    shape_of,
)

from .common import names_of_rows

__all__ = ["Levels", "level_panel", "on_rows"]

_NAME, _STEP = 20, 9  # pixels for the name of a row, and for each of its points
_AXIS = 46
_LINES = "#e6e8eb"  # between methods, as quiet as the grid


class Levels:
    """The levels of a figure, in order, with their colours and shapes.

    Parameters
    ----------
    field : str
        Column with the names of levels.
    names : sequence of str

    Attributes
    ----------
    colours, shapes : dict of str to str
        By name; dark for the first.
    height : int
        Pixels of a method's row.
    """

    def __init__(self, field: str, names: Sequence[str]) -> None:
        self.field = field
        found = exposure_colours(range(len(names))).values()
        self.colours = dict(zip(names, found, strict=True))
        self.shapes = {name: SHAPES[place % len(SHAPES)] for place, name in enumerate(names)}
        self.height = _NAME + _STEP * len(names)


def on_rows(frame: pl.DataFrame, labels: Sequence[str], levels: Levels) -> pl.DataFrame:
    """Add ``row``, the place of each point: methods in the order of `labels`, then levels."""
    methods = {label: float(place) for place, label in enumerate(labels)}
    within = {name: float(place) for place, name in enumerate(levels.colours)}
    shift = pl.col(levels.field).replace_strict(within, return_dtype=pl.Float64)
    return frame.with_columns(
        (
            pl.col("label").replace_strict(methods, return_dtype=pl.Float64)
            + (_NAME + _STEP * (shift + 0.2)) / levels.height
        ).alias("row")
    ).sort("row")


def level_panel(
    title: str,
    unit: str,
    part: pl.DataFrame,
    labels: Sequence[str],
    levels: Levels,
    tooltip: Mapping[str, str],
) -> Panel:
    """Return a panel of shares from 0 to 1 with their intervals.

    Parameters
    ----------
    title, unit : str
        Titles of the panel and of its axis.
    part : polars.DataFrame
        Columns label, row (`on_rows`), the levels' field, mean, low, high, rows, clusters.
    labels : sequence of str
        Methods from the top.
    levels : Levels
    tooltip : mapping of str to str
        Titles of further columns of numbers for the tooltip.
    """
    y = alt.Y(
        "row:Q", axis=None, scale=alt.Scale(domain=[0, len(labels)], reverse=True, nice=False)
    )
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("mean:Q", title=unit, scale=scale, axis=alt.Axis(tickCount=5, grid=True, format="~g"))
    base = alt.Chart(rows(part)).encode(
        y=y,
        color=colour_of(levels.field, levels.colours),
        opacity=faded(levels.field),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip(f"{levels.field}:N"),
            alt.Tooltip("mean:Q", format=".3f"),
            alt.Tooltip("low:Q", format=".3f"),
            alt.Tooltip("high:Q", format=".3f"),
            *(alt.Tooltip(f"{name}:Q", format=",", title=said) for name, said in tooltip.items()),
            alt.Tooltip("rows:Q", format=",", title="trials"),
            alt.Tooltip("clusters:Q"),
        ],
    )
    places = [place + (_NAME - 6) / levels.height for place in range(len(labels))]
    names = pl.DataFrame({"label": list(labels), "row": places})
    ends = pl.DataFrame({"row": [float(place) for place in range(1, len(labels))]})
    layers: list[Any] = [alt.Chart(rows(ends)).mark_rule(color=_LINES, strokeWidth=1).encode(y=y)]
    if part["low"].drop_nulls().len():  # with few clusters there are none, and Vega would warn
        layers.append(base.mark_rule().encode(x=alt.X("low:Q", scale=scale), x2="high:Q"))
    points = base.mark_point(size=56).encode(
        x=x, shape=shape_of(levels.field, levels.colours, levels.shapes)
    )
    chart = alt.layer(*layers, points, names_of_rows(names, "label", y)).add_params(only())
    return Panel(title, chart, _AXIS + levels.height * len(labels))
