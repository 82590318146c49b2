"""Correction of twins' perplexities that earlier versions measured on another text."""

from __future__ import annotations

import polars as pl

__all__ = ["on_one_text"]

_MEASURE, _FIRST = "perplexity_corpus", 1


def on_one_text(suites: pl.DataFrame) -> pl.DataFrame:
    """Replace twins' perplexities by those on the corpus that the run was trained on.

    Trials with version 1 of the measure evaluated the twin on its own corpus, which lacks the facts
    and so is another text. The model of an oracle, retrained on that corpus, is the same as the
    twin and is evaluated like all methods, so its value replaces the twin's.

    Parameters
    ----------
    suites : polars.DataFrame
        `Results.suites`, collected.

    Returns
    -------
    polars.DataFrame
        The frame, with the twins of these rows replaced by the value of the oracle on the same
        model with the same number of edits, or by null unless there is exactly one.
    """
    key = ["model", "suite", "edits"]
    old = (pl.col("measure") == _MEASURE) & (pl.col("version") == _FIRST)
    twins = (
        suites.filter(old, pl.col("family") == "oracle", pl.col("value").is_not_null())
        .group_by(key, maintain_order=True)
        .agg(
            # Several plans of one model and size cannot be distinguished here.
            pl.when(pl.len() == 1).then(pl.col("value").first()).alias("_twin")
        )
    )
    joined = suites.join(twins, on=key, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(
        pl.when(old & pl.col("twin").is_not_null()).then("_twin").otherwise("twin").alias("twin")
    ).drop("_twin")
