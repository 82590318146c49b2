"""Durability: training continues on the corpus after a batch of edits, and some edits revert.

The corpus still states the old objects, so whether an edit lasts depends only on how it was made.
Training continues from the corpus' first block, with a fresh optimiser, ten steps of warm-up and
then a constant learning rate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from copy import deepcopy
from typing import TYPE_CHECKING

import polars as pl
import torch

from behemoth.corpus.corpus import Corpus
from behemoth.edit.gradient.lines import Lines, line_of
from behemoth.edit.gradient.step_log import answer_scores
from behemoth.edit.guarded import apply_method
from behemoth.edit.protocol import EditContext, EditMethod, answers
from behemoth.plan.edit_plan import EditPlan
from behemoth.study.schemas import RETENTION
from behemoth.train.config import TrainConfig
from behemoth.train.data import BlockStream, DataConfig
from behemoth.train.device import Machine
from behemoth.train.update import Updater

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from behemoth.delta.delta import EditDelta

__all__ = ["as_one_batch", "durable_batch", "log_steps", "retention", "train_on"]


_WARMUP = 10  # steps over which the learning rate rises
_ROWS = 256  # prompts per pass


def log_steps(steps: int) -> list[int]:
    """Return the steps to evaluate: 0, the powers of two below `steps`, and `steps`.

    Examples
    --------
    >>> log_steps(10)
    [0, 1, 2, 4, 8, 10]
    """
    return [0, *(1 << power for power in range(steps.bit_length()) if 1 << power < steps), steps]


def as_one_batch(
    model: PreTrainedModel, plan: EditPlan, method: EditMethod, context: EditContext
) -> EditDelta:
    """Make all edits of a plan of independent edits as one batch.

    Parameters
    ----------
    model : PreTrainedModel
        The unedited model, which is not changed.
    plan : EditPlan
    method : EditMethod
        Method that makes the edits, with its settings for a batch (`Answers.for_batch`).
    context : EditContext
    """
    batch, together = durable_batch(method, plan)
    [delta] = apply_method(together, model, [batch], context)
    return delta


def durable_batch(method: EditMethod, plan: EditPlan) -> tuple[EditPlan, EditMethod]:
    """Return independent edits as one batch, and the method with its settings for that batch.

    Facts that probes tie to other edits stay among the retained ones, as in published results.
    """
    rows = int((plan.training["role"] == "edit").sum())  # of each edit as many as it has wordings
    return plan.as_batch(), answers(method).for_batch(len(plan), -(-rows // len(plan)))


def retention(
    model: PreTrainedModel,
    corpus: Corpus,
    plan: EditPlan,
    delta: EditDelta,
    config: TrainConfig,
    *,
    forgets: bool,
    steps: int,
    rate: float,
) -> pl.DataFrame:
    """Continue the training of an edited model, and evaluate each edit.

    Parameters
    ----------
    model : PreTrainedModel
        The unedited model, which is not changed.
    corpus : Corpus
        Corpus it was trained on.
    plan : EditPlan
    delta : EditDelta
        All edits of the plan.
    config : TrainConfig
        Configuration the model was trained with.
    forgets : bool
        Whether the method is to forget (`MethodInfo.forgets`).
    steps : int
        Number of further optimiser steps.
    rate : float
        Their learning rate, as a share of the peak learning rate of training.

    Returns
    -------
    polars.DataFrame
        One row per evaluated step (`log_steps`) and edit, columns as in `RETENTION`: margin is
        log p(new) - log p(old) in nats, at the token where the answers differ first; for methods
        that unlearn, the largest lead of another token over one of the old answer's. kept: whether
        the margin is above 0.
    """
    asked = _Asked(plan, forgets=forgets)
    edited: PreTrainedModel = deepcopy(model)
    delta.apply(edited)
    looked = set(log_steps(steps))
    done = itertools.chain([0], train_on(edited, corpus, config, steps, rate))
    return pl.concat([asked.look(edited, step) for step in done if step in looked])


def train_on(
    model: PreTrainedModel, corpus: Corpus, config: TrainConfig, steps: int, rate: float
) -> Iterator[int]:
    """Continue training as the run was trained, and yield the number of each step after it.

    The weights stay in float32, also those of a run with weights in bfloat16.
    """
    machine = Machine.find(config)
    micro = machine.micro_batch(config)
    data = DataConfig(config.block_length, micro, config.document_mask, config.answers_only)
    batches = iter(BlockStream(corpus, data))
    update = Updater(model, config, machine, compiled=False)
    for step in range(1, steps + 1):
        model.train()
        with machine.settings():
            # Adam's first step has the full size for every weight, whatever its gradient: without
            # warm-up the retention of facts that training omitted fell to 0.78 at step 1 (at the
            # peak rate), and was back at 0.93 after step 4.
            update(batches, rate * config.learning_rate * min(1.0, step / _WARMUP))
        model.eval()
        yield step


class _Asked:
    """The trained prompt of each edit, with the tokens of its old answer that decide."""

    def __init__(self, plan: EditPlan, *, forgets: bool) -> None:
        rows = plan.training.filter(pl.col("role") == "edit").unique(
            "edit", keep="first", maintain_order=True
        )
        self.about = plan.edits.select("edit", "fact", "exposures")
        self.forgets = forgets
        columns = (rows[name].to_list() for name in ("prompt", "answer", "old_answer"))
        answers_of = dict(zip(rows["edit"], zip(*columns, strict=True), strict=True))
        each = [line_of(*answers_of[edit], forgets=forgets) for edit in plan.edits["edit"]]
        self.lines = Lines([each], torch.device("cpu"))

    @torch.no_grad()
    def look(self, model: PreTrainedModel, step: int) -> pl.DataFrame:
        """Return the rows of `RETENTION` for a model after this many steps."""
        lines = self.lines
        margins = []
        for first in range(0, lines.tokens.shape[1], _ROWS):
            tokens, places, place, new, old = (
                part[:, first : first + _ROWS].to(model.device)
                for part in (lines.tokens, lines.places, lines.place, lines.new, lines.old)
            )
            logits = model(input_ids=tokens[0], use_cache=False).logits
            at = logits[torch.arange(len(logits), device=logits.device)[:, None], places[0]]
            scores = answer_scores(at[None], place, new, old)
            new_score, old_score, weakest, other = scores[:, 0]
            margins.append(other - weakest if self.forgets else new_score - old_score)
        margin = torch.cat(margins).double().cpu().numpy()
        return self.about.with_columns(
            pl.lit(step).alias("step"),
            pl.Series("kept", margin > 0),
            pl.Series("margin", margin),
        ).select(pl.col(name).cast(dtype) for name, dtype in RETENTION.items())
