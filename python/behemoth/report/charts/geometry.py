"""Size and shape of the updates."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure, label_colours, number
from behemoth.study.analysis.summary import Summary

from .common import JACKKNIFE, against_exposures, counted, methods

_TITLE = "Size and shape of the updates"
_MEASURES = {"norm": ("Size", "norm of the change"), "effective_rank": ("Shape", "effective rank")}


def geometry(summary: Summary) -> Figure | Absent:
    """Draw the Frobenius norm and the effective rank against exposures."""
    frame = summary.shapes
    if not frame.height:
        return Absent("geometry", _TITLE, "The study measured no geometry of its edits.")
    colours = label_colours(methods(summary, frame))
    panels = against_exposures(frame, _MEASURES, colours, ".4g")
    caption = (
        "Frobenius norm over all changed parameters; effective rank (Roy and Vetterli, 2007), mean "
        "over parameters weighted by their norms, of the edits whose changes were decomposed. "
        f"{counted(frame, 'edits')}; {JACKKNIFE}."
    )
    return Figure("geometry", _TITLE, caption, panels, frame, tuple(colours.items()),
                  "method", finding=_finding(frame))  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the methods with the largest and the smallest changes."""
    norms = frame.filter(pl.col("measure") == "norm").group_by("label").agg(
        pl.col("mean").mean()
    ).sort("mean", "label")  # fmt: skip
    if norms.height < 2:
        return ""
    least, most = norms.row(0, named=True), norms.row(-1, named=True)
    return (
        f"{most['label']} moves the parameters the farthest, by {number(most['mean'], 2)}, "
        f"{least['label']} the least, by {number(least['mean'], 2)}."
    )
