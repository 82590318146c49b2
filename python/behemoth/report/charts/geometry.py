"""Size and shape of the updates."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure, label_colours, number, repeated_shapes
from behemoth.study.analysis.summary import Summary
from behemoth.study.file.measurement import DECOMPOSED
from behemoth.support.text import listed_text

from .common import CUT, against_exposures, counted, extremes, jackknife, methods, over_all, pooled

_TITLE = "Size and shape of the updates"
_MEASURES = {"norm": ("Size", "norm of the change"), "effective_rank": ("Shape", "effective rank")}


def geometry(summary: Summary) -> Figure | Absent:
    """Draw the Frobenius norm and the effective rank against exposures."""
    frame = summary.shapes
    if not frame.height:
        return Absent("geometry", _TITLE, "The study did not measure the geometry of its edits.")
    colours = label_colours(methods(summary, frame))
    panels = against_exposures(frame, _MEASURES, colours, ".4g")
    caption = (
        "Frobenius norm over all changed parameters. Effective rank (Roy and Vetterli, 2007): mean "
        "over changed matrices weighted by their norms; of dense changes, over the first "
        f"{DECOMPOSED} edits of each level of exposures in a trial. "
        f"{counted(frame, 'edits')}; {jackknife(frame)}.{pooled(summary)} {CUT}"
    )
    return Figure("geometry", _TITLE, caption, panels, frame, tuple(colours.items()),
                  "method", finding=_finding(frame), shapes=repeated_shapes(colours))  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the methods with the largest and the smallest changes."""
    norms = over_all(frame, "norm", "label")
    if norms.height < 2:
        return ""
    least, most = extremes(norms, lambda mean: number(mean, 2))
    low, high = (number(each[0]["mean"], 2) for each in (least, most))
    few, many = (listed_text([row["label"] for row in each]) for each in (least, most))
    said = "By point estimates, the norm of the change is"
    if low == high:
        return f"{said} {high} with every method."
    return f"{said} largest with {many} ({high}) and smallest with {few} ({low})."
