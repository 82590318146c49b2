"""Bits of knowledge in the weights, compared with the bits of the world and with parameters.

A model stores the bits of a fact that it saves over not knowing it: log2(objects of the relation) +
log2 p(true object) (Allen-Zhu and Li, 2024, arXiv 2404.05405, section 2, for one value of one
token). For a level of exposures the bits are averaged over facts, and a negative mean counts as 0.
Clipping each fact at 0 instead would count lucky guesses and ignore unlucky ones: it turned 0.36
bits per parameter into 0.43. Their models store about 2 bits per parameter after 1,000 exposures
and about 1 after 100. All parameters are counted here; the suite ``recall`` counts those without
the embeddings.
"""

from __future__ import annotations

import polars as pl

from behemoth.recall.bits import saved_bits

from .estimate import means
from .ranges import AMOUNT, SHARE

__all__ = ["capacity_by_exposures", "capacity_by_model", "recall_by_exposures", "stored_bits"]


def stored_bits() -> pl.Expr:
    """Return the mean bits stored of the facts of a group with one level of exposures, from 0."""
    return saved_bits().mean().clip(lower_bound=0.0)


def capacity_by_model(recall: pl.DataFrame) -> pl.DataFrame:
    """Return the bits stored by each model.

    Returns
    -------
    polars.DataFrame
        Columns model, size, world, seed, rotation, parameters, facts, bits (stored), offered (bits
        to learn: sum of log2 objects of the relation), recall (share), bits_per_parameter,
        offered_per_parameter, facts_per_parameter.
    """
    keys = ["model", "size", "world", "seed", "rotation", "parameters"]
    per = pl.col("parameters").cast(pl.Float64)
    return (
        recall.group_by(*keys, "exposures", maintain_order=True)
        .agg(
            pl.len().cast(pl.UInt32).alias("facts"),
            (stored_bits() * pl.len()).alias("bits"),
            pl.col("objects").cast(pl.Float64).log(2).sum().alias("offered"),
            pl.col("exact_match").cast(pl.Float64).sum().alias("recall"),
        )
        .group_by(keys, maintain_order=True)
        .agg(pl.col("facts", "bits", "offered", "recall").sum())
        .with_columns(pl.col("recall") / pl.col("facts"))
        .with_columns(
            (pl.col("bits") / per).alias("bits_per_parameter"),
            (pl.col("offered") / per).alias("offered_per_parameter"),
            (pl.col("facts") / per).alias("facts_per_parameter"),
        )
        .sort(keys)
    )


def capacity_by_exposures(recall: pl.DataFrame) -> pl.DataFrame:
    """Return the bits stored per parameter if all facts were stored as well as those of a level.

    This is the share of their bits that the facts of a level store, times all bits of the world.
    Facts of a level may have more objects to choose from than others, such as facts that follow
    from them: their bits times the number of all facts would exceed the bits of the world.

    Returns
    -------
    polars.DataFrame
        Columns size, offered_per_parameter (to two digits, so that models of one load share it),
        exposures, then mean, low, high (bits per parameter, from 0), rows (facts) and clusters.
    """
    models = capacity_by_model(recall).select(
        "model",
        pl.col("offered_per_parameter").round_sig_figs(2),
        pl.col("offered_per_parameter").alias("offered"),
    )
    own = pl.col("objects").cast(pl.Float64).log(2).mean().over("model", "exposures")
    share = pl.when(own > 0).then(saved_bits() / own).otherwise(0.0)
    rows = recall.join(models, on="model").with_columns(
        (share * pl.col("offered")).alias("density")
    )
    by = ("size", "offered_per_parameter", "exposures")
    table = means(rows, "density", by, within=AMOUNT)
    return table.with_columns(pl.col("mean").clip(lower_bound=0.0))


def recall_by_exposures(recall: pl.DataFrame) -> pl.DataFrame:
    """Return the share of facts that are recalled.

    Columns size, load (bits of the world / (2 x parameters), to two digits), exposures, mean, low,
    high, rows, clusters.
    """
    rows = recall.with_columns(
        pl.col("exact_match").cast(pl.Float64), pl.col("load").cast(pl.Float64).round_sig_figs(2)
    )
    return means(rows, "exact_match", ("size", "load", "exposures"), within=SHARE)
