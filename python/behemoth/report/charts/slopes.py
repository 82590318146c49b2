"""Slopes per doubling of exposures with their intervals."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import (
    BLUE,
    INK,
    ORANGE,
    Absent,
    Figure,
    Panel,
    colour_of,
    faded,
    only,
    rows,
)
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import plural_text

from .common import ONE_CLUSTER, batched, methods, names_of_rows

_TITLE = "Effect of one doubling of exposures, by method"
_COLOURS = {"all facts": BLUE, "known before": ORANGE}
_PANELS = {
    "dose": ("Edit dose", "time ratio per doubling"),
    "dose_margin": ("Edit dose, margin held fixed", "time ratio per doubling"),
    "dose_within_fact": ("Edit dose, within one fact", "time ratio per doubling"),
    "success": ("Success in free generation", "odds ratio per doubling"),
    "kl": ("Damage to bystanders", "nats of KL per doubling"),
}


def slopes(summary: Summary) -> Figure | Absent:
    """Draw the contrasts of each method as points with intervals."""
    frame = summary.contrasts.filter(
        pl.col("contrast").is_in(list(_PANELS)) & pl.col("estimate").is_not_null()
    )
    if not frame.height:
        return Absent("slopes", _TITLE, "No contrast can be estimated; the table states why.")
    alone = pl.col("low").is_null() & (pl.col("clusters") < 2)
    single = 0
    if int(frame["clusters"].max() or 0) > 1:  # type: ignore[arg-type]
        # An estimate from one cluster would look as certain as those from several.
        single = frame.filter(alone).height
        frame = frame.filter(~alone)
    labels = methods(summary, summary.contrasts)
    drawn = _natural(frame).with_columns(
        pl.col("filter").replace({"all": "all facts", "known": "known before"}).alias("facts"),
        pl.col("label").replace_strict(
            {label: float(place) for place, label in enumerate(labels)}, return_dtype=pl.Float64
        ).alias("row"),
    ).with_columns(
        (pl.col("row") + pl.when(pl.col("filter") == "all").then(0.08).otherwise(0.3)).alias("row")
    )  # fmt: skip
    panels = [
        Panel(title, _chart(part, labels, unit, name != "kl"), 46 + 54 * len(labels))
        for name, (title, unit) in _PANELS.items()
        if (part := drawn.filter(pl.col("contrast") == name)).height
    ]
    clusters = int(frame["clusters"].max() or 0)  # type: ignore[arg-type]
    how = (
        "bars are 95% intervals of the cluster jackknife, with Student's t on clusters \u2212 1 "
        f"degrees of freedom (up to {clusters} clusters), and an arrow if they extend beyond the "
        "axis; a point without a bar has the same estimate without any one cluster, or none "
        "without one of them"
        if clusters > 1
        else ONE_CLUSTER
    )
    caption = (
        "A time ratio above 1 means that facts that were written more often need a higher dose. "
        f"The line marks no effect; {how}. Only contrasts with the role primary or family in the "
        "table below are tested."
        f"{_of_one(single)}{batched(summary) if 'kl' in set(frame['contrast']) else ''}"
    )
    return Figure("slopes", _TITLE, caption, tuple(panels), frame, tuple(_COLOURS.items()), "")


def _of_one(count: int) -> str:
    said = f" Not drawn: {plural_text(count, 'estimate')} from one cluster, shown in the table."
    return said if count else ""


def _natural(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with logarithms of ratios converted to ratios."""

    def back(name: str) -> pl.Expr:
        value = pl.col(name)
        return pl.when(pl.col("scale") == "ratio").then(value.exp()).otherwise(value).alias(name)

    return frame.with_columns(back("estimate"), back("low"), back("high"))


def _chart(part: pl.DataFrame, labels: list[str], unit: str, ratio: bool) -> Any:
    none = 1.0 if ratio else 0.0
    # The axis fits the estimates, because a wide interval of two models would leave no room for
    # them. So would an estimate without an interval, which is ignored if others have one.
    sure = part.drop_nulls("low")
    values = [none, *(sure if sure.height else part)["estimate"].to_list()]
    ends = [end for name in ("low", "high") for end in part[name].drop_nulls().to_list()]
    reach = max(abs(value - none) for value in values) * 3 or 0.1
    low = max([none - reach, min([*values, *ends])]) if ends else none - reach / 2
    high = min([none + reach, max([*values, *ends])]) if ends else none + reach / 2
    room = 0.06 * (high - low)
    scale = alt.Scale(domain=[low - room, high + room], nice=False)
    # An end of an interval or an estimate beyond the axis is marked by an arrow.
    first, last = pl.min_horizontal("estimate", "low"), pl.max_horizontal("estimate", "high")
    arrows = [
        part.filter(beyond).with_columns(pl.lit(at).alias("edge"), pl.lit(shape).alias("shape"))
        for beyond, at, shape in (
            (first < low - room, low - room / 2, "triangle-left"),
            (last > high + room, high + room / 2, "triangle-right"),
        )
    ]
    names = pl.DataFrame({"label": labels, "row": [place - 0.22 for place in range(len(labels))]})
    y_scale = alt.Scale(domain=[-0.5, len(labels) - 0.4], reverse=True, nice=False)
    y = alt.Y("row:Q", axis=None, scale=y_scale)
    tooltip = [
        alt.Tooltip("label:N", title="method"),
        alt.Tooltip("facts:N"),
        alt.Tooltip("estimate:Q", format=".4f", title=unit),
        alt.Tooltip("low:Q", format=".4f"),
        alt.Tooltip("high:Q", format=".4f"),
        alt.Tooltip("role:N"),
        alt.Tooltip("p_family:Q", format=".2g", title="p in the family"),
        alt.Tooltip("rows:Q", format=",", title="edits"),
        alt.Tooltip("clusters:Q"),
    ]
    base = alt.Chart(rows(part)).encode(
        y=y, color=colour_of("facts", _COLOURS), opacity=faded("facts"), tooltip=tooltip
    )
    # Drawn row by row, so that the line does not cross the names above each row.
    band = [{"none": none, "above": place - 0.12, "below": place + 0.5} for place in
            range(len(labels))]  # fmt: skip
    line = alt.Chart(rows(pl.DataFrame(band)))
    x = alt.X("estimate:Q", title=unit, scale=scale, axis=alt.Axis(tickCount=5, grid=True))
    return (
        line.mark_rule(color=INK, strokeWidth=1).encode(
            x=alt.X("none:Q", scale=scale),
            y=alt.Y("above:Q", axis=None, scale=y_scale),
            y2="below:Q",
        )
        + base.mark_rule(clip=True, strokeWidth=2).encode(
            x=alt.X("low:Q", scale=scale), x2="high:Q"
        )
        + base.mark_point(clip=True, size=60).encode(x=x)
        + alt.Chart(rows(pl.concat(arrows)))
        .mark_point(size=45, filled=True)
        .encode(
            y=y,
            x=alt.X("edge:Q", scale=scale),
            shape=alt.Shape("shape:N", scale=None),
            color=colour_of("facts", _COLOURS),
            opacity=faded("facts"),
            tooltip=tooltip,
        )
        + names_of_rows(names, "label", y)
    ).add_params(only())
