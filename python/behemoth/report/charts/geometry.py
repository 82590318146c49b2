"""Size and shape of the updates."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure, label_colours, number, repeated_shapes
from behemoth.study.analysis.summary import Summary

from .common import CUT, JACKKNIFE, against_exposures, counted, methods, over_all, pooled

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
        "over changed matrices weighted by their norms, for edits whose changes were decomposed. "
        f"{counted(frame, 'edits')}; {JACKKNIFE}.{pooled(summary)} {CUT}"
    )
    return Figure("geometry", _TITLE, caption, panels, frame, tuple(colours.items()),
                  "method", finding=_finding(frame), shapes=repeated_shapes(colours))  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the methods with the largest and the smallest changes."""
    norms = over_all(frame, "norm", "label")
    if norms.height < 2:
        return ""
    least, most = norms.row(0, named=True), norms.row(-1, named=True)
    low, high = number(least["mean"], 2), number(most["mean"], 2)
    said = "By point estimates, the norm of the change is"
    if low == high:
        return f"{said} {high} with every method."
    return (
        f"{said} largest with {most['label']} ({high}) and smallest with {least['label']} ({low})."
    )
