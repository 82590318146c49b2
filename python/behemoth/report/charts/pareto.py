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
    label_colours,
    label_shapes,
    only,
    rows,
    shape_of,
)
from behemoth.study.analysis.leaderboard import Board

from .common import BARS, span_text
from .labels import REACH, place_names

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
_LESS_IS_MORE = ("damage",)
_NAMED = 12  # maximum number of names in the chart


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
    frame = frame.with_columns(_named(frame))
    labels = frame["label"].to_list()
    colours, shapes = label_colours(labels), label_shapes(labels)
    chart = _chart(frame, across, up, colours, shapes)
    fewer = f", up to {_NAMED} of them" if frame["named"].sum() == _NAMED else ""
    counted = board.table.filter(whole)
    trials, clusters = (span_text(counted[f"{each}s"], each) for each in ("trial", "cluster"))
    caption = (
        f"One point per method: the mean over {trials}, {clusters}. {BARS}. The "
        "dashed line joins the Pareto front, the methods that no other method beats. Named in the "
        f"chart are the front, oracles and the method with the highest score{fewer}; all others "
        "are smaller and are told by colour and shape, and their numbers are in the table. Oracles "
        "are not compared."
    )
    apart = board.table.filter(~whole)["label"].to_list()
    if apart:
        caption += f" Not drawn, because not all trials have both numbers: {', '.join(apart)}."
    return Figure(
        name, title, caption, (Panel("", chart, 380),), frame, tuple(colours.items()), "method",
        shapes=shapes,
    )  # fmt: skip


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


def _named(frame: pl.DataFrame) -> pl.Series:
    """Return which methods are named: the front, oracles and the best score, up to `_NAMED`."""
    first = pl.int_range(pl.len()) == (pl.col("family") != "oracle").arg_max()
    wanted = pl.col("front") | (pl.col("family") == "oracle") | first
    return frame.select((wanted & (wanted.cum_sum() <= _NAMED)).alias("named")).to_series()


def _chart(
    frame: pl.DataFrame, across: str, up: str, colours: dict[str, str], shapes: Mapping[str, str]
) -> Any:
    top = max(1e-3, float(frame.select(pl.max_horizontal(across, f"{across}_high").max()).item()))
    domain = [0, min(1.0, top * 1.1)] if across in _LESS_IS_MORE else [0, 1]
    x_scale, y_scale = alt.Scale(domain=domain, clamp=True), alt.Scale(domain=[0, 1], clamp=True)
    x_axis = alt.Axis(tickCount=6, format="~g")
    # Points at 0 reach over the axis.
    y_axis = alt.Axis(tickCount=6, format="~g", labelPadding=9)
    x = alt.X(f"{across}:Q", title=_SAID[across], scale=x_scale, axis=x_axis)
    y = alt.Y(f"{up}:Q", title=_SAID[up], scale=y_scale, axis=y_axis)
    tooltip = [
        alt.Tooltip("label:N", title="method"),
        alt.Tooltip("family:N"),
        alt.Tooltip(f"{across}:Q", format=".3f"),
        alt.Tooltip(f"{up}:Q", format=".3f"),
        alt.Tooltip("clusters:Q"),
    ]
    best = frame.filter("front").sort(across)
    line = alt.Chart(rows(best)).mark_line(color=QUIET, strokeWidth=1, strokeDash=[4, 3])
    moved, texts = _names(frame, across, up, float(domain[1]), x, y_scale)
    layers: list[Any] = [line.encode(x=x, y=y, order=f"{across}:Q"), *moved]
    # Those with names are drawn last, over the others, which recede.
    receding: dict[str, Any] = {"size": 55}
    outlined: dict[str, Any] = {"size": 100, "stroke": INK, "strokeWidth": 1}
    for part, bars, points, mark in (
        (frame.filter(~pl.col("named")), 0.22, 0.75, receding),
        (frame.filter("named"), 0.8, 1.0, outlined),
    ):
        if part.is_empty():
            continue
        base = alt.Chart(rows(part)).encode(color=colour_of("label", colours), tooltip=tooltip)
        low, high = f"{across}_low:Q", f"{across}_high:Q"
        layers += [
            base.mark_rule().encode(
                x=alt.X(low, scale=x_scale), x2=high, y=y, opacity=_opacity(bars)
            ),
            base.mark_rule().encode(
                x=x, y=alt.Y(f"{up}_low:Q", scale=y_scale), y2=f"{up}_high:Q",
                opacity=_opacity(bars),
            ),
            base.mark_point(**mark).encode(
                x=x, y=y, shape=shape_of("label", colours, shapes), opacity=_opacity(points)
            ),
        ]  # fmt: skip
    return alt.layer(*layers, *texts).add_params(only())


def _opacity(plain: float) -> alt.OpacityValue:
    """Return an opacity that the entry selected in the legend raises to 1, and others lose."""
    chosen = [
        {"test": "only === datum.label", "value": 1.0},
        {"test": "only === ''", "value": plain},
    ]
    return alt.OpacityValue(0.12, condition=chosen)


def _names(
    frame: pl.DataFrame, across: str, up: str, widest: float, x: alt.X, y_scale: alt.Scale
) -> tuple[list[Any], list[Any]]:
    """Return lines from points to their names, which may be moved to make room, and the names."""
    shares = frame.select("label", pl.col(across) / widest, up, "named").rows()
    placed = place_names(
        [(label, one, other) for label, one, other, named in shares if named],
        [(one, other) for _, one, other, _ in shares],
    )
    named = frame.filter("named").select("label", across, up).with_columns(
        pl.Series("at", [name.at for name in placed], pl.Float64),
        pl.Series("left", [name.left for name in placed], pl.Boolean),
    )  # fmt: skip
    moved: list[Any] = []
    texts: list[Any] = []
    at = alt.Y("at:Q", scale=y_scale)
    for left in (True, False):
        own = named.filter(pl.col("left") == left)
        if own.is_empty():
            continue
        base = alt.Chart(rows(own)).encode(x=x, opacity=_opacity(1.0))
        reach = REACH if left else -REACH
        rule = base.mark_rule(x2Offset=0.8 * reach, color=QUIET, strokeWidth=0.75)
        moved.append(rule.encode(x2=across, y=alt.Y(f"{up}:Q", scale=y_scale), y2="at"))
        # A white edge keeps names legible over bars.
        edges: list[dict[str, Any]] = [{"stroke": "white", "strokeWidth": 3}, {"color": INK}]
        texts += [
            base.mark_text(
                align="left" if left else "right", baseline="middle", dx=reach, fontSize=11, **edge
            ).encode(y=at, text="label:N")
            for edge in edges
        ]
    return moved, texts
