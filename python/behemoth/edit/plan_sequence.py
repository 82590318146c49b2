"""Plans applied one after another, each to the model the earlier ones left, and their retention.

Each delta of a sequence adds to those before it. Locate-and-edit methods keep using the covariances
of the unedited model and, in AlphaEdit, the keys of earlier edits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import nn

from behemoth.delta.delta import Change, EditDelta, add_changes
from behemoth.model.labels import IGNORED
from behemoth.model.modes import evaluating
from behemoth.recall.generation import generate
from behemoth.support.progress import ProgressLike, task

from .batch import rows_of
from .protocol import answers

if TYPE_CHECKING:
    from behemoth.plan.edit_plan import EditPlan

from .protocol import EditContext, EditMethod

__all__ = ["EditSequence", "edit_in_sequence"]

_ROWS = 512  # probes that go through the model at once


@dataclass(frozen=True)
class EditSequence:
    """A sequence of edits, and the answers of the model after each.

    Attributes
    ----------
    deltas : list of EditDelta
        One per plan, each added to the model that contains those before it.
    probes : polars.DataFrame
        The probes: columns stage (the plan that a probe belongs to), fact, prompt, answer
        (correct after that plan) and old_answer. Each row is one column of the matrices.
    recalled : bool [plans + 1, probes]
        Whether free generation returned the answer; row 0 is before the first edit, row i after
        the i-th.
    log_probability : float32 [plans + 1, probes]
        Log-probability of the answer, summed over its tokens.
    """

    deltas: list[EditDelta]
    probes: pl.DataFrame
    recalled: NDArray[np.bool_]
    log_probability: NDArray[np.float32]

    @property
    def retention(self) -> NDArray[np.bool_]:
        """Whether each fact's new answer is generated after each edit: bool [plans, probes]."""
        return self.recalled[1:]

    def retained(self) -> NDArray[np.float64]:
        """Return the share of facts edited so far that are recalled, by edit: float64 [plans]."""
        stage = self.probes["stage"].to_numpy()
        return np.array([row[stage <= number].mean() for number, row in enumerate(self.retention)])

    def merged(self) -> dict[str, Change]:
        """Return the sum of all deltas' changes."""
        total: dict[str, Change] = {}
        for delta in self.deltas:
            total = add_changes(total, delta.changes)
        return total

    def frame(self) -> pl.DataFrame:
        """Return one row per probe and number of edits: after, stage, fact and the measures."""
        stages, count = self.recalled.shape
        return pl.DataFrame(
            {
                "after": np.repeat(np.arange(stages, dtype=np.uint32), count),
                "stage": np.tile(self.probes["stage"].to_numpy(), stages),
                "fact": np.tile(self.probes["fact"].to_numpy(), stages),
                "recalled": self.recalled.ravel(),
                "log_probability": self.log_probability.ravel(),
            }
        )


def edit_in_sequence(
    model: nn.Module,
    method: EditMethod,
    plans: Sequence[EditPlan],
    context: EditContext,
    progress: ProgressLike = None,
) -> EditSequence:
    """Apply plans in their order, and evaluate all of their facts after each.

    Parameters
    ----------
    model : nn.Module
        Restored bit by bit at the end.
    method : EditMethod
    plans : sequence of EditPlan
    context : EditContext
    progress : callable or Progress, optional
        Receiver of progress reports; an error that it raises stops the work.

    Returns
    -------
    EditSequence
        A plan that fails leaves the model unchanged, and the sequence continues.
    """
    probes = _probes(plans)
    delta_of = answers(method).in_sequence(model, context)
    deltas: list[EditDelta] = []
    measured = [_measure(model, probes)]
    with ExitStack() as applied, task(progress, "editing", "edits") as step:
        for number, plan in enumerate(plans):
            delta = delta_of(plan)
            deltas.append(delta)
            applied.enter_context(delta.apply(model))
            measured.append(_measure(model, probes))
            step(number + 1, len(plans))
    recalled, scores = zip(*measured, strict=True)
    return EditSequence(deltas, probes, np.stack(recalled), np.stack(scores))


def _probes(plans: Sequence[EditPlan]) -> pl.DataFrame:
    """Return the first wording of each edited fact, with its plan's answer."""
    columns = ["fact", "prompt", "answer", "old_answer"]
    frames = [
        plan.training.filter(pl.col("role") == "edit")
        .unique("edit", keep="first", maintain_order=True)
        .select(pl.lit(number, pl.UInt32).alias("stage"), *columns)
        for number, plan in enumerate(plans)
    ]
    return pl.concat(frames)


@torch.no_grad()
def _measure(model: Any, probes: pl.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return whether each answer is generated, and its log-probability."""
    answers = probes["answer"].to_list()
    most = 1 + max(map(len, answers))
    texts = generate(model, probes["prompt"].to_list(), most=most)
    recalled = np.array([text == answer for text, answer in zip(texts, answers, strict=True)])
    rows = rows_of(probes.with_columns(pl.lit(1).alias("weight")))
    device = next(model.parameters()).device
    scores = []
    with evaluating(model):
        for first in range(0, len(rows), _ROWS):
            some = slice(first, first + _ROWS)
            tokens, labels = rows.tokens[some].to(device), rows.labels[some, 1:].to(device)
            logits = model(input_ids=tokens).logits[:, :-1].float().log_softmax(-1)
            own = logits.gather(2, labels.clamp_min(0)[..., None])[..., 0]
            scores.append(own.masked_fill(labels == IGNORED, 0.0).sum(1).cpu().numpy())
    return recalled, np.concatenate(scores).astype(np.float32)
