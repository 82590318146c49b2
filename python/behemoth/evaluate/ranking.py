"""Ranks of the true objects by their whole names, of probes that a plan asks.

The passes that score a stack of edited models give the first token's rank for nothing. A rank by
names follows other beginnings for each model, so it is worked out of one model after another; so is
the mean probability of the wrong objects, of the probes whose truth ratio is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.model.modes import evaluating
from behemoth.recall.sequence_rank import sequence_ranks, wrong_probabilities

from .prompted import Prompted
from .scores import Scores

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Ranking"]


class Ranking:
    """Ranks the true answers of a plan's probes.

    Parameters
    ----------
    corpus : Corpus
        With a grammar.
    probes : polars.DataFrame
        Of the plan.
    batch_size : int
        Beginnings of names that go through a model together.
    """

    def __init__(self, corpus: Corpus, probes: pl.DataFrame, batch_size: int) -> None:
        self._corpus, self._batch_size = corpus, batch_size
        self._relation = probes["relation"].to_numpy()
        answers = zip(self._relation.tolist(), probes["answer"].to_list(), strict=True)
        # A refusal is no object, and has no rank.
        self._object = np.array(
            [
                -1
                if answer is None
                else corpus.object_tokens(relation).numbers.get(tuple(answer), -1)
                for relation, answer in answers
            ],
            np.int64,
        )
        old = zip(self._relation.tolist(), probes["old_answer"].to_list(), strict=True)
        is_edited = probes["group"].str.starts_with("edited").to_list()
        self._old = np.array(
            [
                corpus.object_tokens(relation).numbers.get(tuple(answer), -1) if edited else -1
                for (relation, answer), edited in zip(old, is_edited, strict=True)
            ],
            np.int64,
        )

    def rank(
        self,
        model: PreTrainedModel,
        asked: Prompted,
        probes: NDArray[np.intp],
        scores: Scores,
        places: NDArray[np.intp],
    ) -> None:
        """Write the ranks of some probes to places of scores that have their probabilities.

        And of probes of edits, in relations with objects of several tokens, what is missing of the
        wrong objects' probability.

        Parameters
        ----------
        model : GPTNeoXForCausalLM
            As it is asked: with the edit in.
        asked : Prompted
        probes : intp[m]
        scores : Scores
        places : intp[m]
        """
        device = next(model.parameters()).device
        ranked = self._object[probes] >= 0
        wronged = (self._old[probes] >= 0) & ~asked.comparable[probes]
        with evaluating(model), torch.no_grad():
            if ranked.any():
                own = probes[ranked]
                scores.rank[places[ranked]] = sequence_ranks(
                    model,
                    self._corpus,
                    asked.prompts.chosen(own),
                    self._relation[own],
                    self._object[own].astype(np.uint32),
                    scores.log_probability["true"][places[ranked]],
                    batch_size=self._batch_size,
                    device=device,
                )
            if wronged.any():
                own = probes[wronged]
                scores.log_probability["wrong"][places[wronged]] = wrong_probabilities(
                    model,
                    self._corpus,
                    asked.prompts.chosen(own),
                    self._relation[own],
                    self._old[own].astype(np.uint32),
                    batch_size=self._batch_size,
                    device=device,
                )
