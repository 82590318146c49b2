"""Damage and size of the change at the dose, the first step at which an edit holds."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure, label_colours, number, repeated_shapes
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import listed_text

from .common import CUT, against_exposures, counted, extremes, jackknife, methods, over_all, pooled

_TITLE = "Damage and size of the change at the dose"
_MEASURES = {
    "kl_at_flip": ("Damage", "KL on bystanders, nats"),
    "norm_at_flip": ("Size of the change", "Frobenius norm"),
}


def flip(summary: Summary) -> Figure | Absent:
    """Draw damage and norm at each edit's own dose, at which all methods have achieved the same."""
    frame = summary.at_flip
    if not frame.height:
        why = "No finished trial measured damage or norm at the dose of its edits."
        return Absent("flip", _TITLE, why)
    colours = label_colours(methods(summary, frame))
    panels = against_exposures(frame, _MEASURES, colours, ".3g")
    caption = (
        "Measured at the dose of each edit, the first step at which it holds, so that methods and "
        "levels are compared at the same achievement. Edits that did not reach their dose, and "
        f"those of dose 0, are excluded. {counted(frame, 'edits')}; {jackknife(frame)}."
        f"{pooled(summary)} {CUT}"
    )
    return Figure("flip", _TITLE, caption, panels, frame, tuple(colours.items()),
                  "method", finding=_finding(frame), shapes=repeated_shapes(colours))  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the methods with the least and the most damage."""
    damage = over_all(frame, "kl_at_flip", "label")
    if damage.height < 2:
        return ""
    least, most = extremes(damage, lambda mean: number(mean, 2))
    low, high = (number(each[0]["mean"], 2) for each in (least, most))
    few, many = (listed_text([row["label"] for row in each]) for each in (least, most))
    said = "At the dose, by point estimates, the KL on bystanders is"
    if low == high:
        return f"{said} {high} nats with every method."
    return f"{said} smallest with {few} ({low} nats) and largest with {many} ({high} nats)."
