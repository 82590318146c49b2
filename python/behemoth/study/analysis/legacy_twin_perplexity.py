"""Numbers of twins that trials before this version took on another text."""

from __future__ import annotations

import polars as pl

__all__ = ["on_one_text"]

_MEASURE, _FIRST = "perplexity_corpus", 1


def on_one_text(suites: pl.DataFrame) -> pl.DataFrame:
    """Hold a twin's perplexity to the corpus that its run was trained on.

    Trials of version 1 of the measure took it on the twin's own corpus, which lacks the facts, and
    so is another text. What was retrained on that corpus is the twin, and is measured as all
    methods are, so its value stands for the twin's.

    Parameters
    ----------
    suites : polars.DataFrame
        `Results.suites`, collected.

    Returns
    -------
    polars.DataFrame
        The same, with other twins in these rows: the value of an oracle on the same model with as
        many edits, or null without one.
    """
    key = ["model", "suite", "edits"]
    old = (pl.col("measure") == _MEASURE) & (pl.col("version") == _FIRST)
    twins = (
        suites.filter(old, pl.col("family") == "oracle", pl.col("value").is_not_null())
        .group_by(key)
        .agg(
            # Several plans of one model and size cannot be told apart here.
            pl.when(pl.len() == 1).then(pl.col("value").first()).alias("_twin")
        )
    )
    joined = suites.join(twins, on=key, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(
        pl.when(old & pl.col("twin").is_not_null()).then("_twin").otherwise("twin").alias("twin")
    ).drop("_twin")
