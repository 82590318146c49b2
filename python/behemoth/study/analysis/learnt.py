"""What the models of a leaderboard knew before any edit, by grammar and number of edits.

Unknown facts can be neither changed nor forgotten: a board of models that learnt nothing looks like
any other, but says nothing about methods.
"""

from __future__ import annotations

import polars as pl

__all__ = ["ENOUGH", "LEARNT", "learnt", "recalled"]

ENOUGH = 0.5
"""Minimum share of known edited facts at which a world counts as learnt."""

LEARNT = {
    "suite": pl.String,
    "grammar": pl.String,
    "edits": pl.UInt32,
    "models": pl.UInt32,
    "known": pl.UInt32,
    "facts": pl.UInt32,
    "share": pl.Float64,
    "recall": pl.Float64,
}
"""Columns of `learnt`."""


def learnt(edits: pl.DataFrame, suites: pl.DataFrame, recall: pl.DataFrame) -> pl.DataFrame:
    """Return what was known before the edits, by suite, grammar and number of edits.

    Parameters
    ----------
    edits, suites, recall : polars.DataFrame
        Frames of `behemoth.study.results.Results`, collected.

    Returns
    -------
    polars.DataFrame
        One row per suite, grammar (null for templates) and number of edits of a plan, in this
        order, columns as in `LEARNT`. facts: number of edited facts of all plans, each counted once
        per model; known: number of those whose old answer the unedited model generated in some
        trained wording; share: known / facts; recall: share of all facts with exposures that the
        model generated, mean over models.
    """
    asked = suites.select("trial", "suite", "grammar", pl.col("edits").alias("planned")).unique()
    facts = (
        edits.drop_nulls("known")
        .select("trial", "model", "fact", "link", "known")
        .join(asked, on="trial")
        .unique(["suite", "grammar", "planned", "model", "fact", "link"])
    )
    by = ["suite", "grammar", "planned"]
    models = facts.select(*by, "model").unique().join(recalled(recall), on="model", how="left")
    means = models.group_by(by, maintain_order=True).agg(
        pl.len().alias("models"), pl.col("recall").mean()
    )
    return (
        facts.group_by(by, maintain_order=True)
        .agg(
            pl.col("known").sum(),
            pl.len().alias("facts"),
            pl.col("known").mean().alias("share"),
        )
        .join(means, on=by, nulls_equal=True)
        .rename({"planned": "edits"})
        .sort("suite", "grammar", "edits", nulls_last=False)
        .select(pl.col(name).cast(dtype) for name, dtype in LEARNT.items())
    )


def recalled(recall: pl.DataFrame) -> pl.DataFrame:
    """Return each model's share of recalled facts, among facts with exposures: model, recall."""
    written = recall.filter(pl.col("exposures") > 0)
    return written.group_by("model", maintain_order=True).agg(
        pl.col("exact_match").mean().alias("recall")
    )
