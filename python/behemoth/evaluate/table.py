"""Conversion of scores to the columns of the evaluation frame."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.plan.edit_plan import EditPlan
from behemoth.train.run import world_id

from .prompted import ANSWERS, Prompted
from .row_scores import Scores
from .schema import SCHEMA

__all__ = ["finish", "laid_out"]

_PROBED = ("probe", "group", "template", "wording", "held_out", "seen", "fact", "link", "subject",
           "relation", "must_change", "exposures")  # fmt: skip


def laid_out(
    probes: pl.DataFrame, asked: Prompted, which: NDArray[np.intp], before: Scores, after: Scores
) -> pl.DataFrame:
    """Return the rows of both stages: `before` is indexed by probe, `after` by row."""
    kept = probes.select("edit", *_PROBED)[which]
    stages = []
    for stage, scores, at in (
        ("before", before, which),
        ("after", after, np.arange(len(which))),
    ):
        there = asked.there["new"][which]
        columns = {
            "prompt_tokens": asked.prompts.lengths[which],
            **{
                f"log_probability_{name}": scores.log_probability[name][at]
                for name in (*ANSWERS, "wrong")
            },
            "rank": scores.rank[at],
            "generated": [scores.generated[row] for row in at.tolist()],
            "exact_match": scores.match["true"][at],
            "old_match": scores.match["old"][at],
            "new_match": scores.match["new"][at],
            "valid_object": scores.valid[at],
            "leaked": scores.leaked[at],
            "extraction_strength": scores.extraction[at],
            "kl": scores.divergence[at],
            "known": before.match["old"][which],
        }
        absent = {
            "new_match": ~there,
            "log_probability_new": ~there,
            "leaked": ~asked.targeted[which],
            "rank": scores.rank[at] == 0,
            # For names of several tokens, only if they were computed.
            "log_probability_wrong": ~asked.comparable[which]
            & np.isnan(scores.log_probability["wrong"][at]),
        }
        frame = pl.DataFrame(columns).with_columns(
            pl.when(pl.Series(~gone)).then(pl.col(name)).alias(name)
            for name, gone in absent.items()
        )
        stages.append(
            pl.concat([kept, frame], how="horizontal").with_columns(pl.lit(stage).alias("stage"))
        )
    return pl.concat(stages)


def finish(
    frame: pl.DataFrame, plan: EditPlan, corpus: Corpus, run: str, seed: int
) -> pl.DataFrame:
    """Add the columns that are the same for all rows, edit_exposures and edit_known."""
    about = plan.edits.select("edit", pl.col("exposures").alias("edit_exposures"))
    knows = (
        frame.filter((pl.col("stage") == "before") & (pl.col("group") == "edited"))
        .group_by("edit", maintain_order=True)
        .agg(pl.col("known").any().alias("edit_known"))
    )
    return (
        frame.join(about, on="edit", how="left", maintain_order="left")
        .join(knows, on="edit", how="left", maintain_order="left")
        .with_columns(
            pl.lit(run).alias("run"),
            pl.lit(plan.plan_hash).alias("plan"),
            pl.lit(world_id(corpus)).alias("world"),
            pl.lit(seed).alias("seed"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    )
