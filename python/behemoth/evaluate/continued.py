"""Continued pre-training: forgotten facts may come back while a model is trained on other text.

Training continues on documents of the corpus that do not state the forgotten facts, so that nothing
teaches them again: facts that come back were only hidden (Hu et al., 2024, arXiv 2406.13356).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from behemoth.corpus.tokens import PADDING
from behemoth.delta.context import positions_left
from behemoth.model.labels import IGNORED
from behemoth.plan.unwritten import forgotten
from behemoth.support.errors import ArgumentError

from .prompted import Prompted
from .relearning import ask_on_the_way, summed_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["continue_training"]


_TRIES = 1000  # maximum number of draws for each document of a step
_TOGETHER = 8  # documents of similar length per pass


def continue_training(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    delta: EditDelta,
    *,
    steps: Sequence[int] = (0, 1, 2, 4, 8, 16, 32, 64),
    learning_rate: float = 1e-4,
    batch: int = 32,
    seed: int = 0,
    until: float | None = None,
    batch_size: int = 512,
) -> pl.DataFrame:
    """Train an unlearned model on text without the forgotten facts, and probe these.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edit; all parameters are trained temporarily and restored bit-exactly.
    corpus : Corpus
    plan : EditPlan
        A plan whose group ``forget`` contains the facts to test.
    delta : EditDelta
        The delta of the complete plan.
    steps : sequence of int
        Numbers of Adam steps after which the facts are probed.
    learning_rate : float
    batch : int
        Number of documents per step, drawn anew for each step from those that state no fact that
        the plan edits, probed or not.
    seed : int
    until : float, optional
        Stop once this share of the facts is generated again.
    batch_size : int
        Number of rows per pass when facts are probed.

    Returns
    -------
    polars.DataFrame
        One row per step and probe, columns as in `RELEARNING`; taught is always false.

    Raises
    ------
    ArgumentError
        When there is no fact to forget, all documents state one, or a value is not allowed.
    """
    probes = forgotten(plan)
    if probes.is_empty():
        raise ArgumentError("plan", "0 facts to forget", "1 or more of them")
    if not steps or min(steps) < 0:
        raise ArgumentError("steps", tuple(steps), "numbers from 0")
    # Those that are edited without a probe are not to be taught again either.
    gone = plan.edits["fact"].unique().to_numpy()
    saying = set(corpus.ledger(gone)["document"].to_list())
    if len(saying) == corpus.num_documents:
        raise ArgumentError("corpus", "one whose documents all say these facts", "others too")
    generator = np.random.default_rng(seed)
    most = positions_left(model, delta)

    def loss() -> Tensor:
        documents = _drawn(corpus, saying, batch, generator)
        return _loss(model, [document[:most] for document in documents])

    asked = Prompted.of_old(corpus, probes)
    about = probes.select("fact", "exposures", pl.lit(False).alias("taught"))
    with delta.apply(model):
        return ask_on_the_way(model, asked, about, steps, learning_rate, loss, until, batch_size)


def _drawn(
    corpus: Corpus, saying: Collection[int], count: int, generator: np.random.Generator
) -> list[NDArray[np.integer]]:
    """Draw `count` nonempty documents that are not in `saying`, uniformly with replacement."""
    found: list[NDArray[np.integer]] = []
    for _ in range(_TRIES * count):
        number = int(generator.integers(corpus.num_documents))
        if number in saying:
            continue
        tokens = corpus.tokens(number, number + 1, threads=1)
        if len(tokens) > 1:  # a subject whose facts are never written has empty documents
            found.append(tokens)
        if len(found) == count:
            return found
    raise ArgumentError("corpus", "one whose documents say these facts or nothing", "others too")


def _loss(model: PreTrainedModel, documents: Sequence[NDArray[np.integer]]) -> Tensor:
    """Return the mean loss per token of documents, each read from its beginning."""
    ordered = sorted(documents, key=len)
    parts = [ordered[first : first + _TOGETHER] for first in range(0, len(ordered), _TOGETHER)]
    total = torch.stack([_summed(model, part) for part in parts]).sum()
    return total / sum(len(document) - 1 for document in documents)


def _summed(model: PreTrainedModel, documents: Sequence[NDArray[np.integer]]) -> Tensor:
    rows = [torch.from_numpy(document.astype(np.int64)) for document in documents]
    tokens, labels = (
        pad_sequence(rows, batch_first=True, padding_value=filler) for filler in (PADDING, IGNORED)
    )
    return summed_loss(model, tokens, labels)
