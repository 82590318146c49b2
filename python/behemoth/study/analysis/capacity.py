"""Bits of knowledge in the weights, against what the world holds and what parameters can store.

What a model stores of a fact is what it saves over not knowing: log2(objects of the relation) +
log2 p(true object), and nothing where that is below 0 (Allen-Zhu and Li, 2024, arXiv 2404.05405,
section 2, for one value of one token). Their models store about 2 bits a parameter after 1,000
exposures and about 1 after 100.
"""

from __future__ import annotations

import math

import polars as pl

from .estimate import means

__all__ = ["capacity_by_exposures", "capacity_by_model", "recall_by_exposures", "stored_bits"]


def stored_bits() -> pl.Expr:
    """Bits that are stored of a fact: from columns ``objects`` and ``log_probability`` (nats)."""
    saved = pl.col("objects").cast(pl.Float64).log(2) + pl.col("log_probability") / math.log(2)
    return saved.fill_nan(0.0).clip(lower_bound=0.0)


def capacity_by_model(recall: pl.DataFrame) -> pl.DataFrame:
    """Bits stored by each model.

    Returns
    -------
    polars.DataFrame
        model, size, world, seed, rotation, parameters, facts, bits (stored), offered (bits of
        the relations' objects), recall (share), bits_per_parameter, offered_per_parameter,
        facts_per_parameter.
    """
    keys = ["model", "size", "world", "seed", "rotation", "parameters"]
    per = pl.col("parameters").cast(pl.Float64)
    return (
        recall.group_by(keys)
        .agg(
            pl.len().cast(pl.UInt32).alias("facts"),
            stored_bits().sum().alias("bits"),
            pl.col("objects").cast(pl.Float64).log(2).sum().alias("offered"),
            pl.col("exact_match").cast(pl.Float64).mean().alias("recall"),
        )
        .with_columns(
            (pl.col("bits") / per).alias("bits_per_parameter"),
            (pl.col("offered") / per).alias("offered_per_parameter"),
            (pl.col("facts") / per).alias("facts_per_parameter"),
        )
        .sort(keys)
    )


def capacity_by_exposures(recall: pl.DataFrame) -> pl.DataFrame:
    """Bits stored per parameter if all facts were stored as well as those of a level.

    Returns
    -------
    polars.DataFrame
        size, offered_per_parameter (rounded to hundredths: models of one load), exposures, then
        mean, low, high (bits per parameter), rows (facts) and clusters.
    """
    models = capacity_by_model(recall).select(
        "model", pl.col("offered_per_parameter").round(2), "facts_per_parameter"
    )
    rows = recall.join(models, on="model").with_columns(
        (stored_bits() * pl.col("facts_per_parameter")).alias("density")
    )
    by = ("size", "offered_per_parameter", "exposures")
    return means(rows, "density", by, within=(0.0, float("inf")))


def recall_by_exposures(recall: pl.DataFrame) -> pl.DataFrame:
    """Share of facts that are recalled: size, load, exposures, mean, low, high, rows, clusters.

    load: the world's bits / (2 x parameters), rounded to hundredths.
    """
    rows = recall.with_columns(
        pl.col("exact_match").cast(pl.Float64), pl.col("load").cast(pl.Float64).round(2)
    )
    return means(rows, "exact_match", ("size", "load", "exposures"), within=(0.0, 1.0))
