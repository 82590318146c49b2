"""A board's measures by exposures of the edited facts: one row of points per method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    SHAPES,
    Absent,
    Figure,
    Panel,
    colour_of,
    exposure_colours,
    faded,
    only,
    rows,
    shape_of,
)
from behemoth.study.analysis.leaderboard import Board
from behemoth.support.text import plural_text

from .common import BARS, names_of_rows

__all__ = ["by_exposures", "level_name"]

_PANELS = {
    "editing": {
        "score": ("Score", "harmonic mean of its legs"),
        "damage": ("Known bystanders lost", "share, mean over groups"),
    },
    "unlearning": {
        "forgetting": ("Forgetting", "1 \u2212 distance to the twin"),
        "forget_recall": ("Old answer generated", "share of facts to forget"),
    },
}
_TITLES = {
    "editing": "Editing by exposures of the edited facts",
    "unlearning": "Forgetting by exposures of the facts",
}
_NAME, _STEP = 20, 9  # pixels for the name of a row, and for each of its points
_AXIS = 46
_LINES = "#e6e8eb"  # between methods, as quiet as the grid


def level_name(least: int, most: int) -> str:
    """Return a level of exposures in words: ``16``, or ``16 to 31``."""
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def by_exposures(board: Board) -> Figure | Absent:
    """Draw a board's measures by exposures of the edited facts, methods in the board's order."""
    name, title = f"exposures-{board.suite}", _TITLES[board.suite]
    own = board.exposures.filter(pl.col("minus").is_null())
    levels = own.select("least", "most").unique().sort("least").rows()
    if not levels:
        return Absent(name, title, "The study has no probes of single facts.")
    if len(levels) == 1:
        why = f"All edited facts have the same exposures: {level_name(*levels[0])}."
        return Absent(name, title, why)
    # Methods without any value have no row, as their names would stand beside nothing.
    valued = set(own["label"])
    labels = [label for label in board.table["label"] if label in valued]
    places = {label: float(place) for place, label in enumerate(labels)}
    names = [level_name(*level) for level in levels]
    colours = dict(zip(names, exposure_colours(range(len(names))).values(), strict=True))
    shift = pl.col("least").replace_strict(
        {least: place for place, (least, _) in enumerate(levels)}, return_dtype=pl.Float64
    )
    row = _NAME + _STEP * len(levels)
    frame = own.with_columns(
        pl.Series(
            "exposures", [level_name(*level) for level in own.select("least", "most").rows()]
        ),
        (
            pl.col("label").replace_strict(places, return_dtype=pl.Float64)
            + (_NAME + _STEP * (shift + 0.2)) / row
        ).alias("row"),
    ).sort("row")
    shapes = {name: SHAPES[place % len(SHAPES)] for place, name in enumerate(names)}
    panels = [
        Panel(said, _chart(part, labels, unit, colours, shapes, row), _AXIS + row * len(labels))
        for measure, (said, unit) in _PANELS[board.suite].items()
        if (part := frame.filter(measure=measure)).height
    ]
    trials, clusters = (int(frame[each].max() or 0) for each in ("rows", "clusters"))  # type: ignore[arg-type]
    edits = sorted(frame["edits"].unique().to_list())
    some = f"{edits[0]:,} to {edits[-1]:,}" if edits[0] < edits[-1] else f"{edits[0]:,}"
    batch = (
        " In a batch all edits act on all bystanders; each counts at the exposures of the edit "
        "that it was drawn for."
        if board.suite == "editing"
        else ""
    )
    caption = (
        f"Each point is the mean over up to {plural_text(trials, 'trial')} ({some} edits, "
        f"{plural_text(clusters, 'cluster')}) of a measure over the edits of facts that are "
        f"written this many times; methods are in the order of the board. {BARS}.{batch}"
    )
    return Figure(
        name, title, caption, tuple(panels), frame.drop("row", "minus"),
        tuple(colours.items()), "exposures of the edited facts", shapes=shapes,
    )  # fmt: skip


def _chart(
    part: pl.DataFrame, labels: list[str], unit: str, colours: dict[str, str],
    shapes: Mapping[str, str], row: int,
) -> Any:  # fmt: skip
    y = alt.Y(
        "row:Q", axis=None, scale=alt.Scale(domain=[0, len(labels)], reverse=True, nice=False)
    )
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("mean:Q", title=unit, scale=scale, axis=alt.Axis(tickCount=5, grid=True, format="~g"))
    base = alt.Chart(rows(part)).encode(
        y=y,
        color=colour_of("exposures", colours),
        opacity=faded("exposures"),
        tooltip=[
            alt.Tooltip("label:N", title="method"),
            alt.Tooltip("exposures:N"),
            alt.Tooltip("mean:Q", format=".3f"),
            alt.Tooltip("low:Q", format=".3f"),
            alt.Tooltip("high:Q", format=".3f"),
            alt.Tooltip("edits:Q", format=","),
            alt.Tooltip("rows:Q", format=",", title="trials"),
            alt.Tooltip("clusters:Q"),
        ],
    )
    names = pl.DataFrame(
        {"label": labels, "row": [place + (_NAME - 6) / row for place in range(len(labels))]}
    )
    ends = pl.DataFrame({"row": [float(place) for place in range(1, len(labels))]})
    layers: list[Any] = [alt.Chart(rows(ends)).mark_rule(color=_LINES, strokeWidth=1).encode(y=y)]
    if part["low"].drop_nulls().len():  # with few clusters there are none, and Vega would warn
        layers.append(base.mark_rule().encode(x=alt.X("low:Q", scale=scale), x2="high:Q"))
    points = base.mark_point(size=56).encode(x=x, shape=shape_of("exposures", colours, shapes))
    return alt.layer(*layers, points, names_of_rows(names, "label", y)).add_params(only())
