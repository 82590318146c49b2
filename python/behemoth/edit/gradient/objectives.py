"""Losses that several methods share, with one value per plan.

There are two kinds of rows: those of the edit, with new answers (`AnswerLikelihood`) or with the
old ones that are to be forgotten, and retained rows. A loss is the mean over rows of the mean over
answer tokens unless its method states otherwise (`by_row`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.protocol import EditKind

    from .step import Step

__all__ = ["ANSWERS", "FORGETTING_KINDS", "AnswerLikelihood", "Forgetting", "Positions", "by_row",
           "retained"]  # fmt: skip

ANSWERS = ("answer", "old_answer")
"""Columns of a plan's training rows that an objective can take the edit's rows with."""

FORGETTING_KINDS: frozenset[EditKind] = frozenset({"remap", "censor", "refusal"})
"""Kinds of edits whose old answers can be forgotten; the new answers are not used."""
Positions = Literal["answers", "all"]
"""Positions that an objective uses besides the likelihood of answers: those where answer tokens are
predicted, or every token of prompt and answer. Padding is never used."""


@dataclass(frozen=True)
class EditLoss:
    """Base of losses: what they need of a step (see `Objective`), and the weight of retained rows.

    Attributes
    ----------
    retain : float
        Weight of the retained rows.
    columns : tuple of str
        ``("answer",)`` for the new answers, ``("old_answer",)`` for the old ones, or both.
    needs_reference : bool
    observe : tuple of str
    positions : {'answers', 'all'}
    """

    retain: float = 1.0
    columns: tuple[str, ...] = ("answer",)
    needs_reference: bool = False
    observe: tuple[str, ...] = ()
    positions: Positions = "answers"


@dataclass(frozen=True)
class AnswerLikelihood(EditLoss):
    """Cross-entropy on the answers of the edit's rows, plus that of the retained ones."""

    def __call__(self, step: Step) -> Tensor:
        """Return the loss of each plan: [K]."""
        return step.mean_nll()[:, step.edit()].mean(-1) + retained(step, self.retain)


@dataclass(frozen=True)
class Forgetting(EditLoss):
    """Base of losses on old answers."""

    columns: tuple[str, ...] = ("old_answer",)


def by_row(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean over rows of the mean over counted positions, from [K, b, P] both: [K]."""
    return ((values * counted).sum(-1) / counted.sum(-1)).mean(-1)


def retained(step: Step, weight: float) -> Tensor:
    """Return the weighted cross-entropy on the retained rows, 0 if there are none: [K]."""
    if not step.has_retained or weight == 0.0:
        return step.logits.new_zeros(step.labels.shape[0])
    return weight * step.mean_nll()[:, step.retain].mean(-1)
