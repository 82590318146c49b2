"""Consequences: whether facts that depend on an edited fact follow the edit.

Dependent facts are those that subjects inherit down a chain, also through an edited link
(``subject_nested``), those of a correlated relation (``correlated_followed``) and those that a rule
leaves out of its edits (``implicit_remap``). After the edit a model may generate the consequence of
the new object, or still that of the old one. Only facts that it knew before are counted. An edit
that broke down counts as one that nothing follows.
"""

from __future__ import annotations

import polars as pl

from behemoth.plan.groups import FOLLOWING

from .estimate import means_of
from .ranges import SHARE

__all__ = ["MEASURES", "consequences", "consequences_by"]

MEASURES = ("follows", "stays")
"""Shares of answers that follow from the new object, and that followed from the old one."""


def consequences(probes: pl.LazyFrame) -> pl.DataFrame:
    """Return one row per probe of a dependent fact that was known and must change, after the edit.

    Parameters
    ----------
    probes : polars.LazyFrame
        The `probes` frame of the study.

    Returns
    -------
    polars.DataFrame
        Columns trial, edit, label, size, world, world_seed, seed, group, edit_exposures, follows
        and stays (Float64, 0 or 1; both 0 for any other answer, and for an edit that broke down).
    """
    counts = pl.col("must_change") & pl.col("known")
    whole = pl.col("failure").is_null()
    return (
        probes.filter(
            (pl.col("stage") == "after") & pl.col("group").is_in(FOLLOWING) & counts
        )
        .select(
            "trial", "edit", "label", "size", "world", "world_seed", "seed", "group",
            "edit_exposures",
            (pl.col("exact_match") & whole).cast(pl.Float64).alias("follows"),
            (pl.col("old_match") & whole).cast(pl.Float64).alias("stays"),
        )
        .collect()
    )  # fmt: skip


def consequences_by(rows: pl.DataFrame) -> pl.DataFrame:
    """Return mean shares, averaged over the facts of an edit first, then over edits.

    Returns
    -------
    polars.DataFrame
        Columns label, size, group, measure (follows or stays), mean, low, high, rows (edits),
        clusters.
    """
    by = ("label", "size", "group")
    table = means_of(rows, dict.fromkeys(MEASURES, SHARE), by, units=("trial", "edit"))
    return table.select(*by, "measure", pl.exclude(*by, "measure")).sort(*by, "measure")
