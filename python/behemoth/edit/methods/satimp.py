"""SatImp: gradient ascent weighted by token probability and its complement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import FROM_0, Bounds
from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, by_row, retained
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class SaturationAndImportance(LossMethod):
    """Gradient ascent weighted by saturation and importance (Yang et al., 2025).

    Saturation lowers the weight of tokens that are already forgotten; importance, which the paper
    adds to it, lowers that of tokens of which the model is certain. A fact of which the model is
    certain therefore changes most slowly at first.

    Attributes
    ----------
    saturation : float
        Power beta_1 of a token's probability.
    importance : float
        Power beta_2 of 1 minus that probability; 0 is weighted gradient ascent (`wga`).
    retain : float
        Weight alpha of the retained rows.
    """

    steps: int = 40
    learning_rate: float = 3e-4
    saturation: float = 5.0
    importance: float = 1.0
    retain: float = 0.1

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
        "saturation": Range(0.5, 10.0, log=True),
        "importance": Range(0.2, 5.0, log=True),
        "retain": Range(0.02, 10.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**LossMethod.bounds, "saturation": FROM_0, "importance": FROM_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="satimp",
        family="unlearning",
        source="Yang et al. 2025, arXiv 2505.11953",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """-p^saturation (1 - p)^importance l_f + alpha l_r by token, both weights detached."""
        import torch

        scores = step.token_log_probabilities()[:, step.edit()]
        known = scores.detach()
        # 1 - p by expm1: for p near 1, where every edit starts, subtraction would lose all digits.
        unknown = -torch.expm1(known)
        weight = (self.saturation * known).exp() * unknown**self.importance
        ascent = by_row(weight * scores, step.answers[:, step.edit()])
        return ascent + retained(step, self.retain)
