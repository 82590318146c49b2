"""What an edit took along: facts that the model knew, that should have stayed, and are gone."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from .metrics import KEPT

__all__ = ["BOUND", "BYSTANDERS", "damage", "damaged", "known_bystanders"]

BOUND = 0.1
"""Share of a group's known facts that may be lost before a result says so."""

BYSTANDERS = ("same_subject", "same_relation", "same_object", "unrelated")
"""Groups of facts that are close to the edited one or not, the closest first."""


def damage(frame: pl.DataFrame) -> pl.DataFrame:
    """Count what was lost of each group of bystanders.

    Parameters
    ----------
    frame : polars.DataFrame
        What `evaluate` gave for an edit.

    Returns
    -------
    polars.DataFrame
        One row a group that has known bystanders, in the order of the frame: group, known and lost
        (UInt32: probes that were right before, and those of them that are no longer), share
        (Float64). No rows for a run without an edit.
    """
    rows = known_bystanders(frame.filter(stage="after"), KEPT)
    counts = rows.group_by("group", maintain_order=True).agg(
        pl.len().cast(pl.UInt32).alias("known"),
        (~pl.col("exact_match")).sum().cast(pl.UInt32).alias("lost"),
    )
    return counts.with_columns(share=pl.col("lost") / pl.col("known"))


def known_bystanders(rows: pl.DataFrame, groups: Sequence[str]) -> pl.DataFrame:
    """Those rows of some groups that were right before and should stay so."""
    return rows.filter(pl.col("group").is_in(groups), pl.col("known"), ~pl.col("must_change"))


def damaged(frame: pl.DataFrame, bound: float = BOUND) -> pl.DataFrame:
    """The rows of `damage` whose share is above a bound."""
    return damage(frame).filter(pl.col("share") > bound)
