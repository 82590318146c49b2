"""Damage of an edit: facts that the model knew, that should not have changed, and are lost."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from .metrics import KEPT, failed

__all__ = ["BOUND", "BYSTANDERS", "damage", "damaged", "known_bystanders"]

BOUND = 0.1
"""Share of a group's known facts above which their loss is reported."""

BYSTANDERS = ("same_subject", "same_relation", "same_object", "unrelated")
"""Groups of facts at different distances from the edited one, the closest first."""


def damage(frame: pl.DataFrame) -> pl.DataFrame:
    """Count the lost facts of each group of bystanders.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows of `evaluate` for an edit.

    Returns
    -------
    polars.DataFrame
        One row per group with known bystanders, in the order of the frame: group, known and lost
        (UInt32: number of probes that were right before the edit, and of those that no longer are),
        share (Float64). No rows for a run without an edit. Edits that failed do not count.
    """
    rows = known_bystanders(frame.filter(stage="after"), KEPT)
    counts = rows.group_by("group", maintain_order=True).agg(
        pl.len().cast(pl.UInt32).alias("known"),
        (~pl.col("exact_match")).sum().cast(pl.UInt32).alias("lost"),
    )
    return counts.with_columns(share=pl.col("lost") / pl.col("known"))


def known_bystanders(
    rows: pl.DataFrame, groups: Sequence[str], *, made: bool = True
) -> pl.DataFrame:
    """Return the rows of some groups that were right before the edit and should stay so.

    If `made` is true, edits that failed have none: nothing could be lost.
    """
    there = ~pl.col("must_change") & ~failed() if made else ~pl.col("must_change")
    return rows.filter(pl.col("group").is_in(groups), pl.col("known"), there)


def damaged(frame: pl.DataFrame, bound: float = BOUND) -> pl.DataFrame:
    """Return the rows of `damage` whose share is above a bound."""
    return damage(frame).filter(pl.col("share") > bound)
