"""Damage: effects of an edit on facts that it must not change.

Two measures: KL(unedited || edited) in nats at the object of a bystander, and the share of known
bystanders that are lost: recalled before the edit and not after it. Facts that the model did not
know cannot be lost, so bystanders of few exposures do not look robust for being unknown.

A KL that is NaN, of a model that returns NaN, is in no mean of KL; its bystanders count as lost,
and reports state the number of these edits. A KL that is infinite makes the mean infinite.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from .estimate import means_of
from .ranges import AMOUNT, SHARE

__all__ = ["MEASURES", "damage", "damage_by", "damage_by_exposures", "damage_of_edits"]

MEASURES = ("kl", "lost")
"""KL in nats, and the share of known bystanders that are lost."""
_OF_EDIT = ("trial", "edit", "label", "size", "model", "world_seed", "seed", "edit_exposures")
_UNITS = ("trial", "edit")
_BOUNDS = {"kl": AMOUNT, "lost": SHARE}


def damage(probes: pl.LazyFrame) -> pl.DataFrame:
    """Return one row per edit and probe of a bystander, after the edit.

    Parameters
    ----------
    probes : polars.LazyFrame
        The `probes` frame of the study.

    Returns
    -------
    polars.DataFrame
        Columns trial, edit, label, size, model, world_seed, seed, edit_exposures, group, exposures
        (of the bystander), known (whether the *edited* fact was known), kl (Float64, nats; null if
        it is NaN), lost (Float64, 0 or 1; null for bystanders that were not known).
    """
    there = pl.col("failure").is_null()
    return (
        probes.filter((pl.col("stage") == "after") & ~pl.col("must_change") & there)
        .select(
            *_OF_EDIT,
            "group",
            "exposures",
            pl.col("edit_known").alias("known"),
            pl.col("kl").cast(pl.Float64).fill_nan(None),
            pl.when(pl.col("known")).then((~pl.col("exact_match")).cast(pl.Float64)).alias("lost"),
        )
        .collect()
    )


def damage_of_edits(rows: pl.DataFrame) -> pl.DataFrame:
    """Average over the bystander rows of each edit.

    Returns
    -------
    polars.DataFrame
        One row per edit: its keys, kl and lost (means; null if no bystander has a number), known,
        bystanders (number of rows) and unmeasured (number of rows whose KL is NaN).
    """
    return rows.group_by(_OF_EDIT, maintain_order=True).agg(
        pl.col("kl").mean(),
        pl.col("lost").mean(),
        pl.col("known").any(),
        pl.len().cast(pl.UInt32).alias("bystanders"),
        pl.col("kl").is_null().sum().cast(pl.UInt32).alias("unmeasured"),
    ).sort(_OF_EDIT)  # fmt: skip


def damage_by(rows: pl.DataFrame, by: Sequence[str] = ("label", "size", "group")) -> pl.DataFrame:
    """Return the mean damage, averaged over bystanders within an edit first, then over edits.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, measure (kl or lost), mean, low, high, rows (edits), clusters.
    """
    table = means_of(rows, _BOUNDS, by, units=_UNITS)
    return table.select(*by, "measure", pl.exclude(*by, "measure")).sort(*by, "measure")


def damage_by_exposures(rows: pl.DataFrame) -> pl.DataFrame:
    """Return mean damage by method, exposures of the edited fact and exposures of the bystander."""
    kept = rows.drop_nulls(["edit_exposures", "exposures"])
    return damage_by(kept, ("label", "edit_exposures", "exposures"))
