"""SimNPO: length-normalised negative preference optimisation without a reference model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import ABOVE_0, Bounds
from behemoth.edit.gradient.loss_method import LossMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, retained
from behemoth.edit.protocol import MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor

    from behemoth.edit.gradient.step import Step


@dataclass(frozen=True)
class SimpleNegativePreferenceOptimisation(LossMethod):
    """Negative preference on the mean loss of an answer (Fan et al., 2024, equation 4).

    Attributes
    ----------
    beta : float
        Inverse temperature.
    delta : float
        Margin subtracted from the mean loss.
    forget : float
        Weight gamma of the old answers.
    retain : float
        Weight alpha of the retained rows.
    """

    steps: int = 40
    learning_rate: float = 1e-4
    beta: float = 4.5
    delta: float = 0.0
    forget: float = 1.0
    retain: float = 1.0

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
        "beta": Range(0.5, 10.0, log=True),
        "forget": Range(0.05, 2.0, log=True),
        "retain": Range(0.2, 25.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**LossMethod.bounds, "beta": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="simnpo",
        family="unlearning",
        source="Fan et al. 2024, arXiv 2410.07163",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """-(2 / beta) log sigma(beta (mean l_f - delta)) gamma + alpha l_r."""
        from torch.nn import functional as F

        margin = step.mean_nll()[:, step.edit()] - self.delta
        preference = -2.0 / self.beta * F.logsigmoid(self.beta * margin)
        return self.forget * preference.mean(-1) + retained(step, self.retain)
