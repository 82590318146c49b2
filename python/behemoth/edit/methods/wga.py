"""WGA: gradient ascent weighted by token probability."""

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
class WeightedGradientAscent(LossMethod):
    """Weighted gradient ascent: forgotten tokens have little weight (Wang et al., 2025).

    Attributes
    ----------
    beta : float
        Power of the probability in each token's weight; 0 is gradient difference.
    retain : float
        Weight of the retained rows.
    """

    steps: int = 20
    learning_rate: float = 1e-4
    beta: float = 1.0
    retain: float = 1.0

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
        "beta": Range(0.2, 5.0, log=True),
        "retain": Range(0.2, 25.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**LossMethod.bounds, "beta": FROM_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="wga",
        family="unlearning",
        source="Wang et al. 2025, arXiv 2502.19301",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """-p^beta l_f + alpha l_r by token, p detached."""
        scores = step.token_log_probabilities()[:, step.edit()]
        weight = (self.beta * scores).exp().detach()
        ascent = by_row(weight * scores, step.answers[:, step.edit()])
        return ascent + retained(step, self.retain)
