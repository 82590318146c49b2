"""Comparison of ranks and parts at equal cost: damage, or size of the change."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from behemoth.report.style import BLUE, INK, ORANGE, Absent, Figure, Panel, rows
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import plural_text

from .common import ONE_CLUSTER, by_group

_TITLE = "Rank and placement at equal cost"
_COSTS = {"kl": "At the same KL on bystanders", "norm": "At the same norm of the change"}
_OUTCOMES = {"flipped": "flipped within the cost", "success": "success", "follows": "consequences"}
_COLOURS = dict(zip(_OUTCOMES.values(), (BLUE, ORANGE, "#009E73"), strict=True))
_UNIT = "difference, percentage points"
_TALL = 12  # number of rows above which there is an axis at both ends


def matched(summary: Summary) -> Figure | Absent:
    """Draw the difference between two arms at equal cost."""
    frame = summary.matched.drop_nulls("difference")
    if not frame.height:
        why = "No two methods of the study differ only in rank or placement and share costs."
        return Absent("matched", _TITLE, why)
    # In comparisons of ranks the second has the same part, which is omitted to fit on a phone.
    second = pl.when(pl.col("comparison") == "rank").then(
        pl.col("second").str.replace(r"^[^,]*, ", "")
    ).otherwise("second")  # fmt: skip
    drawn = frame.with_columns(
        pl.concat_str(pl.format("{} against {}", "first", second), _apart(frame)).alias("group"),
        pl.col("outcome").replace_strict(_OUTCOMES, return_dtype=pl.String).alias("cell"),
        *((100 * pl.col(name)).alias(to) for name, to in
          (("difference", "mean"), ("low", "low"), ("high", "high"))),
        pl.col("edits").alias("rows"),
    )  # fmt: skip
    order = drawn["group"].unique(maintain_order=True).to_list()
    there = set(drawn["cell"])
    colours = {name: colour for name, colour in _COLOURS.items() if name in there}
    panels = []
    for cost, title in _COSTS.items():
        part = drawn.filter(pl.col("cost") == cost)
        if part.height:
            own = [group for group in order if group in set(part["group"])]
            panels.append(Panel(title, _chart(part, colours, own), 50 + 52 * len(own)))
    clusters = int(frame["clusters"].max() or 0)  # type: ignore[arg-type]
    bars = (
        f"bars are 95% intervals of the cluster jackknife ({plural_text(clusters, 'cluster')}), "
        "one for each pair and for each mean over pairs, without a test; a point without a bar "
        "has one cluster, or the same value without any one cluster"
        if clusters > 1
        else ONE_CLUSTER
    )
    caption = (
        "Right of the line, the first arm has more of the outcome than the second, over the facts "
        "that both edited in the same models. Flipped: the "
        "share of edits that flip within a cost, averaged over costs from the 5th to the 95th "
        "percentile of both arms. Success and consequences: read from the curves of both sweeps "
        "of learning rates, of facts edited at all of them, over the costs that both have. "
        f"{bars[0].upper()}{bars[1:]}. Pairs share models, so they are not independent. The share "
        "that flips at equal cost depends on the learning rate, so arms with one rate each differ "
        "in it too."
    )
    return Figure(
        "matched", _TITLE, caption, tuple(panels), frame, tuple(colours.items()),
        finding=_finding(frame),
    )  # fmt: skip


def _apart(frame: pl.DataFrame) -> pl.Expr:
    """Return what distinguishes pairs with the same ranks and parts; empty if nothing does."""
    parts = [
        said
        for name, said in (
            ("method", pl.col("method")),
            ("optimiser", pl.col("optimiser").fill_null("")),
            ("retain_rows", pl.format("{} retained", pl.col("retain_rows").fill_null(0))),
        )
        if frame[name].n_unique() > 1
    ]
    if not parts:
        return pl.lit("")
    return pl.format(" ({})", pl.concat_str(parts, separator=", "))


def _chart(part: pl.DataFrame, colours: dict[str, str], order: list[str]) -> Any:
    line = alt.Chart(rows(pl.DataFrame({"none": [0.0]}))).mark_rule(color=INK, strokeWidth=1)
    body = by_group(part, colours, order, _UNIT, "+~r")
    if len(order) <= _TALL:
        return line.encode(x=alt.X("none:Q")) + body
    # In tall charts the axis at the bottom is not visible from the first rows.
    label = "datum.value === 0 ? '0' : format(datum.value, '+~r')"
    above = alt.Axis(orient="top", grid=False, tickCount=5, labelExpr=label)
    top = line.encode(x=alt.X("none:Q", title=_UNIT, axis=above))
    return alt.layer(top, body).resolve_axis(x="independent")


def _finding(frame: pl.DataFrame) -> str:
    """Return a summary of the comparisons of flips, or the result of a single pair."""
    flips = frame.filter(pl.col("outcome") == "flipped")
    keys = ("method", "optimiser", "retain_rows", "first", "second")
    if flips.select(keys).n_unique() > 1:
        return f"{_tally(flips)} {_averages(frame)}".strip()
    said = {row["cost"]: _said(row) for row in flips.iter_rows(named=True)}
    parts = [f"{_begun(title)} {said[cost]}" for cost, title in _COSTS.items() if cost in said]
    if not parts:
        return ""
    return f"{flips['first'][0]} against {flips['second'][0]}: {' and '.join(parts)}."


def _tally(flips: pl.DataFrame) -> str:
    """Count the pairs whose interval is on one side of 0, so that no pair is picked post hoc."""
    full = pl.col("second").str.contains("full rank")
    ranks = pl.col("comparison") == "rank"
    sentences = []
    for chosen, what in (
        (ranks & full, "a lower rank flips more than full rank"),
        (ranks & ~full, "the lower of two ranks flips more than the higher"),
        (pl.col("comparison") == "part", "attention and MLP flip more than the MLP alone"),
    ):
        own = flips.filter(chosen)
        parts = [
            f"{_begun(title)} {said}"
            for cost, title in _COSTS.items()
            if (said := _sides(own.filter(pl.col("cost") == cost)))
        ]
        if parts:
            sentences.append(f"{what[0].upper()}{what[1:]} {', '.join(parts)}.")
    counted = flips.filter(pl.col("comparison").is_in(("rank", "part")))
    if counted.filter((pl.col("low") <= 0) & (pl.col("high") >= 0)).height:
        sentences.append("The other intervals include 0.")
    return " ".join(sentences)


def _averages(frame: pl.DataFrame) -> str:
    """Return the means over pairs at equal damage; empty if methods or retained rows differ."""
    means = frame.filter(pl.col("comparison").str.ends_with("_mean") & (pl.col("cost") == "kl"))
    if means.select("method", "optimiser", "retain_rows").n_unique() != 1:
        return ""
    sentences = []
    for kind, what in (
        ("rank_mean", "lower ranks less full rank"),
        ("part_mean", "attention and MLP less the MLP alone"),
    ):
        own = means.filter(pl.col("comparison") == kind)
        found = {row["outcome"]: row for row in own.iter_rows(named=True)}
        parts = [
            f"{_interval(found[name])} {does}"
            for name, does in (("flipped", "of edits flip"), ("follows", "of consequences follow"))
            if name in found
        ]
        if parts:
            sentences.append(f"{what}: {' and '.join(parts)}")
    if not sentences:
        return ""
    return f"Averaged over pairs at the same KL, in percentage points: {'; '.join(sentences)}."


def _interval(row: dict[str, Any]) -> str:
    """Return a difference in percentage points, with its interval."""
    mean = _signed(row["difference"])
    if row["low"] is None:
        return f"{mean} (no interval)"
    return f"{mean} ({_signed(row['low'])} to {_signed(row['high'])})"


def _signed(share: float) -> str:
    """Return a share in percentage points, with its sign."""
    return f"{100 * share:+.1f}".replace("-", "\u2212")


def _sides(pairs: pl.DataFrame) -> str:
    """Count the pairs whose interval is above 0, and below 0, and those without an interval."""
    if not pairs.height:
        return ""
    more, fewer = int((pairs["low"] > 0).sum()), int((pairs["high"] < 0).sum())
    unsure = int(pairs["low"].is_null().sum())
    said = f"in {more} of {len(pairs)} pairs and less in {fewer}"
    return f"{said} ({unsure} without an interval)" if unsure else said


def _begun(title: str) -> str:
    return f"{title[0].lower()}{title[1:]}"


def _said(row: dict[str, Any]) -> str:
    points = 100 * row["difference"]
    way = "more" if points > 0 else "fewer"
    size = f"{abs(points):.1f} percentage points {way} flip"
    if row["low"] is None:
        return size
    low, high = _signed(row["low"]), _signed(row["high"])
    clear = row["low"] > 0 or row["high"] < 0
    return f"{size} (95% interval {low} to {high}{'' if clear else ', which includes 0'})"
