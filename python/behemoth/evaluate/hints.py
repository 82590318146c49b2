"""In-context hints: a sentence about the subject may bring a forgotten fact back.

The prompt of each forgotten fact follows a true sentence about its subject, which states another
fact. Facts that were hidden rather than removed come back with related context (Lynch et al., 2024,
arXiv 2402.16835).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from behemoth.corpus.tokens import PERIOD
from behemoth.plan.unwritten import forgotten
from behemoth.support.errors import ArgumentError

from .prompted import Prompted
from .scores import score_old

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["HINTED", "ask_with_hints", "hinted"]

HINTED: dict[str, Any] = {
    "fact": pl.UInt64,
    "subject": pl.UInt64,
    "exposures": pl.UInt64,
    "hint": pl.UInt64,
    "old_match": pl.Boolean,
    "log_probability_old": pl.Float64,
}
"""Columns of the frame that `ask_with_hints` returns."""


def hinted(corpus: Corpus, plan: EditPlan) -> pl.DataFrame:
    """Return the probes of the facts to forget, each after a sentence about its subject.

    Parameters
    ----------
    corpus : Corpus
        The corpus of the plan.
    plan : EditPlan
        A plan whose group ``forget`` has the probes, in trained wordings, and whose group
        ``same_subject`` has the hints: for each subject the first fact that is not itself to be
        forgotten.

    Returns
    -------
    polars.DataFrame
        Rows of the plan's probes with longer prompts, and a column hint (the fact that is stated).
        Probes of subjects without a hint are omitted. The hint is a whole sentence, and in text
        of a grammar the separator of sentences follows, as within a document of the corpus.

    Raises
    ------
    ArgumentError
        When no fact has a hint.
    """
    probes = forgotten(plan)
    said = plan.probes.filter(
        (pl.col("group") == "same_subject")
        & ~pl.col("link")
        & ~pl.col("fact").is_in(probes["fact"].unique().implode())
    ).unique("subject", keep="first", maintain_order=True)
    hints = said.select("subject", pl.col("fact").alias("hint"))
    # The subject of a link fact is an object, whose number is not one of a subject.
    found = probes.filter(~pl.col("link")).join(hints, on="subject", maintain_order="left")
    if found.is_empty():
        raise ArgumentError(
            "plan", "no fact to forget with another of its subject", "one with same_subject probes"
        )
    said = _ended(corpus, said).select("said", pl.col("fact").alias("hint"))
    return _after(corpus, found.join(said, on="hint", maintain_order="left")).drop("said")


def _ended(corpus: Corpus, probes: pl.DataFrame) -> pl.DataFrame:
    """Add whole sentences with the old answers, in a column said."""
    if corpus.grammar is None:
        probes = probes.with_columns(rest=pl.lit([PERIOD], pl.List(pl.UInt32)))
    else:
        key = ["fact", "template", "wording"]
        facts, templates = probes["fact"].sort(), sorted(probes["template"].unique())
        written = corpus.probes(facts.to_numpy(), templates).select(*key, "rest")
        probes = probes.join(written, on=key, maintain_order="left")
    return probes.with_columns(said=pl.col("prompt").list.concat("old_answer").list.concat("rest"))


def _after(corpus: Corpus, probes: pl.DataFrame) -> pl.DataFrame:
    """Return probes whose prompts follow the sentences in their column said."""
    if corpus.grammar is None:
        return probes.with_columns(pl.col("said").list.concat("prompt").alias("prompt"))
    between = corpus.grammar.separator
    # A space is a part of the token after it, which at the start of a prompt is another one.
    prompts = [
        corpus.encode(f"{corpus.decode(said)}{between}{corpus.decode(prompt)}").tolist()
        for said, prompt in probes.select("said", "prompt").iter_rows()
    ]
    return probes.with_columns(pl.Series("prompt", prompts, pl.List(pl.UInt32)))


def ask_with_hints(
    model: PreTrainedModel, corpus: Corpus, plan: EditPlan, *, batch_size: int = 512
) -> pl.DataFrame:
    """Query a model for the forgotten facts, each after a hint.

    Parameters
    ----------
    model : PreTrainedModel
        The model to query: ``with delta.apply(model)`` for an edited one.
    corpus : Corpus
    plan : EditPlan
    batch_size : int
        Number of prompts per pass.

    Returns
    -------
    polars.DataFrame
        One row per fact and wording, columns as in `HINTED`. hint: the fact stated in the context;
        old_match: whether free generation is exactly the old answer.

    Raises
    ------
    ArgumentError
        When no fact has a hint.
    """
    probes = hinted(corpus, plan)
    asked = Prompted.of_old(corpus, probes)
    match, log_probability = score_old(model, asked, batch_size=batch_size)
    return probes.with_columns(
        pl.Series("old_match", match),
        pl.Series("log_probability_old", log_probability),
    ).select(pl.col(name).cast(dtype) for name, dtype in HINTED.items())
