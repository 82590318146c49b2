"""Consequences: what follows from an edited fact, by method."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure, Panel, repeated_shapes
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import listed_text

from .common import by_group, cell_colours, cells, counted, extremes, jackknife, over_all

_TITLE = "Consequences: do facts that follow from the edited fact follow the edit?"
_MEASURES = {"follows": "Answer that follows from the new object", "stays": "Old answer"}
_GROUPS = {
    "subject_nested": "inherited by the subject, or through an edited link",
    "correlated_followed": "correlated relation",
    "implicit_remap": "left out of the edits, implied by their rule",
}


def consequences(summary: Summary) -> Figure | Absent:
    """Draw both shares for each kind of dependent fact and each method."""
    frame = summary.consequences.with_columns(
        pl.col("group").replace_strict(_GROUPS, default=pl.col("group")),
        cells(summary.consequences),
    )
    if not frame.height:
        return Absent(
            "consequences", _TITLE, "The plans of this study have no known facts that follow from "
            "an edit (nested or correlated relations)."
        )  # fmt: skip
    colours = cell_colours(summary, frame)
    there = set(frame["group"].to_list())
    order = [name for name in _GROUPS.values() if name in there]
    panels = [
        Panel(title, by_group(part, colours, order, "share", "%"), 70 + 60 * len(order))
        for measure, title in _MEASURES.items()
        if (part := frame.filter(pl.col("measure") == measure)).height
    ]
    caption = (
        "Free generation after the edit, for facts that the model knew before and whose object "
        "changes with the edit. The remaining share has some other answer. All edits count, "
        "including those without success and, as 0, those that broke down. "
        f"{counted(frame, 'edits')}; {jackknife(frame)}."
    )
    return Figure(
        "consequences", _TITLE, caption, tuple(panels), frame, tuple(colours.items()), "method",
        finding=_finding(frame), shapes=repeated_shapes(colours),
    )  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the methods with the largest and the smallest share that follows."""
    follows = over_all(frame, "follows", "cell")
    if not follows.height:
        return ""
    least, most = extremes(follows, "{:.0%}".format)
    low, high = (f"{each[0]['mean']:.0%}" for each in (least, most))
    few, many = (listed_text([row["cell"] for row in each]) for each in (least, most))
    said = f"With {many}, {high} of the dependent facts follow the edit"
    if follows.height == 1:
        return f"{said}."
    if low == high:
        return f"With every method, {high} of the dependent facts follow the edit."
    return f"{said}, the largest share by point estimates; with {few}, {low}, the smallest."
