"""Losses that several methods are made of, one value a plan.

Two kinds of rows: those of the edit, with new answers (`AnswerLikelihood`) or with the old ones
that are to be forgotten, and those that are to stay as they are. A loss is the mean over rows of
the mean over answer tokens unless its method says otherwise (`by_row`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.protocol import EditKind

    from .step import Step

__all__ = ["FORGETTING_KINDS", "AnswerLikelihood", "Forgetting", "Positions", "by_row", "retained"]

FORGETTING_KINDS: frozenset[EditKind] = frozenset({"remap", "censor", "refusal"})
"""Edits whose old answers can be forgotten; what takes their place is not asked."""
Positions = Literal["answers", "all"]
"""Where an objective looks at rows beside the likelihood of their answers: where their tokens are
predicted, or at every token of prompt and answer. Padding is never looked at."""


@dataclass(frozen=True)
class AnswerLikelihood:
    """Cross-entropy on the answers of the edit's rows, plus that of the retained ones.

    Attributes
    ----------
    retain : float
        Weight of the retained rows.
    columns : tuple of str
        ``("answer",)`` to learn the new answers, ``("old_answer",)`` to learn the old ones.
    """

    retain: float = 1.0
    columns: tuple[str, ...] = ("answer",)
    needs_reference: bool = False
    observe: tuple[str, ...] = ()
    positions: Positions = "answers"

    def __call__(self, step: Step) -> Tensor:
        """Loss of each plan: [K]."""
        return step.mean_nll()[:, step.edit()].mean(-1) + retained(step, self.retain)


@dataclass(frozen=True)
class Forgetting:
    """What losses on old answers have in common: what they need, and the weight of the rest."""

    retain: float = 1.0
    columns: tuple[str, ...] = ("old_answer",)
    needs_reference: bool = False
    observe: tuple[str, ...] = ()
    positions: Positions = "answers"


def by_row(values: Tensor, counted: Tensor) -> Tensor:
    """Mean over rows of the mean over the positions that count, [K, b, P] both: [K]."""
    return ((values * counted).sum(-1) / counted.sum(-1)).mean(-1)


def retained(step: Step, weight: float) -> Tensor:
    """Weighted cross-entropy on the retained rows, 0 where there are none: [K]."""
    if not step.has_retained or weight == 0.0:
        return step.logits.new_zeros(step.labels.shape[0])
    return weight * step.mean_nll()[:, step.retain].mean(-1)
