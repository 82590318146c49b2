"""NPO: DPO with the old answers as dispreferred and no preferred ones."""

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
class NegativePreferenceOptimisation(LossMethod):
    """Negative preference optimisation (Zhang et al., 2024, equation 3).

    Attributes
    ----------
    beta : float
        Inverse temperature; towards 0 it is gradient ascent.
    retain : float
        Weight alpha of the retained rows.
    """

    steps: int = 20
    learning_rate: float = 1e-4
    beta: float = 0.1
    retain: float = 1.0

    trains_on: ClassVar[tuple[str, ...]] = ("old_answer",)
    needs_reference: ClassVar[bool] = True
    searched: ClassVar[Searched] = {
        **LossMethod.searched,
        "beta": Range(0.02, 2.0, log=True),
        "retain": Range(0.2, 25.0, log=True),
    }
    bounds: ClassVar[Bounds] = {**LossMethod.bounds, "beta": ABOVE_0}
    info: ClassVar[MethodInfo] = MethodInfo(
        name="npo",
        family="unlearning",
        source="Zhang et al. 2024, arXiv 2404.05868",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def loss(self, step: Step) -> Tensor:
        """-(2 / beta) log sigma(beta (l_f - l_f,ref)) + alpha l_r, l_f summed over the answer."""
        from torch.nn import functional as F

        assert step.reference_logits is not None
        rows = step.edit()
        gain = step.nll()[:, rows] - step.nll(step.reference_logits)[:, rows]
        preference = -2.0 / self.beta * F.logsigmoid(self.beta * gain)
        return preference.mean(-1) + retained(step, self.retain)
