"""Ranks of the true objects by their complete names, for the probes of a plan.

The passes that score a stack of edited models also rank objects by their first token. A rank by
names follows different beginnings for each model, so it is computed for one model after another; so
is the mean probability of the wrong objects, for the probes that need a truth ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from behemoth.corpus.corpus import Corpus
from behemoth.model.modes import evaluating
from behemoth.recall.sequence_rank import sequence_ranks, wrong_probabilities
from behemoth.support.progress import Advance, silent

from .metrics import PARAPHRASED
from .prompted import Prompted
from .row_scores import Scores

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Ranking"]


class Ranking:
    """Ranks the true answers of a plan's probes.

    Parameters
    ----------
    corpus : Corpus
        A corpus with a grammar.
    probes : polars.DataFrame
        The probes of the plan.
    batch_size : int
        Number of beginnings of names per pass.
    ranks : bool
        If false, compute only the wrong objects' probability, which fewer probes need.
    """

    def __init__(
        self, corpus: Corpus, probes: pl.DataFrame, batch_size: int, *, ranks: bool = True
    ) -> None:
        self._corpus, self._batch_size, self._ranks = corpus, batch_size, ranks
        self._relation = probes["relation"].to_numpy()
        # A refusal is not an object, and has no rank.
        self._object = self._numbers(probes["answer"].to_list())
        is_edited = probes["group"].str.starts_with("edited")
        if not probes["group"].is_in(PARAPHRASED).any():  # see `forget_quality.fact_scores`
            is_edited |= probes["group"] == "forget"
        old = zip(probes["old_answer"].to_list(), is_edited.to_list(), strict=True)
        self._old = self._numbers([answer if edited else None for answer, edited in old])

    def _numbers(self, answers: Sequence[Sequence[int] | None]) -> NDArray[np.int64]:
        """Return the number of the object of each probe that an answer names; -1 without one."""
        numbers = [
            -1
            if answer is None
            else self._corpus.object_tokens(relation).numbers.get(tuple(answer), -1)
            for relation, answer in zip(self._relation.tolist(), answers, strict=True)
        ]
        return np.array(numbers, np.int64)

    def rank(
        self,
        model: PreTrainedModel,
        asked: Prompted,
        probes: NDArray[np.intp],
        scores: Scores,
        places: NDArray[np.intp],
        step: Advance = silent,
    ) -> None:
        """Write the ranks of some probes to scores that already have their log-probabilities.

        Ranks are omitted without `ranks`. For probes of edited facts in relations whose objects are
        not distinguished by one token, the wrong objects' log-probability is written too; of group
        ``forget`` only if there are no probes of other wordings.

        Parameters
        ----------
        model : PreTrainedModel
            The model to query, with the edit applied if there is one.
        asked : Prompted
        probes : intp[m]
        scores : Scores
        places : intp[m]
            Positions of the probes in `scores`.
        step : callable, optional
            Called with (probes ranked, probes to rank).
        """
        device = next(model.parameters()).device
        ranked = (self._object[probes] >= 0) & self._ranks
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
                    step=step,
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
