"""Gradient difference: ascent on the old answers, descent on the retained rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from behemoth.edit.gradient.method import GradientMethod
from behemoth.edit.gradient.objectives import FORGETTING_KINDS, Forgetting, retained
from behemoth.edit.protocol import EditContext, MethodInfo
from behemoth.edit.search import Range, Searched

if TYPE_CHECKING:
    from torch import Tensor, nn

    from behemoth.edit.gradient.step import Step
    from behemoth.plan.edit_plan import EditPlan


@dataclass(frozen=True)
class Difference(Forgetting):
    """-gamma l_f + alpha l_r."""

    forget: float = 1.0

    def __call__(self, step: Step) -> Tensor:
        """Loss of each plan: [K]."""
        return -self.forget * step.mean_nll()[:, step.edit()].mean(-1) + retained(step, self.retain)


@dataclass(frozen=True)
class GradientDifference(GradientMethod):
    """Gradient difference (Liu et al., 2022).

    Attributes
    ----------
    forget : float
        Weight gamma of the old answers.
    retain : float
        Weight alpha of the retained rows.
    """

    steps: int = 40
    learning_rate: float = 1e-4
    forget: float = 1.0
    retain: float = 5.0

    searched: ClassVar[Searched] = {
        **GradientMethod.searched,
        "retain": Range(0.2, 25.0, log=True),
    }
    info: ClassVar[MethodInfo] = MethodInfo(
        name="grad_diff",
        family="unlearning",
        source="Liu et al. 2022, arXiv 2203.12817; gamma and alpha as in TOFU, arXiv 2401.06121",
        changes="all or chosen parameters",
        kinds=FORGETTING_KINDS,
        stacks=True,
    )

    def objective(
        self, model: nn.Module, plans: Sequence[EditPlan], context: EditContext
    ) -> Difference:
        """See `Difference`."""
        return Difference(forget=self.forget, retain=self.retain)
