"""Consequences: whether what follows from an edited fact follows the edit.

Facts that depend on the edited one are what subjects inherit down a chain (``subject_nested``),
what a correlated relation says (``correlated_followed``) and what other subjects inherit through
an edited link (``implicit_remap``). After the edit a model may say what follows from the new
object, or still what followed from the old one. Only facts that it knew before count.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from behemoth.plan.groups import FOLLOWING

from .estimate import means_of

__all__ = ["MEASURES", "consequences", "consequences_by"]

MEASURES = ("follows", "stays")
"""Share that says what follows from the new object; that says what followed from the old one."""


def consequences(probes: pl.LazyFrame) -> pl.DataFrame:
    """Give one row for each dependent fact that was known and must change, after the edit.

    Parameters
    ----------
    probes : polars.LazyFrame
        The study's frame of probes.

    Returns
    -------
    polars.DataFrame
        trial, edit, label, size, world, world_seed, seed, group, edit_exposures, follows and stays
        (Float64, 0 or 1; both 0 where something else is said).
    """
    counts = pl.col("must_change") & pl.col("known") & pl.col("failure").is_null()
    return (
        probes.filter(
            (pl.col("stage") == "after") & pl.col("group").is_in(FOLLOWING) & counts
        )
        .select(
            "trial", "edit", "label", "size", "world", "world_seed", "seed", "group",
            "edit_exposures",
            pl.col("exact_match").cast(pl.Float64).alias("follows"),
            pl.col("old_match").cast(pl.Float64).alias("stays"),
        )
        .collect()
    )  # fmt: skip


def consequences_by(
    rows: pl.DataFrame, by: Sequence[str] = ("label", "size", "group")
) -> pl.DataFrame:
    """Mean shares, over the facts of an edit first, then over edits.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, measure (follows or stays), mean, low, high, rows (edits), clusters.
    """
    table = means_of(rows, dict.fromkeys(MEASURES, (0.0, 1.0)), by, units=("trial", "edit"))
    return table.select(*by, "measure", pl.exclude(*by, "measure")).sort(*by, "measure")
