"""Benefit of a method against its cost to other facts: points, and the Pareto front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    INK,
    QUIET,
    Absent,
    Figure,
    Panel,
    colour_of,
    faded,
    label_colours,
    only,
    rows,
    shape_of,
)
from behemoth.study.analysis.leaderboard import FEWEST, Board
from behemoth.support.text import plural_text

__all__ = ["AXES", "front", "pareto"]

AXES = {
    "editing": ("damage", "efficacy"),
    "unlearning": ("utility", "forgetting"),
}
"""Measures on the horizontal and vertical axis, by suite."""
_TITLES = {"editing": "Efficacy against damage", "unlearning": "Forgetting against utility"}
_SAID = {
    "damage": "damage: known bystanders lost, mean over groups",
    "efficacy": "efficacy: p(new) > p(old)",
    "utility": "utility, as a share of the twin's",
    "forgetting": "forgetting: 1 \u2212 distance to the twin",
}
_BARS = (
    "Bars are 95% intervals of the cluster jackknife over (world, initialisation), clipped to the "
    f"range of the measure; a point without a bar has fewer than {FEWEST} clusters, or the same "
    "value without any one cluster"
)
_LESS_IS_MORE = ("damage",)
_COLOURS = 10  # number of distinct colours; further methods have another shape


def front(x: Sequence[float], y: Sequence[float], *, less: bool) -> list[bool]:
    """Return which points are on the Pareto front.

    A point is not if another is at least as good on both axes, and better on one.

    Parameters
    ----------
    x, y : sequence of float
    less : bool
        Whether smaller values of x are better; larger values of y always are.

    Examples
    --------
    >>> front([0.1, 0.2, 0.3], [0.5, 0.4, 0.9], less=True)
    [True, False, True]
    """
    points = [(-one if less else one, other) for one, other in zip(x, y, strict=True)]
    return [
        not any(a >= x0 and b >= y0 and (a > x0 or b > y0) for a, b in points) for x0, y0 in points
    ]


def pareto(board: Board) -> Figure | Absent:
    """Draw the methods of a board; the line joins the Pareto front.

    Methods without both numbers in all of their trials are omitted and named, because otherwise
    they would benefit from trials that failed.
    """
    across, up = AXES[board.suite]
    name, title = f"pareto-{board.suite}", _TITLES[board.suite]
    whole = _whole(board, across, up)
    frame = board.table.filter(whole)
    if frame.is_empty():
        return Absent(name, title, "No method has both measures in all of its trials.")
    ends = [f"{which}{end}" for which in (across, up) for end in ("", "_low", "_high")]
    frame = frame.select("label", "family", "clusters", *ends).with_columns(
        _front(frame, across, up)
    )
    colours = label_colours(frame["label"].to_list())
    diamonds = frozenset(list(colours)[_COLOURS:])
    chart = _chart(frame, across, up, colours, diamonds)
    caption = (
        f"One point per method: the mean over {_trials(board.table.filter(whole))}. {_BARS}. The "
        "dashed line joins the Pareto front, the methods that no other method beats; they are "
        "named in the chart. Oracles are not compared."
    )
    apart = board.table.filter(~whole)["label"].to_list()
    if apart:
        caption += f" Not drawn, because not all trials have both numbers: {', '.join(apart)}."
    return Figure(
        name, title, caption, (Panel("", chart, 380),), frame, tuple(colours.items()), "method",
        diamonds=diamonds,
    )  # fmt: skip


def _trials(table: pl.DataFrame) -> str:
    """Return the numbers of trials and clusters, such as ``6 trials, 3 clusters``."""
    said = []
    for name, what in (("trials", "trial"), ("clusters", "cluster")):
        fewest, most = (int(getattr(table[name], end)() or 0) for end in ("min", "max"))
        some = f"{fewest:,} to " if fewest < most else ""
        said.append(f"{some}{plural_text(most, what)}")
    return ", ".join(said)


def _whole(board: Board, across: str, up: str) -> pl.Series:
    """Return which methods have both numbers in all of their trials."""

    def whole(row: Mapping[str, Any]) -> bool:
        counts = board.counts(row["label"])
        return not row["failed"] and counts.get(across) == counts.get(up) == row["trials"]

    return pl.Series(map(whole, board.table.iter_rows(named=True)), dtype=pl.Boolean)


def _front(frame: pl.DataFrame, across: str, up: str) -> pl.Series:
    """Return which methods are on the front; oracles are not compared, as they use more data."""
    methods = frame.filter(pl.col("family") != "oracle")
    beaten_by_none = front(
        methods[across].to_list(), methods[up].to_list(), less=across in _LESS_IS_MORE
    )
    labels = methods["label"].filter(pl.Series(beaten_by_none, dtype=pl.Boolean))
    return frame["label"].is_in(labels.implode()).alias("front")


def _chart(
    frame: pl.DataFrame, across: str, up: str, colours: dict[str, str], diamonds: frozenset[str]
) -> Any:
    top = max(1e-3, float(frame.select(pl.max_horizontal(across, f"{across}_high").max()).item()))
    domain = [0, min(1.0, top * 1.1)] if across in _LESS_IS_MORE else [0, 1]
    x_scale, y_scale = alt.Scale(domain=domain, clamp=True), alt.Scale(domain=[0, 1], clamp=True)
    x_axis = alt.Axis(tickCount=6, format="~g")
    # Points at 0 reach over the axis.
    y_axis = alt.Axis(tickCount=6, format="~g", labelPadding=9)
    x = alt.X(f"{across}:Q", title=_SAID[across], scale=x_scale, axis=x_axis)
    y = alt.Y(f"{up}:Q", title=_SAID[up], scale=y_scale, axis=y_axis)
    base = alt.Chart(rows(frame)).encode(
        color=colour_of("label", colours),
        opacity=faded("label"),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("family:N"),
            alt.Tooltip(f"{across}:Q", format=".3f"),
            alt.Tooltip(f"{up}:Q", format=".3f"),
            alt.Tooltip("clusters:Q"),
        ],
    )
    best = frame.filter("front").sort(across)
    line = alt.Chart(rows(best)).mark_line(color=QUIET, strokeWidth=1, strokeDash=[4, 3])
    return (
        line.encode(x=x, y=y, order=f"{across}:Q")
        + base.mark_rule().encode(x=alt.X(f"{across}_low:Q", scale=x_scale), x2=f"{across}_high:Q",
                                  y=y)
        + base.mark_rule().encode(x=x, y=alt.Y(f"{up}_low:Q", scale=y_scale), y2=f"{up}_high:Q")
        + base.mark_point(size=90).encode(
            x=x, y=y, shape=shape_of("label", colours, diamonds)
        )
        + alt.layer(*_names(best, across, up, domain[1] / 2, x, y))
    ).add_params(only())  # fmt: skip


def _names(
    points: pl.DataFrame, across: str, up: str, middle: float, x: alt.X, y: alt.Y
) -> list[Any]:
    """Return names beside points, towards the middle of the chart; coinciding points share one."""
    named = points.group_by(pl.col(across, up).round(2), maintain_order=True).agg(
        pl.col("label").str.join(", ")
    )
    marks: list[Any] = []
    for left in (True, False):
        for low in (True, False):
            own = named.filter(((pl.col(across) < middle) == left) & ((pl.col(up) < 0.5) == low))
            align = "left" if left else "right"
            # A white edge keeps names legible over bars.
            edges: list[dict[str, Any]] = [{"stroke": "white", "strokeWidth": 3}, {"color": INK}]
            for edge in edges:
                mark = alt.Chart(rows(own)).mark_text(
                    align=align, dx=9 if left else -9, dy=-9 if low else 9, fontSize=11,
                    limit=200, **edge,
                )  # fmt: skip
                marks.append(mark.encode(x=x, y=y, text="label:N", opacity=faded("label")))
    return marks
