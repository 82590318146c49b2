"""What the models of a leaderboard knew before any edit, world by world.

What was not known can be neither changed nor forgotten: a board of models that had learnt nothing
looks like any other, and says nothing of methods.
"""

from __future__ import annotations

import polars as pl

__all__ = ["ENOUGH", "LEARNT", "learnt", "recalled"]

ENOUGH = 0.5
"""The share of the edited facts from which on a world counts as learnt."""

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
    """What was known before, by suite, world and number of edits.

    Parameters
    ----------
    edits, suites, recall : polars.DataFrame
        Of `behemoth.study.results.Results`, collected.

    Returns
    -------
    polars.DataFrame
        One row a suite, grammar (null of templates) and number of edits of a plan, in this order,
        columns as in `LEARNT`. known: of facts, the edited facts of all plans, a fact once for
        each model, those whose old answer the unedited model generated in some wording that it
        was trained on; share: known by facts; recall: of all facts that are written, the share
        that the models generated, mean over models.
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
    means = models.group_by(by).agg(pl.len().alias("models"), pl.col("recall").mean())
    return (
        facts.group_by(by)
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
    """The share of the facts that are written that each model said: model, recall."""
    written = recall.filter(pl.col("exposures") > 0)
    return written.group_by("model").agg(pl.col("exact_match").mean().alias("recall"))
