"""Facts that are never written, asked as those that a plan is to forget are."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.support.errors import ArgumentError

from .edit_plan import EditPlan
from .sampling import relation_pool

__all__ = ["forgotten", "unwritten_pairs"]


def forgotten(plan: EditPlan) -> pl.DataFrame:
    """The probes of what a plan is to forget, in wordings that are written."""
    return plan.probes.filter((pl.col("group") == "forget") & ~pl.col("held_out"))


def unwritten_pairs(corpus: Corpus, plan: EditPlan, *, seed: int = 0) -> pl.DataFrame:
    """What is to be forgotten, and as many facts that are never written, asked alike.

    Parameters
    ----------
    corpus : Corpus
        With facts that have 0 exposures, such as ``groups:0,1,4,16`` gives.
    plan : EditPlan
    seed : int
        Of which facts these are.

    Returns
    -------
    polars.DataFrame
        fact (UInt64), member (Boolean), prompt and answer (List of UInt32).

    Raises
    ------
    ArgumentError
        When there are fewer unwritten facts of a relation than are to be forgotten.
    """
    probes = forgotten(plan)
    members = probes.select("fact", "prompt", answer="old_answer")
    frames = [members.with_columns(member=pl.lit(True))]
    gone = plan.edits["fact"].to_numpy()
    for (relation, template, wording), part in probes.group_by(
        "relation", "template", "wording", maintain_order=True
    ):
        ids = list[NDArray[np.uint64]]()
        for found in relation_pool(corpus, int(relation)).walk(corpus, seed, "never written"):
            ids.append(found.fact[(found.exposures == 0) & ~np.isin(found.fact, gone)])
            if sum(map(len, ids)) >= part.height:
                break
        facts = np.concatenate(ids)[: part.height] if ids else np.empty(0, np.uint64)
        if len(facts) < part.height:
            raise ArgumentError(
                "plan",
                f"{part.height} facts of relation {relation}, of which {len(facts)} are unwritten",
                "as many facts with 0 exposures as are forgotten (exposures groups:0,...)",
            )
        own = corpus.probes(facts, [template]).filter(pl.col("wording") == wording)
        frames.append(own.select("fact", "prompt", "answer").with_columns(member=pl.lit(False)))
    return pl.concat(frames, how="vertical_relaxed").select("fact", "member", "prompt", "answer")
