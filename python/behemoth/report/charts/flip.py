"""The price of a flip: damage and size of the change at the first step at which an edit holds."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure, label_colours, number
from behemoth.study.analysis.summary import Summary

from .common import JACKKNIFE, against_exposures, counted, methods, over_all

_TITLE = "The price of a flip: what has changed at the dose"
_MEASURES = {
    "kl_at_flip": ("Damage", "KL on bystanders, nats"),
    "norm_at_flip": ("Size of the change", "Frobenius norm"),
}


def flip(summary: Summary) -> Figure | Absent:
    """Draw damage and norm at each edit's own dose, at which all methods have achieved the same."""
    frame = summary.at_flip
    if not frame.height:
        why = "No finished trial looked at damage or norm at the step at which its edits flip."
        return Absent("flip", _TITLE, why)
    colours = label_colours(methods(summary, frame))
    panels = against_exposures(frame, _MEASURES, colours, ".3g")
    caption = (
        "At the first step at which the edit holds, so that methods and levels of exposures are "
        "compared where they have achieved the same; edits that never got there, and those that "
        f"needed no step, do not count. {counted(frame, 'edits')}; {JACKKNIFE}."
    )
    return Figure("flip", _TITLE, caption, panels, frame, tuple(colours.items()),
                  "method", finding=_finding(frame))  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the methods with the least and the most damage."""
    damage = over_all(frame, "kl_at_flip", "label")
    if damage.height < 2:
        return ""
    least, most = damage.row(0, named=True), damage.row(-1, named=True)
    return (
        f"When its edit flips, {least['label']} has moved bystanders by "
        f"{number(least['mean'], 2)} nats and {most['label']} by {number(most['mean'], 2)}."
    )
