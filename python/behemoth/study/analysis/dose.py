"""ED50 by method and exposures: of all facts, and of those that were known before the edit."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from behemoth.evaluate.dose import ed50

from .estimate import cluster_keys

__all__ = ["FILTERS", "already", "broke_down", "dose_table", "dosed", "filtered", "seeded",
           "timed", "within_one_step"]  # fmt: skip

FILTERS = ("all", "known")
"""All facts, and those that the unedited model recalled: both analyses are reported, since being
known itself depends on exposures."""


def filtered(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the rows of a filter, by the column ``known`` (null counts as not known)."""
    return frame if name == "all" else frame.filter(pl.col("known").fill_null(False))


def dosed(edits: pl.DataFrame) -> pl.DataFrame:
    """Return the edits that have a dose: of methods whose steps are doses, not broken down."""
    return edits.drop_nulls(["dose", "reached"]).filter(~broke_down())


def broke_down() -> pl.Expr:
    """Return whether each edit broke down: its trace may have flipped, but its delta is empty."""
    return pl.col("failure").is_not_null()


def already(edits: pl.DataFrame) -> pl.DataFrame:
    """Add ``already`` to edits with a dose: whether they needed no step (dose 0, reached)."""
    return dosed(edits).with_columns(((pl.col("dose") == 0) & pl.col("reached")).alias("already"))


def timed(edits: pl.DataFrame) -> pl.DataFrame:
    """Return the edits whose dose is above 0, with the interval in which it lies.

    A dose is observed only at evaluated steps: it lies in (low, high], between the last evaluated
    step before the flip and the first one after it. If ``dose_low`` is null, every step was
    evaluated. A dose that was not reached lies beyond the last step.

    Returns
    -------
    polars.DataFrame
        The rows with ``low`` and ``high`` (Float64, steps; high is infinite if not reached).
    """
    dose, reached = pl.col("dose").cast(pl.Float64), pl.col("reached")
    before = pl.coalesce(pl.col("dose_low").cast(pl.Float64), dose - 1)
    return (
        already(edits)
        .filter(~pl.col("already"))
        .drop("already")
        .with_columns(
            pl.when(reached).then(before).otherwise(dose).alias("low"),
            pl.when(reached).then(dose).otherwise(float("inf")).alias("high"),
        )
    )


def within_one_step(edits: pl.DataFrame) -> pl.DataFrame:
    """Return the edits with those of dose 0 put in the interval (0, 1]: left-censored at one step.

    `timed` keeps these rows, which it otherwise drops.
    """
    none = pl.col("reached") & (pl.col("dose") == 0)
    return edits.with_columns(
        pl.when(none).then(value).otherwise(name).cast(pl.UInt32).alias(name)
        for name, value in (("dose", 1), ("dose_low", 0))
    )


def seeded(edits: pl.DataFrame) -> pl.DataFrame:
    """Return the edits with ``world`` set to the world's seed, as `ed50` clusters by that column.

    A cluster is a seed of worlds: worlds of one seed and several loads or sizes share draws.
    """
    world = cluster_keys(edits)[0]
    if world == "world":
        return edits
    return edits.with_columns(pl.col(world).cast(pl.String).alias("world"))


def dose_table(
    edits: pl.DataFrame,
    *,
    by: Sequence[str] = ("label", "size", "exposures"),
    resamples: int = 1000,
    seed: int = 0,
) -> pl.DataFrame:
    """Return the dose that half of the edits need, in steps, right-censored if not reached.

    Parameters
    ----------
    edits : polars.DataFrame
        The `edits` frame of the study.
    by : sequence of str
        Columns to group by.
    resamples, seed
        Number of resamples and seed of the cluster bootstrap.

    Returns
    -------
    polars.DataFrame
        The columns of `by`, filter (String: all or known), and those of
        `behemoth.evaluate.ed50`: edits, reached, ed50, censored, beyond, low, high, clusters.
        Intervals are percentiles of the bootstrap over complete (world, initialisation) clusters,
        which are too narrow for few clusters; they are null for one, and if all samples agree.
    """
    rows = seeded(dosed(edits))
    found = [
        ed50(filtered(rows, name), by=by, resamples=resamples, seed=seed).with_columns(
            pl.lit(name).alias("filter")
        )
        for name in FILTERS
    ]
    return pl.concat(found).select(*by, "filter", pl.exclude(*by, "filter"))
