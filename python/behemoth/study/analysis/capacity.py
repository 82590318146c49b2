"""Bits of knowledge in the weights, against what the world holds and what parameters can store.

What a model stores of a fact is what it saves over not knowing: log2(objects of the relation) +
log2 p(true object) (Allen-Zhu and Li, 2024, arXiv 2404.05405, section 2, for one value of one
token). Of a level of exposures it is the mean over facts, and nothing where that is below 0. To cut
each fact at 0 instead counts a guess that went well and not one that went ill: it made 0.43 bits a
parameter of 0.36. Their models store about 2 bits a parameter after 1,000 exposures and about 1
after 100.
"""

from __future__ import annotations

import math

import polars as pl

from .estimate import means

__all__ = ["capacity_by_exposures", "capacity_by_model", "recall_by_exposures", "saved_bits",
           "stored_bits"]  # fmt: skip


def saved_bits() -> pl.Expr:
    """Bits saved over not knowing, fact by fact, also below 0.

    From columns ``objects`` and ``log_probability`` (nats); 0 of a model that has no number.
    """
    saved = pl.col("objects").cast(pl.Float64).log(2) + pl.col("log_probability") / math.log(2)
    return pl.when(saved.is_finite()).then(saved).otherwise(0.0)


def stored_bits() -> pl.Expr:
    """Bits that are stored of the facts of a group of one level of exposures: their mean."""
    return saved_bits().mean().clip(lower_bound=0.0)


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
        recall.group_by(*keys, "exposures")
        .agg(
            pl.len().cast(pl.UInt32).alias("facts"),
            (stored_bits() * pl.len()).alias("bits"),
            pl.col("objects").cast(pl.Float64).log(2).sum().alias("offered"),
            pl.col("exact_match").cast(pl.Float64).sum().alias("recall"),
        )
        .group_by(keys)
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
    """Bits stored per parameter if all facts were stored as well as those of a level.

    Returns
    -------
    polars.DataFrame
        size, offered_per_parameter (to two digits: models of one load), exposures, then
        mean, low, high (bits per parameter, from 0), rows (facts) and clusters.
    """
    models = capacity_by_model(recall).select(
        "model", pl.col("offered_per_parameter").round_sig_figs(2), "facts_per_parameter"
    )
    rows = recall.join(models, on="model").with_columns(
        (saved_bits() * pl.col("facts_per_parameter")).alias("density")
    )
    by = ("size", "offered_per_parameter", "exposures")
    table = means(rows, "density", by, within=(0.0, float("inf")))
    return table.with_columns(pl.col("mean").clip(lower_bound=0.0))


def recall_by_exposures(recall: pl.DataFrame) -> pl.DataFrame:
    """Share of facts that are recalled: size, load, exposures, mean, low, high, rows, clusters.

    load: the world's bits / (2 x parameters), rounded to hundredths.
    """
    rows = recall.with_columns(
        pl.col("exact_match").cast(pl.Float64), pl.col("load").cast(pl.Float64).round(2)
    )
    return means(rows, "exact_match", ("size", "load", "exposures"), within=(0.0, 1.0))
