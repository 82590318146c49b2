"""Damage by the group of the bystanders."""

from __future__ import annotations

import polars as pl

from behemoth.report.style import Absent, Figure, Panel, repeated_shapes
from behemoth.study.analysis.summary import Summary
from behemoth.support.text import listed_text, plural_text

from .common import by_group, cell_colours, cells, counted, extremes, jackknife, over_all

_TITLE = "Damage by what the bystander shares with the edited fact"
_MEASURES = {
    "kl": ("KL on bystanders", "nats", "~g"),
    "lost": ("Known bystanders lost", "share", "%"),
}


def damage(summary: Summary) -> Figure | Absent:
    """Draw the mean of each group and method."""
    frame = summary.damage.with_columns(
        pl.col("group").str.replace_all("_", " "),
        cells(summary.damage),
    )
    if not frame.height:
        return Absent("damage", _TITLE, "The plans of this study have no bystanders.")
    colours = cell_colours(summary, frame)
    by_kl = (
        frame.filter(pl.col("measure") == "kl")
        .group_by("group", maintain_order=True).agg(pl.col("mean").mean())
        .sort("mean", descending=True)["group"]
    )  # fmt: skip
    # A group whose KL is NaN everywhere has no mean of it, but a share that is lost.
    order = list(dict.fromkeys([*by_kl, *frame["group"]]))
    panels = [
        Panel(title, by_group(part, colours, order, unit, form), 40 + 46 * len(order))
        for measure, (title, unit, form) in _MEASURES.items()
        if (part := frame.filter(pl.col("measure") == measure)).height
    ]
    caption = (
        "Bystanders are facts that the edit must not change. Only facts that the model knew before "
        f"can be lost. {counted(frame, 'edits')}; {jackknife(frame)}."
    )
    if unmeasured := int(summary.methods["unmeasured"].sum()):
        caption += (
            f" The KL of {plural_text(unmeasured, 'edit')} is NaN on some bystanders, which the "
            "means of KL exclude and the shares lost count."
        )
    return Figure("damage", _TITLE, caption, tuple(panels), frame, tuple(colours.items()),
                  "method", finding=_finding(frame), shapes=repeated_shapes(colours))  # fmt: skip


def _finding(frame: pl.DataFrame) -> str:
    """Return a sentence on the groups that lose the largest and the smallest share."""
    lost = over_all(frame, "lost", "group")
    if lost.height < 2:
        return ""
    least, most = extremes(lost, "{:.1%}".format)
    low, high = (f"{each[0]['mean']:.1%}" for each in (least, most))
    said = f"Over all methods, edits lose {high} of the known facts of"
    if low == high:
        return f"{said} every group."
    many = [f"“{row['group']}” ({plural_text(row['rows'], 'edit')})" for row in most]
    few = [f"“{row['group']}” ({row['rows']:,})" for row in least]
    return (
        f"{said} the group{'s' if len(many) > 1 else ''} {listed_text(many)}, the largest share by "
        f"point estimates, and {low} of {listed_text(few)}, the smallest."
    )
