"""Training rows of plans as tensors, and the order in which steps use them.

Losses use answer tokens only: prompts and padding have the label -100. Padding is on the right,
where a causal model does not see it from the tokens that count.

Shape letters: n rows, T positions, p places of answer tokens, a answer tokens, V words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from behemoth.corpus.templates import is_of
from behemoth.corpus.tokens import PADDING, PERIOD
from behemoth.model.architecture import Architecture
from behemoth.model.labels import IGNORED
from behemoth.model.modules import backbone
from behemoth.model.precision import widened
from behemoth.plan.edit_plan import EditPlan
from behemoth.plan.request import REFUSALS

__all__ = [
    "Order",
    "Rows",
    "answer_losses",
    "deciding",
    "edit_rows_of",
    "first_difference",
    "mean_losses",
    "retain_rows_of",
    "rows_of",
]


@dataclass(frozen=True)
class Rows:
    """Sentences with labelled answers.

    Attributes
    ----------
    tokens : int64 [n, T]
        Prompt, answer, padding.
    labels : int64 [n, T]
        The answer's tokens at their own positions, `IGNORED` elsewhere.
    weight : float64 [n]
        Number of times each row occurs in the mixture.
    """

    tokens: Tensor
    labels: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return self.tokens.shape[0]

    def some(self, numbers: Sequence[int]) -> Rows:
        """Return the rows of these numbers, in their order."""
        index = torch.tensor(numbers, dtype=torch.int64)
        return Rows(self.tokens[index], self.labels[index], self.weight[index])

    def padded(self, length: int) -> Rows:
        """Return the same rows, padded to `length` tokens."""
        missing = length - self.tokens.shape[1]
        return Rows(
            torch.nn.functional.pad(self.tokens, (0, missing), value=PADDING),
            torch.nn.functional.pad(self.labels, (0, missing), value=IGNORED),
            self.weight,
        )


def rows_of(frame: pl.DataFrame, answer: str = "answer") -> Rows:
    """Return the rows of a training frame with columns ``prompt``, ``weight`` and `answer`."""
    prompts: list[list[int]] = frame["prompt"].to_list()
    answers: list[list[int]] = frame[answer].to_list()
    length = max((len(p) + len(a) for p, a in zip(prompts, answers, strict=True)), default=0)
    tokens = np.full((len(prompts), length), PADDING, dtype=np.int64)
    labels = np.full((len(prompts), length), IGNORED, dtype=np.int64)
    for row, (prompt, text) in enumerate(zip(prompts, answers, strict=True)):
        middle, end = len(prompt), len(prompt) + len(text)
        tokens[row, :middle] = prompt
        tokens[row, middle:end] = text
        labels[row, middle:end] = text
    weight = torch.from_numpy(frame["weight"].cast(pl.Float64).to_numpy().copy())
    return Rows(torch.from_numpy(tokens), torch.from_numpy(labels), weight)


class Order:
    """The rows of each step: drawn in proportion to their weights, shuffled with a seed.

    The order depends on the plan and the seed, not on the other plans of a stack: an edit uses the
    same rows in the same order alone and among others.

    Parameters
    ----------
    weight : float64 [n]
    plan : EditPlan
    seed, purpose : int
    shared : bool
        Whether the weights are shares of a number of repeats, which differ by 1 where they do not
        divide it. Such rows are equal: no difference between them was asked for.
    """

    def __init__(
        self, weight: Tensor, plan: EditPlan, seed: int, purpose: int, *, shared: bool = False
    ) -> None:
        key = int(plan.plan_hash[:15], 16) ^ (seed * 0x9E3779B9 + purpose)
        self._generator = torch.Generator().manual_seed(key % 2**63)
        self._weight = weight
        self._slack = 1.0 if shared else 0.0
        self._waiting = torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> Tensor:
        """Return the numbers of the next `count` rows: int64 [count]."""
        while len(self._waiting) < count:
            self._waiting = torch.cat([self._waiting, self._round()])
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return taken

    def _round(self) -> Tensor:
        # Equal weights: a permutation, so that no row repeats before all have been used once.
        if bool(self._weight.max() - self._weight.min() <= self._slack):
            return torch.randperm(len(self._weight), generator=self._generator)
        return torch.multinomial(
            self._weight, len(self._weight), replacement=True, generator=self._generator
        )


def first_difference(
    new: Sequence[int] | None, old: Sequence[int] | None
) -> tuple[int, int, int] | None:
    """Return where two answers first differ: index in the answer, new token, old token.

    None if either answer is missing, or one is equal to the other or its beginning.
    """
    pairs = enumerate(zip(new or (), old or (), strict=False))
    return next(((place, a, b) for place, (a, b) in pairs if a != b), None)


def edit_frame_of(plan: EditPlan) -> pl.DataFrame:
    """Return the edit rows of the mixture, with answers as editors have to teach them.

    Refusals end with a period: no corpus shows the model where one ends, so it must learn to stop
    as well. In a grammar's text an answer is scored by its beginning, and needs no end.
    """
    frame = plan.training.filter(pl.col("role") == "edit")
    if not plan.edits["kind"].is_in(REFUSALS).any():
        return frame
    period = pl.lit([PERIOD], pl.List(pl.UInt32))
    ends = pl.Series(is_of(frame["template"], "ends_in_period"))
    ended = pl.col("answer").list.concat(period)
    return frame.with_columns(pl.when(ends).then(ended).otherwise("answer").alias("answer"))


def edit_rows_of(plan: EditPlan, answer: str) -> Rows:
    """Return the edit rows, with the answers of a column: ``answer`` or ``old_answer``."""
    return rows_of(edit_frame_of(plan), answer)


def retain_rows_of(plan: EditPlan) -> Rows:
    """Return the retain rows: all rows of the training mixture that are not edit rows."""
    return rows_of(plan.training.filter(pl.col("role") != "edit"))


def deciding(labels_nt: Tensor) -> tuple[Tensor, Tensor]:
    """Return where answer tokens are predicted, one position before them: rows, columns, int64 [p].

    They are in the order of the rows, and of the tokens in a row.
    """
    rows, columns = torch.nonzero(labels_nt != IGNORED, as_tuple=True)
    return rows, columns - 1


def answer_losses(model: nn.Module, tokens_nt: Tensor, labels_nt: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of each row's answer tokens, in nats: [n].

    A row's loss does not depend on the other rows.
    """
    rows, columns = deciding(labels_nt)
    hidden = backbone(model)(input_ids=tokens_nt, use_cache=False)[0]
    architecture = Architecture.of(model)
    head = model.get_submodule(architecture.head)
    logits = architecture.logits(head, hidden[rows, columns])
    return mean_losses(logits, labels_nt[rows, columns + 1], rows, len(tokens_nt))


def mean_losses(logits_av: Tensor, labels_a: Tensor, rows_a: Tensor, count: int) -> Tensor:
    """Return the mean negative log-likelihood of answer tokens by row, in nats: [count]."""
    nll = F.cross_entropy(widened(logits_av), labels_a, reduction="none")
    tokens = torch.bincount(rows_a, minlength=count)
    return nll.new_zeros(count).index_add(0, rows_a, nll) / tokens
