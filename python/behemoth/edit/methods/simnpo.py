"""SimNPO: length-normalised negative preference optimisation without a reference model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.bounds import ABOVE_0, Bounds
from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, Forgetting, retained
from behemoth.edit.protocol import EditContext, MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.gradient.step import Step
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class SimplePreference(Forgetting):
    """-(2 / beta) log sigma(beta (mean l_f - delta)) gamma + alpha l_r."""

    beta: float = 4.5
    delta: float = 0.0
    forget: float = 0.125

    def __call__(self, step: Step) -> Tensor:
        """Loss of each plan: [K]."""
        from torch.nn import functional as F

        margin = step.mean_nll()[:, step.edit()] - self.delta
        preference = -2.0 / self.beta * F.logsigmoid(self.beta * margin)
        return self.forget * preference.mean(-1) + retained(step, self.retain)


@dataclass(frozen=True)
class SimpleNegativePreferenceOptimisation(GradientMethod):
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

    searched: ClassVar[Searched] = {
        **GradientMethod.searched,
        "beta": Range(0.5, 10.0, log=True),
        "forget": Range(0.05, 2.0, log=True),
        "retain": Range(0.2, 25.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**GradientMethod.bounds, "beta": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="simnpo",
        family="unlearning",
        source="Fan et al. 2024, arXiv 2410.07163",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> SimplePreference:
        """See `SimplePreference`."""
        return SimplePreference(
            beta=self.beta, delta=self.delta, forget=self.forget, retain=self.retain
        )
