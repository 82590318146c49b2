"""Facts that are never written, probed like the facts that a plan is to forget."""

from __future__ import annotations

import numpy as np
import polars as pl

from behemoth.corpus.corpus import Corpus
from behemoth.corpus.probes import probes_in
from behemoth.support.errors import ArgumentError

from .edit_plan import EditPlan
from .sampling import relation_pool

__all__ = ["forgotten", "unwritten_pairs"]


def forgotten(plan: EditPlan) -> pl.DataFrame:
    """Return the probes of the facts that a plan is to forget, in wordings that are written."""
    return plan.probes.filter((pl.col("group") == "forget") & ~pl.col("held_out"))


def unwritten_pairs(corpus: Corpus, plan: EditPlan, *, seed: int = 0) -> pl.DataFrame:
    """Return the facts to be forgotten and as many never-written facts, probed alike.

    Parameters
    ----------
    corpus : Corpus
        A corpus with facts of 0 exposures, such as with ``groups:0,1,4,16``.
    plan : EditPlan
    seed : int
        Key of the choice of unwritten facts.

    Returns
    -------
    polars.DataFrame
        fact (UInt64), member (Boolean), prompt and answer (List of UInt32).

    Raises
    ------
    ArgumentError
        When a relation has fewer unwritten facts than facts to be forgotten.
    """
    probes = forgotten(plan)
    members = probes.select("fact", "prompt", answer="old_answer")
    frames = [members.with_columns(member=pl.lit(True))]
    gone = plan.edits["fact"].to_numpy()
    for (relation, template, wording), part in probes.group_by(
        "relation", "template", "wording", maintain_order=True
    ):
        facts = relation_pool(corpus, int(relation)).first(
            corpus, seed, "never written", part.height,
            lambda found: (found.exposures == 0) & ~np.isin(found.fact, gone),
        ).fact  # fmt: skip
        if len(facts) < part.height:
            raise ArgumentError(
                "plan",
                f"{part.height} facts of relation {relation}, of which {len(facts)} are unwritten",
                "as many facts with 0 exposures as are forgotten (exposures groups:0,...)",
            )
        own = probes_in(corpus, facts, template, wording)
        frames.append(own.select("fact", "prompt", "answer").with_columns(member=pl.lit(False)))
    return pl.concat(frames, how="vertical_relaxed").select("fact", "member", "prompt", "answer")
