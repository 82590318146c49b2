"""Ranks of the true objects by their whole names, of probes that a plan asks.

The passes that score a stack of edited models give the first token's rank for nothing. A rank by
names follows other beginnings for each model, so it is worked out of one model after another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.recall.generation import evaluating
from behemoth.recall.sequence_rank import sequence_ranks

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

    def rank(
        self,
        model: PreTrainedModel,
        asked: Prompted,
        probes: NDArray[np.intp],
        scores: Scores,
        places: NDArray[np.intp],
    ) -> None:
        """Write the ranks of some probes to places of scores that have their probabilities.

        Parameters
        ----------
        model : GPTNeoXForCausalLM
            As it is asked: with the edit in.
        asked : Prompted
        probes : intp[m]
        scores : Scores
        places : intp[m]
        """
        ranked = self._object[probes] >= 0
        probes, places = probes[ranked], places[ranked]
        if not len(probes):
            return
        with evaluating(model), torch.no_grad():
            scores.rank[places] = sequence_ranks(
                model,
                self._corpus,
                asked.prompts.chosen(probes),
                self._relation[probes],
                self._object[probes].astype(np.uint32),
                scores.log_probability["true"][places],
                batch_size=self._batch_size,
                device=next(model.parameters()).device,
            )
