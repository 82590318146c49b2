"""Relearning: whether teaching a model some of the forgotten facts brings the others back.

Facts that were removed have to be learnt one by one; facts that were only suppressed return with
others (Deeb and Roger, 2024, arXiv 2410.08827; Hu et al., 2024, arXiv 2406.13356).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from behemoth.edit.batch import rows_of
from behemoth.model.labels import IGNORED
from behemoth.model.plain_loss import PlainLoss
from behemoth.plan.unwritten import forgotten
from behemoth.support.errors import ArgumentError

from .prompted import Prompted
from .scores import score_old

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.corpus.corpus import Corpus
    from behemoth.delta.delta import EditDelta
    from behemoth.plan.edit_plan import EditPlan

__all__ = ["RELEARNING", "ask_on_the_way", "relearn", "summed_loss"]

RELEARNING: dict[str, Any] = {
    "step": pl.UInt32,
    "fact": pl.UInt64,
    "exposures": pl.UInt64,
    "taught": pl.Boolean,
    "old_match": pl.Boolean,
    "log_probability_old": pl.Float64,
}
"""Columns of the frame that `relearn` returns."""


def relearn(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    delta: EditDelta,
    *,
    share: float = 0.5,
    steps: Sequence[int] = (0, 1, 2, 5, 10, 20),
    learning_rate: float = 1e-4,
    batch: int = 32,
    seed: int = 0,
    until: float | None = None,
    batch_size: int = 512,
) -> pl.DataFrame:
    """Train an unlearned model on the old answers of some forgotten facts, and test all.

    Parameters
    ----------
    model : PreTrainedModel
        The model without the edit; all parameters are trained temporarily and restored bit-exactly.
    corpus : Corpus
    plan : EditPlan
        A plan whose group ``forget`` contains the facts to test.
    delta : EditDelta
        The delta of the complete plan.
    share : float
        Share of the facts that are taught, chosen by `seed`.
    steps : sequence of int
        Numbers of Adam steps after which all facts are tested.
    learning_rate : float
    batch : int
        Number of probes of taught facts per step.
    seed : int
        Seed of the choice of facts and of the batches.
    until : float, optional
        Stop once this share of the facts that were not taught is generated again.
    batch_size : int
        Number of rows per pass when facts are tested.

    Returns
    -------
    polars.DataFrame
        One row per step and probe, columns as in `RELEARNING`. taught: whether the fact was taught;
        old_match: whether free generation is exactly the old answer.

    Raises
    ------
    ArgumentError
        When there are fewer than two facts to forget, or a value is not allowed.
    """
    probes = forgotten(plan)
    facts = probes["fact"].unique(maintain_order=True)
    if len(facts) < 2:
        raise ArgumentError("plan", f"{len(facts)} facts to forget", "2 or more")
    if not 0 < share < 1:
        raise ArgumentError("share", share, "between 0 and 1")
    if not steps or min(steps) < 0:
        raise ArgumentError("steps", tuple(steps), "numbers from 0")
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(facts))
    count = min(max(1, round(share * len(facts))), len(facts) - 1)
    taught = probes["fact"].is_in(facts[order[:count]].implode())
    rows = rows_of(probes.filter(taught).with_columns(pl.lit(1).alias("weight")), "old_answer")
    asked = Prompted.of_old(corpus, probes)

    def loss() -> Tensor:
        chosen = generator.permutation(len(rows))[:batch]
        labels = rows.labels[chosen]
        return summed_loss(model, rows.tokens[chosen], labels) / (labels[:, 1:] != IGNORED).sum()

    about = probes.select("fact", "exposures", taught.alias("taught"))
    with delta.apply(model):
        return ask_on_the_way(model, asked, about, steps, learning_rate, loss, until, batch_size)


def ask_on_the_way(
    model: PreTrainedModel,
    asked: Prompted,
    about: pl.DataFrame,
    steps: Sequence[int],
    learning_rate: float,
    loss: Callable[[], Tensor],
    until: float | None = None,
    batch_size: int = 512,
) -> pl.DataFrame:
    """Train all parameters of a model temporarily, and query it after given steps.

    Parameters
    ----------
    model : PreTrainedModel
        A model, which is restored bit-exactly.
    asked : Prompted
    about : polars.DataFrame
        Columns of each probe: fact, exposures, taught.
    steps : sequence of int
        Numbers of Adam steps after which it is queried.
    learning_rate : float
    loss : callable
        Returns the loss of the next step.
    until : float, optional
        Stop at the first of these steps at which this share of the answers that were not taught is
        generated again.
    batch_size : int
        Number of rows per pass of a query.

    Returns
    -------
    polars.DataFrame
        One row per step and probe, columns as in `RELEARNING`.
    """
    frames = []
    last, rest = max(steps), ~about["taught"].to_numpy()
    kept = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    try:
        for step in range(last + 1):
            if step in steps:
                match, log_probability = score_old(model, asked, batch_size=batch_size)
                frames.append(
                    about.with_columns(
                        pl.lit(step, pl.UInt32).alias("step"),
                        pl.Series("old_match", match),
                        pl.Series("log_probability_old", log_probability),
                    )
                )
                if until is not None and match[rest].mean() >= until:
                    break
            if step < last:
                optimiser.zero_grad(set_to_none=True)
                loss().backward()
                optimiser.step()
    finally:
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(kept[name])
                value.grad = None
    frame = pl.concat(frames)
    return frame.select(pl.col(name).cast(dtype) for name, dtype in RELEARNING.items())


def summed_loss(model: PreTrainedModel, tokens: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of the losses of labelled tokens; int64 [rows, positions], on any device.

    The head is only applied where there are labels: with the vocabulary of a text tokenizer, the
    logits of padding, and the copies of all logits, took two thirds of a step.
    """
    device, dtype = model.device, next(model.parameters()).dtype
    loss = PlainLoss(model, dtype)
    return loss({"input_ids": tokens.to(device), "labels": labels.to(device)})
